"""Ghost: a small state-space model of bytes, whose parts each stand in a file of their own."""
