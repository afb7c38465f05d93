"""What a network's modules put out, on disk: hooks, a store that can be interrupted, and `capture`."""

from workbench.capturing.capture import capture
from workbench.capturing.reading import reading
from workbench.capturing.store import open_store
from workbench.numerics.hooks import hooked

__all__ = ["capture", "hooked", "open_store", "reading"]
