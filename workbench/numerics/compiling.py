"""Keeping what numba compiles, so that only the first process ever waits for it."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

_lock = threading.RLock()


@contextmanager
def compiled_code_kept() -> Iterator[None]:
    """Let functions that are decorated with ``numba.njit`` inside the block keep their machine code on disk.

    It lies where numba puts it: ``NUMBA_CACHE_DIR``, or beside the library's source, or the user's cache
    directory where that can't be written. What asks for ``cache=False`` itself is left alone.
    """
    import numba

    with _lock:
        plain = numba.njit

        def njit(*args: Any, **options: Any) -> Any:
            options.setdefault("cache", True)
            return plain(*args, **options)

        numba.njit = njit
        try:
            yield
        finally:
            numba.njit = plain


def kept(function: Any) -> bool:
    """Whether the machine code of a function that numba compiles lies on disk, and is no older than its source."""
    code = function.py_func.__code__
    own = f"{Path(code.co_filename).stem}.{function.py_func.__qualname__}-{code.co_firstlineno}."
    indexes = [p for p in Path(function.stats.cache_path or ".").glob("*.nbi") if p.name.startswith(own)]
    return any(p.stat().st_mtime >= Path(code.co_filename).stat().st_mtime for p in indexes)


def import_umap() -> ModuleType:
    """Import umap-learn with `compiled_code_kept`; as it is, if it was imported already."""
    if "umap" not in sys.modules:
        __import__("pynndescent")  # keeps what it can by itself, and would warn of the rest
        with compiled_code_kept(), warnings.catch_warnings():
            # umap says that its neural variant, which nothing here uses, lacks tensorflow
            warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
            __import__("umap")
    return sys.modules["umap"]
