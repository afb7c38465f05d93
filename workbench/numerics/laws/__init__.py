"""Laws: short expressions of some inputs that foretell an output, enumerated, evolved, refined and rounded to simple numbers."""
