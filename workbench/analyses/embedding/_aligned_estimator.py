"""Aligned UMAP as a scikit-learn style estimator; imported only where one is built, since scikit-learn is heavy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from workbench.numerics import aligned_umap
from workbench.numerics.layout_alignment import Alignment, measure_alignment


class AlignedUMAP(BaseEstimator):
    """Lay out a sequence of row sets side by side; parameters as in umap-learn's class of this name.

    Attributes
    ----------
    embeddings_ : one (n_t, n_components) array a set.
    alignment_ : how far related rows move from each layout to the next, without a null.
    fitted_ : what `workbench.numerics.aligned_umap` makes of it.
    """

    def __init__(
        self,
        n_neighbors: int = 15,
        n_components: int = 2,
        metric: str = "euclidean",
        n_epochs: int | None = None,
        learning_rate: float = 1.0,
        init: Any = "spectral",
        alignment_regularisation: float = 1e-2,
        alignment_window_size: int = 3,
        min_dist: float = 0.1,
        spread: float = 1.0,
        repulsion_strength: float = 1.0,
        negative_sample_rate: int = 5,
        random_state: int | None = None,
        device: str = "auto",
    ):
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.metric = metric
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.init = init
        self.alignment_regularisation = alignment_regularisation
        self.alignment_window_size = alignment_window_size
        self.min_dist = min_dist
        self.spread = spread
        self.repulsion_strength = repulsion_strength
        self.negative_sample_rate = negative_sample_rate
        self.random_state = random_state
        self.device = device

    def fit(self, X: Sequence[Any], y: None = None, relations: Sequence[Any] | None = None) -> AlignedUMAP:
        """Lay out the sets ``X``; ``relations`` says which rows of each and the next belong together.

        None takes the same rows in the same order. ``y`` is ignored.
        """
        given = self.get_params()
        seed = given.pop("random_state")
        given["random_state"] = int(np.random.default_rng().integers(2**32)) if seed is None else seed
        return self._keep(aligned_umap.fit_aligned([np.asarray(x) for x in X], relations, **given))

    def fit_transform(
        self, X: Sequence[Any], y: None = None, relations: Sequence[Any] | None = None
    ) -> list[np.ndarray]:
        """`fit`, and return ``embeddings_``."""
        return self.fit(X, y, relations).embeddings_

    def transform(self, X: Any, at: int = -1) -> np.ndarray:
        """Place new rows of set ``at`` in its layout."""
        check_is_fitted(self)
        return aligned_umap.transform(self.fitted_, np.asarray(X), at).cpu().numpy()

    def update(self, X: Any, y: None = None, relations: Any = None) -> AlignedUMAP:
        """Add one more set, aligned to the last; ``relations`` are the last set's rows and theirs of ``X``."""
        check_is_fitted(self)
        return self._keep(aligned_umap.update(self.fitted_, np.asarray(X), relations))

    def _keep(self, fitted: aligned_umap.FittedAligned) -> AlignedUMAP:
        self.fitted_ = fitted
        self.embeddings_ = [y.cpu().numpy() for y in fitted.embeddings]
        self.alignment_: Alignment = measure_alignment(
            self.embeddings_, [m.cpu().numpy() for m in fitted.matches]
        )
        return self
