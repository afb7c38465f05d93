"""A matrix held on a GPU: what `streamed` reads from it on a processor, by the same sums and products in float64."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from workbench.core.lazy import LazyTensor
from workbench.numerics import streamed
from workbench.numerics.device import current, memory_budget, uploaded
from workbench.numerics.streamed import Measures, Sketch

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    Product = Callable[[torch.Tensor], torch.Tensor]

_NUMBERS = 1 << 25  # that are sent at a time, and widened to float64
_SHARE = (
    8  # one part in so many of a device's free memory is for a matrix in float64: several are weighed at once
)
_loading = threading.Lock()
_own = threading.local()


@contextmanager
def own_stream(device: torch.device | str) -> Iterator[None]:
    """Give this thread a stream of its own on a GPU, so that it waits for its own work alone; nothing for a CPU."""
    where = torch.device(device)
    if where.type != "cuda":
        yield
        return
    streams = _own.__dict__.setdefault("streams", {})
    with current(where):
        if where not in streams:
            streams[where] = torch.cuda.Stream(where)
        with torch.cuda.stream(streams[where]):
            yield


def fits(shape: tuple[int, int], device: torch.device | str) -> bool:
    """Whether a device has room for a matrix of float32, its Gram matrix and what its eigenvalues take, beside others."""
    k = min(shape)
    return 4 * shape[0] * shape[1] + 24 * k * k <= memory_budget(torch.device(device)) // 4


def held(matrix: LazyTensor, device: torch.device | str) -> torch.Tensor:
    """A matrix on the device, its floating-point numbers as they are read; whole numbers of 16 bits are bfloat16's codes."""
    n, m = matrix.shape
    step = max(1, _NUMBERS // max(1, m))
    whole: torch.Tensor | None = None
    for start in range(0, n, step):
        rows = matrix.read(start, min(start + step, n))
        some = uploaded(rows.view(np.int16) if rows.dtype.kind == "u" else rows, device)
        if whole is None and len(some) == n:
            whole = some
        else:
            whole = torch.empty((n, m), dtype=some.dtype, device=device) if whole is None else whole
            whole[start : start + len(some)] = some
    assert whole is not None
    return whole if whole.dtype.is_floating_point else whole.view(torch.bfloat16)


def measure_on(whole: torch.Tensor, keep: Int[np.ndarray, " r"]) -> Measures:
    """`streamed.measure` of a matrix on a device, without its Gram matrix."""
    n, m = whole.shape
    step = max(1, _NUMBERS // max(1, m))
    rows = torch.zeros(n, dtype=torch.float64, device=whole.device)
    columns = torch.zeros(m, dtype=torch.float64, device=whole.device)
    told = torch.zeros(5, dtype=torch.float64, device=whole.device)  # NaN, infinite, zeros, sum, largest
    for start in range(0, n, step):
        part = whole[start : start + step]
        wide = torch.nan_to_num(part.double(), nan=0.0, posinf=0.0, neginf=0.0)
        counts = [part.isnan().sum(), part.isinf().sum(), (part == 0).sum(), wide.sum(), wide.abs().amax()]
        here = torch.stack([c.double() for c in counts])
        told = torch.cat([told[:4] + here[:4], torch.maximum(told[4:], here[4:])])
        squares = wide.square_()
        rows[start : start + step] = squares.sum(1)
        columns += squares.sum(0)
    nan, infinite, zeros, total, largest = told.tolist()
    own = rows.cpu().numpy()
    kept = whole[torch.from_numpy(keep).to(whole.device)].float().cpu().numpy()
    return Measures(
        shape=(n, m),
        nan=int(nan),
        infinite=int(infinite),
        first=_first_not_finite(whole, step) if nan or infinite else None,
        zeros=int(zeros),
        total=total,
        square=float(own.sum()),
        largest=largest,
        rows=own,
        columns=columns.cpu().numpy(),
        kept=kept,
        gram=np.empty((0, 0)),
    )


def _first_not_finite(whole: torch.Tensor, step: int) -> tuple[int, int] | None:
    for start in range(0, len(whole), step):
        wrong = ~whole[start : start + step].isfinite()
        if wrong.any():
            row, column = divmod(int(wrong.flatten().byte().argmax()), whole.shape[1])
            return start + row, column
    return None


def gram_spectrum_on(whole: torch.Tensor) -> Float[np.ndarray, " k"]:
    """`streamed.gram_spectrum` of the smaller Gram matrix, descending, added up in float64 a part at a time."""
    n, m = whole.shape
    gram = torch.zeros((min(n, m),) * 2, dtype=torch.float64, device=whole.device)
    if n >= m:
        for part in whole.split(max(1, _NUMBERS // max(1, m))):
            wide = part.double()
            gram.addmm_(wide.mT, wide)
    else:
        for part in whole.split(max(1, _NUMBERS // n), dim=1):
            wide = part.double()
            gram.addmm_(wide, wide.mT)
    _load_linalg(whole.device)
    return np.sqrt(np.maximum(torch.linalg.eigvalsh(gram).flip(0).cpu().numpy(), 0))


def _load_linalg(device: torch.device) -> None:
    """Let torch load its linear algebra of GPUs in one thread: two that ask for it first at once get an error."""
    with _loading:
        torch.linalg.eigvalsh(torch.eye(2, dtype=torch.float64, device=device))


def sketch_on(whole: torch.Tensor, top: int, rng: np.random.Generator) -> Sketch:
    """`streamed.sketch` of a matrix on a device, from the same random starts.

    The basis is made orthonormal by two Gram matrices instead of an SVD: the first leaves out what is under 1e-6 of the
    strongest, as there, and what that leaves of rounding the second takes away.
    """
    side = min(whole.shape)
    steps, probes = min(streamed.STEPS, side), min(streamed.PROBES, side)
    times = _gram_product(whole)
    start = torch.from_numpy(rng.standard_normal((side, probes))).to(whole.device)
    basis, diagonal, off = _lanczos(times, start, steps)
    some = _orthonormal(basis.reshape(-1, side))
    image = times(some)
    product = (some.mT @ image).cpu().numpy()
    values, turn = np.linalg.eigh((product + product.T) / 2)
    values, turn = values[::-1][:top], turn[:, ::-1][:, :top].copy()
    on = torch.from_numpy(turn).to(whole.device)
    away = image @ on - (some @ on) * torch.from_numpy(values.copy()).to(whole.device)
    rest = torch.linalg.vector_norm(away, dim=0).cpu().numpy()
    return streamed.sketch_of(values, rest, diagonal.cpu().numpy(), off.cpu().numpy(), side)


def _gram_product(whole: torch.Tensor) -> Product:
    """What multiplies vectors by the Gram matrix of the shorter side; the matrix is widened once where that fits."""
    n, m = whole.shape
    room = memory_budget(whole.device) // _SHARE
    parts = whole.split(n if 8 * n * m <= room else max(1, _NUMBERS // max(1, m)))
    once = [part.double() for part in parts] if len(parts) == 1 else None

    def wides() -> Iterator[torch.Tensor]:
        return iter(once) if once is not None else (part.double() for part in parts)

    def tall(vectors: torch.Tensor) -> torch.Tensor:
        out = torch.zeros_like(vectors)
        for wide in wides():
            out.addmm_(wide.mT, wide @ vectors)
        return out

    def broad(vectors: torch.Tensor) -> torch.Tensor:
        across = torch.zeros((m, vectors.shape[1]), dtype=torch.float64, device=whole.device)
        for wide, some in zip(wides(), vectors.split(parts[0].shape[0]), strict=True):
            across.addmm_(wide.mT, some)
        return torch.cat([wide @ across for wide in wides()])

    return tall if n >= m else broad


def _lanczos(
    times: Product, start: torch.Tensor, steps: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`streamed._lanczos`, without waiting for a number on the way: a start that has ended goes on as zeros."""
    side, probes = start.shape
    basis = torch.zeros((probes, steps, side), dtype=torch.float64, device=start.device)
    diagonal = torch.zeros((probes, steps), dtype=torch.float64, device=start.device)
    off = torch.zeros((probes, max(steps - 1, 0)), dtype=torch.float64, device=start.device)
    basis[:, 0] = (start / torch.linalg.vector_norm(start, dim=0)).mT
    for k in range(steps):
        now = basis[:, k]
        product = times(now.mT).mT
        diagonal[:, k] = (product * now).sum(1)
        if k == steps - 1:
            break
        before = basis[:, : k + 1]
        product = product[:, :, None]
        for _ in range(2):  # once leaves what rounding makes of near equal vectors
            product = product - before.mT @ (before @ product)
        product = product[:, :, 0]
        norm = torch.linalg.vector_norm(product, dim=1)
        alive = norm > 1e-10 * diagonal.abs().amax()
        off[:, k] = torch.where(alive, norm, 0)
        basis[:, k + 1] = torch.where(alive[:, None], product / norm[:, None], 0)
    return basis, diagonal, off


def _orthonormal(flat: torch.Tensor) -> torch.Tensor:
    """An orthonormal basis, (side, k), of what rows span, less directions under 1e-6 of the strongest."""
    values, vectors = np.linalg.eigh((flat @ flat.mT).cpu().numpy())
    strong = values > 1e-12 * values[-1]
    turn = torch.from_numpy(vectors[:, strong] / np.sqrt(values[strong]))
    some = flat.mT @ turn.to(flat.device)
    lower = np.linalg.cholesky((some.mT @ some).cpu().numpy())
    return some @ torch.from_numpy(np.ascontiguousarray(np.linalg.inv(lower).T)).to(flat.device)


def leading_under_signs(
    block: Float[np.ndarray, "n m"],
    start: Float[np.ndarray, " m"],
    steps: int,
    device: torch.device | str,
) -> Callable[[Int[np.ndarray, "b n m"]], Float[np.ndarray, " b"]]:
    """What gives `streamed.leading_value` of a block under each of several patterns of signs, all at once on a device.

    Parameters
    ----------
    block : float32.
    """
    entries, first = (torch.from_numpy(a).to(device) for a in (block, start))
    return lambda signs: leading_values_on(torch.from_numpy(signs).to(device) * entries, first, steps)


def leading_values_on(w: torch.Tensor, start: torch.Tensor, steps: int) -> Float[np.ndarray, " b"]:
    """`streamed.leading_value` of each of (b, n, m) matrices from one start, by the same steps; one that ends goes on as zeros."""
    many, n, m = w.shape
    steps = min(steps, n, m)
    right = (start / torch.linalg.vector_norm(start)).expand(many, m)
    left, beta = torch.zeros((many, n), dtype=w.dtype, device=w.device), torch.zeros_like(w[:, 0, 0])
    largest = torch.zeros_like(beta)
    held_right, alphas, betas = [right], [], []
    for _ in range(steps):
        left = (w @ right[:, :, None])[:, :, 0] - beta[:, None] * left
        alpha = torch.linalg.vector_norm(left, dim=1)
        largest = torch.maximum(largest, alpha)
        alive = alpha > streamed.ENDED * largest
        left = torch.where(alive[:, None], left / alpha[:, None], 0)
        right = (left[:, None, :] @ w)[:, 0] - alpha[:, None] * right
        before = torch.stack(held_right, 1)
        right = right - ((before @ right[:, :, None]).mT @ before)[:, 0]
        beta = torch.linalg.vector_norm(right, dim=1)
        alive &= beta > streamed.ENDED * largest
        beta = torch.where(alive, beta, 0)
        right = torch.where(alive[:, None], right / beta[:, None], 0)
        alphas.append(alpha)
        betas.append(beta)
        held_right.append(right)
    a, b = (torch.stack(x, 1).double().cpu().numpy() for x in (alphas, betas))
    bidiagonal = np.zeros((many, steps, steps))
    place = np.arange(steps)
    bidiagonal[:, place, place] = a
    bidiagonal[:, place[:-1], place[1:]] = b[:, :-1]
    squared = np.linalg.eigvalsh(bidiagonal @ bidiagonal.transpose(0, 2, 1))[:, -1]
    return np.asarray(np.sqrt(np.maximum(squared, 0)))
