"""UMAP as a scikit-learn estimator, answered by whichever implementation is faster where it runs."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from workbench.core.device import sharing
from workbench.core.errors import MissingError, ParameterError
from workbench.numerics.device import current, fits, uploaded
from workbench.numerics.distances import PRECOMPUTED
from workbench.numerics.near_origin import MOVABLE, far_centre

if TYPE_CHECKING:
    from jaxtyping import Float
    from scipy.sparse import csr_array

    from workbench.numerics.umap_torch import Fitted

LIBRARY_FROM = 40_000  # rows from which umap-learn with a seed is faster on 2 cores: benchmarks/LOG.md


class UMAP(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
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

    embedding_: Float[np.ndarray, "n c"]

    def __init__(
        self,
        n_neighbors: int = 15,
        n_components: int = 2,
        metric: str = "euclidean",
        n_epochs: int | None = None,
        learning_rate: float = 1.0,
        init: str | np.ndarray = "spectral",
        min_dist: float = 0.1,
        spread: float = 1.0,
        repulsion_strength: float = 1.0,
        negative_sample_rate: int = 5,
        random_state: Any = None,
        target_n_neighbors: int = -1,
        target_metric: Literal["categorical", "euclidean"] = "categorical",
        target_weight: float = 0.5,
        densmap: bool = False,
        dens_lambda: float = 2.0,
        dens_frac: float = 0.3,
        dens_var_shift: float = 0.1,
        device: str | Sequence[str] = "auto",
    ) -> None:
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.metric = metric
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.init = init
        self.min_dist = min_dist
        self.spread = spread
        self.repulsion_strength = repulsion_strength
        self.negative_sample_rate = negative_sample_rate
        self.random_state = random_state
        self.target_n_neighbors = target_n_neighbors
        self.target_metric = target_metric
        self.target_weight = target_weight
        self.densmap = densmap
        self.dens_lambda = dens_lambda
        self.dens_frac = dens_frac
        self.dens_var_shift = dens_var_shift
        self.device = device

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

    def fit_rows(self, X: Any, y: Any = None) -> UMAP:
        """`fit` without looking at every number: of an (n, d) array of finite rows, or of such a tensor on the device.

        Raises
        ------
        ParameterError
            A parameter out of its range.
        """
        X = self._single(X, fit=True)
        chosen = self._chosen()
        if y is not None:
            y = self._targets(y, len(X))
        self.devices_ = sharing(self.device, len(X))
        self.device_ = self.devices_[0]
        ours = self.devices_ != ("cpu",) or len(X) < LIBRARY_FROM
        self.engine_ = "torch" if ours else "umap-learn"
        if self.engine_ == "umap-learn":
            try:
                self._fit_library(X, y, chosen)
                return self
            except MissingError:
                self.engine_ = "torch"
        self._fit_torch(X, y, chosen)
        return self

    def _chosen(self) -> dict[str, Any]:
        """The parameters but the device, checked, with a seed that is a number."""
        chosen = {k: v for k, v in self.get_params().items() if k != "device"}
        for name, (kind, least, most) in _LEGAL.items():
            _require(name, chosen[name], kind, least, most)
        if self.target_n_neighbors in (0, 1):
            raise ParameterError(
                f"target_n_neighbors={self.target_n_neighbors} must be at least 2, or -1 for as many as n_neighbors"
            )
        chosen["random_state"] = _seed(self.random_state)
        return chosen

    def fit_transform(self, X: Any, y: Any = None) -> Float[np.ndarray, "n c"]:
        """`fit`, and the layout."""
        return self.fit(X, y).embedding_

    def layouts(self, sets: list[np.ndarray]) -> list[Float[np.ndarray, "m c"]]:
        """Lay several small sets of rows out, finite and near the origin, each as a fit of it would; on a GPU together."""
        device = sharing(self.device, 0)[0]
        if device == "cpu" or self.metric not in ("euclidean", "cosine", "correlation"):
            return [clone(self).fit_rows(rows).embedding_ for rows in sets]
        from workbench.numerics.umap_sets import fit_sets

        rows = [x if self.metric == "correlation" else x.astype(np.float32, copy=False) for x in sets]
        return [y.cpu().numpy() for y in fit_sets(rows, device=device, **self._chosen())]

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

    def _single(self, X: Any, *, fit: bool = False) -> Any:
        """Rows in single precision, those that lie far from the origin moved there first."""
        if not isinstance(
            X, np.ndarray
        ):  # a tensor, which nobody can place new rows beside: it is near already
            self._centre = None
            return X
        if fit:
            self._centre = far_centre(X) if self.metric in MOVABLE else None
        if self.metric == "correlation" and X.dtype == np.float64:
            X = X - X.mean(axis=1, keepdims=True)
        return (X if self._centre is None else X - self._centre).astype(np.float32, copy=False)

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
    def pieces_(self) -> int:
        """How many connected pieces the graph has."""
        check_is_fitted(self)
        if self.engine_ == "torch":
            return int(self._model.pieces)
        from scipy.sparse.csgraph import connected_components

        return int(connected_components(self.graph_, directed=False)[0])

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

    def _targets(self, y: Any, n: int) -> np.ndarray:
        y = np.asarray(y)
        if self.target_metric != "categorical":
            from sklearn.utils import check_array

            return check_array(y.reshape(len(y), -1), dtype=np.float32)[:, 0]
        if y.dtype.kind in "iub":
            return y.astype(np.int64)
        unlabelled = np.equal(y, -1) if y.dtype.kind == "f" else np.zeros(len(y), bool)
        return np.where(unlabelled, -1, np.unique(y, return_inverse=True)[1])

    def _fit_torch(self, X: np.ndarray, y: np.ndarray | None, chosen: dict[str, Any]) -> None:
        from typing import get_args

        from workbench.numerics import umap_torch
        from workbench.numerics.rows_torch import Metric

        if self.metric not in get_args(Metric):
            chosen["neighbours"] = self._searched(X)
            chosen["metric"] = "euclidean"  # of what starts the layout and finds new rows' neighbours
        on_device = isinstance(X, np.ndarray) and self.device_ != "cpu" and fits(X, self.device_)
        fitted = umap_torch.fit(
            uploaded(X, self.device_) if on_device else X, y=y, device=self.devices_, **chosen
        )
        self._model: Any = replace(
            fitted, x=X
        )  # the caller's rows, which new ones are placed among: none stay on a GPU
        self._near = min(self.n_neighbors, len(X)) - 1
        self.embedding_ = fitted.embedding.cpu().numpy()
        if fitted.radii is not None:
            self.rad_orig_, self.rad_emb_ = fitted.radii.cpu().numpy()

    def _searched(self, X: np.ndarray) -> Any:
        """Neighbours by a metric that has no product, found on the CPU."""
        import torch

        from workbench.numerics.neighbours import k_nearest
        from workbench.numerics.neighbours_torch import Neighbours

        indices, distances = k_nearest(X, min(self.n_neighbors, len(X)) - 1, self.metric)  # type: ignore[arg-type]
        where = torch.device(self.device_)
        return Neighbours(
            torch.from_numpy(indices).to(where, torch.int32),
            torch.from_numpy(distances).to(where, torch.float32),
            1.0,
            0,
            "exact",
        )

    def _fit_library(self, X: np.ndarray, y: np.ndarray | None, chosen: dict[str, Any]) -> None:
        try:
            from workbench.numerics.compiling import import_umap

            library = import_umap()
        except ImportError as e:
            raise MissingError("umap-learn isn't installed: pip install umap-learn") from e
        seed = chosen.pop("random_state")
        threads = {"random_state": seed, "n_jobs": 1} if self.random_state is not None else {"n_jobs": -1}
        model = library.UMAP(output_dens=chosen["densmap"], **chosen, **threads).fit(X, y)
        self._model = model
        self._near = min(self.n_neighbors, len(X)) - 1
        self.embedding_ = np.asarray(model.embedding_, np.float32)
        if chosen["densmap"]:
            self.rad_orig_, self.rad_emb_ = model.rad_orig_, model.rad_emb_


# What neither engine refuses by itself in every case: the type, the least and the most that is legal.
_LEGAL: dict[str, tuple[type, float, float]] = {
    "n_neighbors": (numbers.Integral, 2, math.inf),
    "n_components": (numbers.Integral, 1, 64),
    "n_epochs": (numbers.Integral, 1, math.inf),
    "learning_rate": (numbers.Real, 0, math.inf),
    "repulsion_strength": (numbers.Real, 0, math.inf),
    "negative_sample_rate": (numbers.Integral, 0, math.inf),
    "target_n_neighbors": (numbers.Integral, -1, math.inf),
    "target_weight": (numbers.Real, 0, 1),
    "dens_lambda": (numbers.Real, 0, math.inf),
    "dens_frac": (numbers.Real, 0, 1),
    "dens_var_shift": (numbers.Real, 0, math.inf),
}


def _require(name: str, value: Any, kind: Any, least: float, most: float) -> None:
    if name == "n_epochs" and value is None:
        return
    whole = "a whole number" if kind is numbers.Integral else "a number"
    if not isinstance(value, kind) or isinstance(value, bool) or not least <= value <= most:
        upto = f" to {most:g}" if most < math.inf else " up"
        raise ParameterError(f"{name}={value!r} must be {whole} from {least:g}{upto}")


def _seed(random_state: Any) -> int:
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


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
