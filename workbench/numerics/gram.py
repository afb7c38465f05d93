"""Points from their exact distances: weights of millions of numbers at a few steps, as a few coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_BLOCK = 1 << 22  # numbers of all steps together that are widened to float64 at a time


def coordinates(steps: Sequence[Mapping[str, np.ndarray]], names: Sequence[str]) -> np.ndarray:
    """Place k steps in k - 1 dimensions so that all distances between them are those of the flattened weights.

    The centred Gram matrix, taken tensor by tensor from the differences to the first step, gives the principal
    coordinates; nothing is drawn at random.

    Returns
    -------
    numpy.ndarray
        (k, k - 1) float64, by falling variance; the largest entry of a column is positive.
    """
    k = len(steps)
    gram = np.zeros((k, k))
    for name in names:
        first = np.asarray(steps[0][name]).ravel()
        rows = [first] + [np.asarray(s[name]).ravel() for s in steps[1:]]
        for start in range(0, first.size, max(1, _BLOCK // k)):
            block = np.stack([r[start : start + max(1, _BLOCK // k)].astype(np.float64) for r in rows])
            block -= block[0].copy()
            gram += block @ block.T
    gram -= gram.mean(0)
    gram -= gram.mean(1, keepdims=True)
    if not np.isfinite(gram).all():
        return np.full((k, max(k - 1, 1)), np.nan)
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    values, vectors = values[::-1][: k - 1], vectors[:, ::-1][:, : k - 1]
    found = vectors * np.sqrt(np.clip(values, 0, None))
    return found * np.where(found[np.abs(found).argmax(0), range(found.shape[1])] < 0, -1, 1)
