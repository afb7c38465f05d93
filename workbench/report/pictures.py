"""Rows that are pictures: images and series of a row table, as small as a view shows them.

An image is drawn at most `SIDE` pixels wide and high, fewer where there are many images, and a series in at most `STEPS` steps,
so that ten thousand rows are a few megabytes. Rows that share a picture (patches of one image) share its pixels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import UInt8

SIDE, STEPS = 64, 64
SHORTEST = 4  # numbers of a series; fewer are read, not looked at
ROOM = 6_000_000  # bytes of one column of images; smaller ones are made where there are many rows
SMALLEST = 8  # pixels of a side
TOGETHER = 512  # images that are made small at once
FLATTEST = 4  # times that one side of an image without channels may be the other: what is longer is a series
CHANNELS = (1, 3, 4)
CLEAR = (2, 4)  # channels of which the last says how opaque a pixel is
MISSING = 255  # of a series' 8 bits


def block(name: str, values: Any) -> dict[str, Any] | None:
    """Return a column of arrays as a block of 8-bit pictures, or None where it is one of numbers or texts.

    Parameters
    ----------
    values : one array a row, as a column of a table; or (n, height, width), (n, height, width, channels) or (n, steps).
        Images are uint8, or numbers of any range, which the column's own least and largest make black and white.

    Returns
    -------
    dict
        ``kind`` "image" (``shape`` height, width, channels) or "series" (``shape`` steps; ``low`` and ``high`` of 0 and 254),
        ``data`` of the distinct pictures, and ``which`` of them each row has (-1 none).
    """
    cells = _cells(values)
    if cells is None:
        return None
    ranks = {c.ndim for c in cells if c is not None}
    if ranks == {1}:
        return _series(name, cells)
    return _images(name, cells) if ranks <= {2, 3} else None


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether a row of this shape is likely an image: two sides, with or without channels."""
    if len(shape) == 3:
        sides = shape[:2] if shape[2] in CHANNELS else shape[1:] if shape[0] in CHANNELS else ()
        return bool(sides) and min(sides) >= SHORTEST
    return len(shape) == 2 and min(shape) >= SHORTEST and max(shape) <= FLATTEST * min(shape)


def thumbnails(images: Any) -> UInt8[np.ndarray, "n h w c"]:
    """Return images as small as a view shows them.

    Parameters
    ----------
    images : (n, height, width), (n, height, width, channels) or (n, channels, height, width) numbers, as in `block`.
    """
    made = block("image", np.asarray(images))
    assert made is not None
    pixels = np.frombuffer(made["data"], np.uint8).reshape(-1, *made["shape"])
    return pixels[np.frombuffer(made["which"]["data"], "<i4")] if "which" in made else pixels


def _cells(values: Any) -> list[np.ndarray | None] | None:
    """The rows' arrays, None for a row without; None in all where they are no arrays of numbers."""
    if isinstance(values, np.ndarray) and values.ndim > 1:
        return list(values) if values.dtype.kind in "fiub" else None
    if not isinstance(getattr(values, "dtype", None), np.dtype) or values.dtype.kind != "O":
        return None
    cells = np.asarray(values, dtype=object)
    first = next((c for c in cells if c is not None and not isinstance(c, float)), None)
    if not isinstance(first, np.ndarray | list | tuple) and not hasattr(first, "detach"):
        return None
    try:
        arrays = [_array(c) for c in cells]
    except ValueError:  # lists of unequal lists
        return None
    there = [a for a in arrays if a is not None]
    able = all(a.dtype.kind in "fiub" and a.size >= SHORTEST and 1 <= a.ndim <= 3 for a in there)
    return arrays if there and able else None


def _array(cell: Any) -> np.ndarray | None:
    if cell is None or isinstance(cell, float):
        return None
    return np.asarray(cell.detach().cpu().float() if hasattr(cell, "detach") else cell)


def _shared(cells: Sequence[np.ndarray | None]) -> tuple[list[np.ndarray], np.ndarray]:
    """The distinct arrays, and which of them each row has."""
    at: dict[tuple[Any, ...], int] = {}
    kept: list[np.ndarray] = []
    which = np.full(len(cells), -1, dtype="<i4")
    for i, cell in enumerate(cells):
        if cell is None:
            continue
        key = (cell.shape, cell.dtype.str, cell.tobytes())
        if key not in at:
            at[key] = len(kept)
            kept.append(cell)
        which[i] = at[key]
    return kept, which


def _finished(block: dict[str, Any], data: np.ndarray, which: np.ndarray) -> dict[str, Any]:
    out = {**block, "dtype": "u1", "data": data.tobytes()}
    if np.array_equal(which, np.arange(len(which))):
        return out
    return {**out, "which": {"dtype": "i4", "data": which.tobytes()}}


