"""Worlds: data whose truth is known, one file a kind of input. See `workbench.calibrating.world`."""
