"""Names of modules and tensors, matched by shell-style patterns one dotted part at a time."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable


def matches(name: str, pattern: str) -> bool:
    """Whether a dotted name matches a pattern.

    ``*`` and ``?`` stay within one dotted part, so that ``encoder.layer.*`` is the layers and not all
    that lies in them; ``**`` stands for any number of parts, and ``*`` alone for every name.
    """
    if pattern in ("*", "**"):
        return True
    return _parts(name.split("."), pattern.split("."))


def matching(names: Iterable[str], patterns: str | Iterable[str]) -> list[str]:
    """The names that match any of the patterns, in their own order."""
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    return [n for n in names if any(matches(n, p) for p in patterns)]


def layer_said(name: str) -> str:
    """A layer's name as a sentence takes it: a torch Sequential numbers its layers, and "0" alone reads as an amount."""
    return f"layer {name}" if name.replace(".", "").isdigit() else name


def _parts(name: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "**":
        return any(_parts(name[i:], pattern[1:]) for i in range(len(name) + 1))
    return bool(name) and fnmatch.fnmatchcase(name[0], pattern[0]) and _parts(name[1:], pattern[1:])
