"""What opens: checkpoints, arrays, tables, texts and bundled networks, lazily and without ever unpickling."""

from workbench.io.corpus import corpus
from workbench.io.opening import open

__all__ = ["corpus", "open"]
