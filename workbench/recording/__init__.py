"""A descent on disk: hooks on an optimizer's steps, a store that can be killed at any time, and `record`."""

from workbench.recording.adapters import LightningRecorder, TrainerRecorder
from workbench.recording.bookmarks import Bookmarking, bookmark
from workbench.recording.layout import is_recording
from workbench.recording.reading import open_recording
from workbench.recording.record import record
from workbench.recording.recorder import Diverged, Recording

__all__ = [
    "Bookmarking",
    "Diverged",
    "LightningRecorder",
    "Recording",
    "TrainerRecorder",
    "bookmark",
    "is_recording",
    "open_recording",
    "record",
]
