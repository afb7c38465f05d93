"""UMAP as a scikit-learn estimator, answered by whichever implementation is faster where it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from workbench.core.errors import ParameterError
from workbench.numerics.device import current
from workbench.numerics.distances import PRECOMPUTED
from workbench.numerics.umap_engine import Engine

if TYPE_CHECKING:
    from jaxtyping import Float
    from scipy.sparse import csr_array

    from workbench.numerics.umap_torch import Fitted


class UMAP(Engine, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Uniform manifold approximation and projection, with umap-learn's parameters.

    On a GPU, and on a CPU for fewer than 40,000 rows, the layout is our own (`umap_torch`): nothing is
    compiled first, and one ``random_state`` gives the same bits on every run of a device. Beyond, umap-learn
    answers on a CPU, if it is installed.

    Parameters
    ----------
    n_neighbors, n_components, metric, n_epochs, learning_rate, init, min_dist, spread, repulsion_strength, \
negative_sample_rate, random_state, target_n_neighbors, target_metric, target_weight, densmap, dens_lambda, \
dens_frac, dens_var_shift : as in umap-learn. ``n_neighbors`` is cut to the rows there are.
    metric : "euclidean", "cosine", "correlation", "manhattan", "chebyshev", or "precomputed" for ``X`` (n, n) distances.
    target_metric : "categorical" (-1 is no label) or "euclidean".
    random_state : int, ``RandomState`` or None, which seeds anew each time.
    device : "auto" (GPUs where there are some), "cpu", "cuda" (all GPUs for more than four million rows, else the current
        one), "cuda:0" and so on (that one alone), or a list of such names, which share the work and may name one twice.

    Attributes
    ----------
    embedding_ : (n, n_components) float32.
    graph_ : (n, n) scipy sparse array of memberships. pieces_ : how many connected pieces it has.
    rad_orig_, rad_emb_ : (n,) with densmap, log of each row's local radius in the data and in the layout.
    device_ : where it was fitted. devices_ : all that shared the work. engine_ : "torch" or "umap-learn".

    References
    ----------
    McInnes, Healy and Melville 2018, UMAP, arXiv:1802.03426; Narayan, Berger and Cho 2021, Nat. Biotechnol. 39.
    """

    def fit(self, X: Any, y: Any = None) -> UMAP:
        """Lay the rows of ``X`` (n, d) out; ``y`` (n,), labels or numbers, steers the layout.

        Raises
        ------
        ValueError
            Rows or targets that aren't finite, or too few.
        ParameterError
            A parameter out of its range.
        """
        return self.fit_rows(validate_data(self, X, dtype=[np.float32, np.float64], ensure_min_samples=3), y)

    def fit_transform(self, X: Any, y: Any = None) -> Float[np.ndarray, "n c"]:
        """`fit`, and the layout."""
        return self.fit(X, y).embedding_

    def transform(self, X: Any) -> Float[np.ndarray, "m c"]:
        """Place new rows among those that were laid out; a row that was fitted keeps its place."""
        check_is_fitted(self)
        if self.metric == PRECOMPUTED:
            raise ParameterError("distances say nothing of where new rows lie: fit all rows together")
        X = self._single(validate_data(self, X, dtype=[np.float32, np.float64], reset=False))
        if self.engine_ == "umap-learn":
            return np.asarray(self._model.transform(X), np.float32)
        from workbench.numerics import umap_torch

        with current(self._model.embedding.device):
            return umap_torch.transform(self._model, X).cpu().numpy()

    def inverse_transform(self, X: Any) -> Float[np.ndarray, "m d"]:
        """Return rows that the places ``X`` (m, n_components) in the layout stand for."""
        check_is_fitted(self)
        from sklearn.utils import check_array

        places = check_array(X, dtype=np.float32)
        if places.shape[1] != self.embedding_.shape[1]:
            raise ParameterError(
                f"places have {places.shape[1]} coordinates and the layout has {self.embedding_.shape[1]}"
            )
        if self.engine_ == "umap-learn":
            rows = np.asarray(self._model.inverse_transform(places), np.float32)
        else:
            from workbench.numerics import umap_torch

            rows = umap_torch.inverse_transform(self._model, places).cpu().numpy()
        return rows if self._centre is None else rows + self._centre

    @property
    def graph_(self) -> csr_array:
        """(n, n) memberships, those too weak to count in the layout left out; made when first asked for."""
        check_is_fitted(self)
        if self.engine_ == "umap-learn":
            return self._model.graph_
        if not hasattr(self, "_graph"):
            self._graph = _graph(self._model)
        return self._graph

    @property
    def distortion_(self) -> Float[np.ndarray, " n"]:
        """(n,) the share of a row's nearest rows in the layout that are not among its nearest in the data.

        As many are looked at as ``n_neighbors``, less the row itself; looked up when first asked for.
        """
        check_is_fitted(self)
        if not hasattr(self, "_distortion"):
            self._distortion = _missed(self._rows(), self.embedding_, self.metric, self._near, self.device_)
        return self._distortion

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == PRECOMPUTED
        tags.transformer_tags.preserves_dtype = []  # a layout is float32 whatever it is of
        return tags

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def _rows(self) -> np.ndarray:
        rows: Any = self._model._raw_data if self.engine_ == "umap-learn" else self._model.x
        return rows


def _graph(fitted: Fitted) -> csr_array:
    from scipy.sparse import csr_array

    n = len(fitted.embedding)
    weights = fitted.graph.weights.flatten().cpu().numpy()
    held = weights > 0
    head = np.repeat(fitted.graph.heads.cpu().numpy(), fitted.graph.weights.shape[1])[held]
    return csr_array((weights[held], (head, fitted.graph.tails.flatten().cpu().numpy()[held])), shape=(n, n))


def _missed(rows: np.ndarray, layout: np.ndarray, metric: str, k: int, device: str) -> np.ndarray:
    from workbench.numerics import neighbours, neighbours_torch

    def near(x: np.ndarray, metric: Any) -> np.ndarray:
        if metric in ("manhattan", "chebyshev", PRECOMPUTED):
            return neighbours.k_nearest(x, k, metric)[0]
        return neighbours_torch.k_nearest(x, k, metric, recall_rows=0, device=device).indices.cpu().numpy()

    data, laid = near(rows, metric), near(layout, "euclidean")
    n, row = len(rows), np.arange(len(rows))[:, None]
    # keys of (row, neighbour), so that one sorted look-up answers for all rows
    held = np.isin(row * n + laid.astype(np.int64), row * n + data.astype(np.int64))
    return (1 - held.mean(axis=1)).astype(np.float32)
