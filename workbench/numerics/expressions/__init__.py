"""Expressions: graphs with shared parts and exact numbers, their canonical form, other forms with their costs, and their text."""
