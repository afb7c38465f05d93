"""How much one series is like another: learnt from, told apart, compared in blocks."""
