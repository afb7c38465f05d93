"""The little HTML by which subjects, evidence and the like show themselves in a notebook; every text in it is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable


def card(kind: str, title: str, *lines: str) -> str:
    """Return a few lines: what it is called, of which kind, and what there is to say of it.

    Parameters
    ----------
    lines : empty ones are left out.
    """
    said = "".join(f"<div>{text(line)}</div>" for line in lines if line)
    return f"<div><div><b>{text(title)}</b> <small>{text(kind)}</small></div>{said}</div>"


def text(value: object) -> str:
    """Escape a text; what can't be printed is a space."""
    return html.escape("".join(c if c.isprintable() else " " for c in str(value)))


def breakable(value: object) -> str:
    """Escape a text, and let the names of tensors and paths in it be broken between their parts, and no numbers."""
    return re.sub(r"(?<=\w[._/])(?=[^\W\d])", "<wbr>", text(value))


def listed(names: Iterable[str], most: int) -> str:
    """The first few of some names, and how many more there are."""
    held = list(names)
    more = f" and {len(held) - most:,} more" if len(held) > most else ""
    return ", ".join(held[:most]) + more
