"""Kinds of result: one file a kind, with its fields, how it is drawn and tabulated, and a small example of itself."""

from workbench.core.early import usually
from workbench.results import in_cell

usually(in_cell.screen)
