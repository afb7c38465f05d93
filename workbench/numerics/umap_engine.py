"""UMAP fitted by whichever implementation is faster where it runs: what `umap_estimator.UMAP` does without scikit-learn.

Importing scikit-learn takes as long as laying out a thousand rows, and a method that gives an answer needs none of it.
"""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.core.device import sharing
from workbench.core.errors import MissingError, ParameterError
from workbench.numerics.device import fits, uploaded
from workbench.numerics.near_origin import MOVABLE, far_centre

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import Float

LIBRARY_FROM = 40_000  # rows from which umap-learn with a seed is faster on 2 cores: benchmarks/LOG.md


class Engine:
    """A fit with umap-learn's parameters; see `umap_estimator.UMAP`, which has them too."""

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

    def fit_rows(self, X: Any, y: Any = None) -> Self:
        """Lay out without looking at every number: an (n, d) array of finite rows, or of such a tensor on the device.

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

    def settings(self) -> dict[str, Any]:
        """All parameters by name."""
        return {
            name: getattr(self, name)
            for name in inspect.signature(Engine.__init__).parameters
            if name != "self"
        }

    def anew(self, **changed: Any) -> Self:
        """The same with some other parameters, not fitted."""
        return type(self)(**{**self.settings(), **changed})

    def _chosen(self) -> dict[str, Any]:
        """The parameters but the device, checked, with a seed that is a number."""
        chosen = {k: v for k, v in self.settings().items() if k != "device"}
        for name, (kind, least, most) in _LEGAL.items():
            _require(name, chosen[name], kind, least, most)
        if self.target_n_neighbors in (0, 1):
            raise ParameterError(
                f"target_n_neighbors={self.target_n_neighbors} must be at least 2, or -1 for as many as n_neighbors"
            )
        chosen["random_state"] = _seed(self.random_state)
        return chosen

    def layouts(self, sets: list[np.ndarray]) -> list[Float[np.ndarray, "m c"]]:
        """Lay several small sets of rows out, finite and near the origin, each as a fit of it would: small ones together."""
        if self.metric not in ("euclidean", "cosine", "correlation"):
            return [self.anew().fit_rows(rows).embedding_ for rows in sets]
        from workbench.numerics.umap_sets import fit_sets

        rows = [self.anew()._single(x, fit=True) for x in sets]
        return [y.cpu().numpy() for y in fit_sets(rows, device=sharing(self.device, 0)[0], **self._chosen())]

    @property
    def pieces_(self) -> int:
        """How many connected pieces the graph has."""
        if self.engine_ == "torch":
            return int(self._model.pieces)
        from scipy.sparse.csgraph import connected_components

        return int(connected_components(self._model.graph_, directed=False)[0])

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
    from sklearn.utils import check_random_state

    return int(check_random_state(random_state).randint(2**31 - 1))
