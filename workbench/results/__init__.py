"""Kinds of result: one file a kind, with its fields, how it is drawn and tabulated, and a small example of itself."""
