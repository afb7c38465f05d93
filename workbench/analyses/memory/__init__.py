"""What a memory of facts answers, and what is left of a fact that was removed."""
