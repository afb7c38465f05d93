"""What opens: checkpoints, arrays, tables, texts and bundled networks, lazily and without ever unpickling."""

from __future__ import annotations

from typing import Any

from workbench.io.opening import open as open

__all__ = ["corpus", "open"]


def corpus(*args: Any, **kwargs: Any) -> Any:
    from workbench.io.corpus import corpus

    return corpus(*args, **kwargs)
