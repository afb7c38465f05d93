"""Sweeps: one notebook run with many parameters, in parallel, resumable, compared on one page."""