def _images(name: str, cells: Sequence[np.ndarray | None]) -> dict[str, Any] | None:
    kept, which = _shared(cells)
    images = [_channels_last(c) for c in kept]
    if max(c.shape[2] for c in images) > 4:
        return None
    framed = len({c.shape[0] / c.shape[1] for c in images}) > 1  # wide and high ones stand in one frame
    colours = 3 if any(c.shape[2] >= 3 for c in images) else 1
    channels = colours + (framed or any(c.shape[2] in CLEAR for c in images))
    side = max(SMALLEST, min(SIDE, math.isqrt(ROOM // (len(images) * channels))))
    largest = max(max(c.shape[:2]) for c in images)
    high = max(1, round(min(side, largest) * max(c.shape[0] for c in images) / largest))
    wide = max(1, round(min(side, largest) * max(c.shape[1] for c in images) / largest))
    black, white = (0.0, 255.0) if all(c.dtype == np.uint8 for c in images) else _extremes(images)
    out = np.zeros((len(images), high, wide, channels), dtype=np.uint8)
    start = 0
    while start < len(images):  # out has the images before start
        together = np.stack(_alike(images[start : start + TOGETHER])).astype(np.float32)
        scale = min(high / together.shape[1], wide / together.shape[2])
        h, w = (max(1, round(n * scale)) for n in together.shape[1:3]) if framed else (high, wide)
        small = _resized(_resized(together, h, 1), w, 2)
        grey = (np.nan_to_num(small, nan=black) - black) * (255 / (white - black))
        top, left = (high - h) // 2, (wide - w) // 2
        part = out[start : start + len(together), top : top + h, left : left + w]
        part[:] = _in_channels(np.clip(np.rint(grey), 0, 255), colours, channels)
        start += len(together)
    return _finished({"name": name, "kind": "image", "shape": [high, wide, channels]}, out, which)


def _in_channels(pixels: np.ndarray, colours: int, channels: int) -> np.ndarray:
    """The same in more channels: grey in each colour, and opaque where nothing else is said."""
    own = pixels.shape[3] - (pixels.shape[3] in CLEAR)
    parts = [np.broadcast_to(pixels[..., :own], (*pixels.shape[:3], colours))]
    if channels > colours:
        parts.append(pixels[..., own:] if pixels.shape[3] > own else np.full_like(pixels[..., :1], 255))
    return np.concatenate(parts, axis=3)


def _alike(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The first images, as many as have one shape."""
    shape = images[0].shape
    return list(itertools.takewhile(lambda image: image.shape == shape, images))


def _channels_last(image: np.ndarray) -> np.ndarray:
    """(height, width, channels), also of torch's (channels, height, width)."""
    if image.ndim == 2:
        return image[:, :, None]
    first = image.shape[0] in (1, 3, 4) and image.shape[2] not in (1, 3, 4)
    return np.moveaxis(image, 0, 2) if first else image


def _extremes(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    """The least and the largest finite number; 0 to 1 where that holds them all, since a picture in halves is grey."""
    finite = [a[np.isfinite(a)] for a in arrays]
    ends = [(float(a.min()), float(a.max())) for a in finite if a.size]
    low, high = min((a for a, _ in ends), default=0.0), max((b for _, b in ends), default=1.0)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if high > low else (low, low + 1.0)


def _resized(values: np.ndarray, length: int, axis: int) -> np.ndarray:
    """The same along one axis in ``length`` steps: means where there are fewer of them, the nearest where there are more."""
    size = values.shape[axis]
    if size == length:
        return values
    if size < length:
        return np.take(values, np.arange(length) * size // length, axis=axis)
    starts = np.arange(length) * size // length
    counts = np.diff([*starts, size]).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    return np.add.reduceat(values, starts, axis=axis) / counts


def _series(name: str, cells: Sequence[np.ndarray | None]) -> dict[str, Any]:
    kept, which = _shared(cells)
    steps = min(STEPS, max(len(c) for c in kept))
    finite = [c[np.isfinite(c)] for c in kept]
    low = min((float(c.min()) for c in finite if c.size), default=0.0)
    high = max((float(c.max()) for c in finite if c.size), default=1.0)
    out = np.full((len(kept), steps), MISSING, dtype=np.uint8)
    for i, line in enumerate(kept):
        small = _resized(line.astype(np.float64), steps, 0)
        there = np.isfinite(small)
        out[i, there] = np.rint((small[there] - low) * (254 / ((high - low) or 1.0)))
    return _finished({"name": name, "kind": "series", "shape": [steps], "low": low, "high": high}, out, which)
