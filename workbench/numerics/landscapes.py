"""Losses of many weights at once: points of a line or a plane in weight space, stacked and evaluated together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError
from workbench.core.progress import track
from workbench.numerics.objectives import Probe, loss_function, output_of

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

CAP = {"cpu": 1 << 25, "cuda": 1 << 33}
"""Bytes that the stacked weights and what the network makes of them may take, the points being taken in turn: 32 MiB (more
is slower on a CPU), or 8 GiB on a GPU (at most half of what is free there)."""
ALIVE = 4  # activations as large as the largest that are held at a time
ALIGNED = 64  # numbers; matrices of stacked weights begin where the fast kernels can read them

Direction = Mapping[str, "np.ndarray"]


class Plane:
    """Losses at ``origin + sum of coordinates times directions``.

    Parameters
    ----------
    network : in evaluation mode; buffers that aren't in ``origin`` are those of every point.
    probe : what the loss is evaluated on.
    origin : name to array, the trained parameters, and buffers that move with them.
    directions : each name to array; names left out don't move.
    device : "cpu" or "cuda".
    cap : bytes, instead of `CAP`.

    Raises
    ------
    ValueError
        A direction's shape isn't its parameter's.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        probe: Probe,
        origin: Direction,
        directions: Sequence[Direction],
        *,
        device: str = "cpu",
        cap: int | None = None,
    ):
        import torch

        self.network = network.to(device)
        self.probe, self.device, self.names = probe, device, tuple(origin)
        self.x, self.y = probe.tensors(self.network)
        held = {**dict(self.network.named_parameters()), **dict(self.network.named_buffers())}
        self.shapes = [tuple(held[n].shape) for n in self.names]
        for d in directions:
            for n in d:
                if np.shape(d[n]) != np.shape(origin[n]):
                    raise ValueError(
                        f"direction {n} has the shape {np.shape(d[n])}, the weights {np.shape(origin[n])}"
                    )
        dtype = held[self.names[0]].dtype

        self.sizes = [int(np.prod(s)) for s in self.shapes]
        padded = [-(-size // ALIGNED) * ALIGNED for size in self.sizes]
        self.starts = np.concatenate([[0], np.cumsum(padded)]).tolist()

        def flat(of: Direction) -> torch.Tensor:
            row = np.zeros(self.starts[-1])
            for n, start, size in zip(self.names, self.starts, self.sizes, strict=False):
                row[start : start + size] = np.ravel(of[n]) if n in of else 0
            return torch.from_numpy(row).to(device, dtype)

        self.origin = flat(origin)
        self.directions = torch.stack([flat(d) for d in directions])
        self.cap = cap or _room(device)
        self.one_by_one = ""
        """Why points are evaluated one by one, where the network can't be mapped over its weights."""

    def losses(
        self, coordinates: Float[np.ndarray, "p d"], *, samples: bool = False
    ) -> Float[np.ndarray, "p ..."]:
        """The loss at each point, (p,) float64; with ``samples`` that of each sample of the probe, (p, n).

        The mean over samples is the loss, but for a loss whose weight differs between samples (next_token with tokens
        left out) or that the network computes itself.
        """
        import torch

        at = torch.from_numpy(np.ascontiguousarray(coordinates)).to(self.origin)
        with torch.no_grad():
            if not self.one_by_one:
                try:
                    return self._together(at, samples)
                except torch.OutOfMemoryError:
                    raise
                except (
                    RuntimeError
                ) as e:  # torch says so of networks that it can't map: data-dependent, in place, random
                    self.one_by_one = str(e).split("\n")[0]
            found = [self._loss(c, samples) for c in track(at, "landscape, point by point")]
        return torch.stack(found).double().cpu().numpy()

    def alone(self, coordinates: Float[np.ndarray, "p d"]) -> Float[np.ndarray, " p"]:
        """The same losses one point after another, the weights put into the module each time: the plain loop."""
        import torch

        found = np.empty(len(coordinates))
        held = {**dict(self.network.named_parameters()), **dict(self.network.named_buffers())}
        parts = [self._parts(v) for v in (self.origin, *self.directions)]
        with torch.no_grad():
            for i, c in enumerate(coordinates.tolist()):
                for n, start, *along in zip(self.names, *(p.values() for p in parts), strict=True):
                    held[n].copy_(start)
                    for a, d in zip(c, along, strict=True):
                        held[n].add_(d, alpha=a)
                answer = self.network(**self.x) if isinstance(self.x, Mapping) else self.network(self.x)
                found[i] = loss_function(self.probe.loss)(answer, self.y).item()
        return found

    def _together(self, at: torch.Tensor, samples: bool) -> np.ndarray:
        import torch

        chunk = self._chunk(len(at))
        mapped = torch.func.vmap(lambda flat: self._of(flat, samples))
        losses = []
        for start in track(range(0, len(at), chunk), "landscape"):
            weights = torch.addmm(self.origin, at[start : start + chunk], self.directions)
            losses.append(mapped(weights))
        return torch.cat(losses).double().cpu().numpy()

    def _loss(self, c: torch.Tensor, samples: bool) -> torch.Tensor:
        return self._of(self.origin + c @ self.directions, samples)

    def _of(self, flat: torch.Tensor, samples: bool) -> torch.Tensor:
        """The loss with weights given as one vector."""
        import torch

        args, kwargs = ((), dict(self.x)) if isinstance(self.x, Mapping) else ((self.x,), {})
        answer = torch.func.functional_call(self.network, self._parts(flat), args, kwargs)
        loss = loss_function(self.probe.loss)
        return _each(loss, output_of(answer), self.y) if samples else loss(answer, self.y)

    def _parts(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        where = zip(self.names, self.starts, self.sizes, self.shapes, strict=False)
        return {n: flat.narrow(0, start, size).view(shape) for n, start, size, shape in where}

    def _chunk(self, points: int) -> int:
        each = self.origin.element_size() * (self.origin.numel() + ALIVE * self._widest())
        return int(np.clip(self.cap // max(each, 1), 1, points))

    def _widest(self) -> int:
        """Numbers in the largest thing that a layer of the network makes of the probe."""
        import torch

        largest = 1

        def note(module: Any, inputs: Any, output: Any) -> None:
            nonlocal largest
            found = output_of(output)
            if isinstance(found, torch.Tensor):
                largest = max(largest, found.numel())

        hooks = [m.register_forward_hook(note) for m in self.network.modules()]
        try:
            self.network(**self.x) if isinstance(self.x, Mapping) else self.network(self.x)
        finally:
            for h in hooks:
                h.remove()
        return largest


def _each(
    loss: Callable[[Any, torch.Tensor], torch.Tensor], output: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """The loss of each sample alone, (n,)."""
    import torch

    if output.shape[:1] != y.shape[:1]:
        raise DataError(
            f"The network gives {tuple(output.shape)} for {len(y)} samples, so that its loss isn't a mean over samples, and there "
            f"is no interval over them. Use a probe whose loss compares sample by sample."
        )
    return torch.func.vmap(lambda z, t: loss(z[None], t[None]))(output, y)


def _room(device: str) -> int:
    cap = CAP["cpu" if device == "cpu" else "cuda"]
    if device == "cpu":
        return cap
    import torch

    return min(cap, torch.cuda.mem_get_info(device)[0] // 2)


def random_direction(
    origin: Direction, normalization: str, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """A Gaussian direction scaled to the weights.

    Parameters
    ----------
    normalization : "filter", each filter (the weights of one output unit) gets the length of the network's filter, and
        biases and scales (one-dimensional parameters) don't move; "layer", each tensor gets the length of the network's;
        "none", the whole direction has length 1.

    References
    ----------
    Li, Xu, Taylor, Studer, Goldstein 2018, Visualizing the loss landscape of neural nets, NeurIPS, section 4.
    """
    drawn = {n: rng.standard_normal(np.shape(w)) for n, w in origin.items()}
    if normalization == "none":
        length = np.sqrt(sum(float((d**2).sum()) for d in drawn.values()))
        return {n: d / length for n, d in drawn.items()}
    return {n: scaled_like(d, np.asarray(origin[n]), normalization) for n, d in drawn.items()}


def scaled_like(direction: np.ndarray, weights: np.ndarray, normalization: str) -> np.ndarray:
    """A tensor's direction with the lengths of the weights: filter by filter, or as a whole."""
    if normalization == "filter" and weights.ndim < 2:
        return np.zeros_like(direction)
    axes = tuple(range(1, weights.ndim)) if normalization == "filter" else None
    lengths = [
        np.sqrt(np.square(t, dtype=np.float64).sum(axis=axes, keepdims=True)) for t in (weights, direction)
    ]
    return direction * (lengths[0] / np.maximum(lengths[1], np.finfo(float).tiny))


def principal_directions(
    steps: Sequence[Mapping[str, np.ndarray]],
    coordinates: Float[np.ndarray, "k c"],
    names: Sequence[str],
    count: int,
) -> list[dict[str, np.ndarray]]:
    """Unit directions of the first principal axes of a path, from its principal coordinates.

    With coordinates c (centred), the axis is the sum of c[i] w[i] over steps, by the axis's variance.

    Parameters
    ----------
    steps : weights at each of k steps. coordinates : from `gram.coordinates`.
    """
    found: list[dict[str, np.ndarray]] = []
    for j in range(count):
        square = max(float(coordinates[:, j] @ coordinates[:, j]), np.finfo(float).tiny)
        shares = coordinates[:, j] / square
        axis = {n: np.zeros(np.shape(steps[-1][n])) for n in names}
        for share, weights in zip(shares, steps, strict=True):
            for n in names:  # from the last step, so that little is lost of small differences
                axis[n] += share * (np.asarray(weights[n], np.float64) - np.asarray(steps[-1][n], np.float64))
        found.append(axis)
    return found


def walk_shares(
    lengths: Float[np.ndarray, " s"], dimensions: int, count: int, rng: np.random.Generator
) -> float:
    """Share of its variance that a random walk's first principal axes hold, its steps being of given lengths.

    The steps' inner products are drawn as those of Gaussian vectors in as many dimensions (Bartlett's decomposition of a
    Wishart matrix), which needs no vector of that length.

    References
    ----------
    Antognini and Sohl-Dickstein 2018, PCA of high dimensional random walks with comparison to neural network training,
    NeurIPS (the first axis of a long walk holds 61 %, the second 15 %).
    """
    k = len(lengths)
    d = max(dimensions, 1)
    if d >= k:
        lower = np.tril(rng.standard_normal((k, k)), -1)
        lower[np.diag_indices(k)] = np.sqrt(rng.chisquare(d - np.arange(k)))
    else:
        lower = rng.standard_normal((k, d))
    lower /= np.linalg.norm(lower, axis=1, keepdims=True)
    path = np.vstack([np.zeros(lower.shape[1]), np.cumsum(lower * lengths[:, None], axis=0)])
    values = np.linalg.svd(path - path.mean(axis=0), compute_uv=False) ** 2
    return float(values[:count].sum() / values.sum()) if values.sum() > 0 else 1.0


def plane_shares(
    variances: Float[np.ndarray, " c"], dimensions: int, count: int, rng: np.random.Generator
) -> float:
    """Share of a path's variance along a uniformly random frame of ``count`` directions.

    Only the frame's parts along the path's principal axes matter; the rest of it enters by its inner products, which
    are drawn as a Wishart matrix.

    Parameters
    ----------
    variances : along the path's principal axes. dimensions : of the whole space.
    """
    k = min(len(variances), dimensions)
    top = rng.standard_normal((k, count))
    rest = rng.standard_normal((min(dimensions - k, 4 * count), count))
    if dimensions - k > 4 * count:  # as a Wishart matrix of so many degrees of freedom
        lower = np.tril(rng.standard_normal((count, count)), -1)
        lower[np.diag_indices(count)] = np.sqrt(rng.chisquare(dimensions - k - np.arange(count)))
        rest = lower.T
    _, upper = np.linalg.qr(np.vstack([top, rest]))
    along = np.linalg.solve(upper.T, top.T)
    return float((np.square(along).sum(axis=0) * variances[:k]).sum() / variances.sum())
