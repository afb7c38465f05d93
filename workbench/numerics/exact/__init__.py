"""What stored weights compute in real arithmetic: every float is a whole number times a power of two, and so is every sum here."""
