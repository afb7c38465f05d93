"""Descents: a network's training as it was recorded, and several of one task."""
