"""Grammars that nobody asks for are not built: nbformat imports jsonschema, and that a check of internationalized addresses.

Where ``rfc3987_syntax`` is installed, as it is with JupyterLab, its import builds some sixty parsers, which takes over a second, and
no notebook has such an address checked. So jsonschema is given the same check, whose parsers are built when it is first asked.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

NAME = "rfc3987_syntax"


class _Later(ModuleType):
    """Stands for the module during an import; whatever is asked of it is asked of the module itself, which is imported then."""

    @staticmethod
    def is_valid_syntax(term: str, value: str) -> bool:
        """Whether a text is what the grammar calls ``term``."""
        return bool(_itself().is_valid_syntax(term, value))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what the import system looks for
            raise AttributeError(name)
        return getattr(_itself(), name)


def _itself() -> ModuleType:
    if isinstance(sys.modules.get(NAME), _Later):
        del sys.modules[NAME]
    return importlib.import_module(NAME)


@contextmanager
def grammars_later() -> Iterator[None]:
    """Import jsonschema inside the block without building those parsers."""
    installed = importlib.util.find_spec(NAME) is not None if NAME not in sys.modules else False
    if not installed or "jsonschema" in sys.modules:
        yield
        return
    later = _Later(NAME)
    sys.modules[NAME] = later
    try:
        yield
    finally:
        if sys.modules.get(NAME) is later:
            del sys.modules[NAME]
