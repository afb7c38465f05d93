"""Tensor decomposition: in how few numbers the layers' matrices may be kept together, and whether because they share anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.early import show_early
from workbench.core.errors import DataError
from workbench.core.evidence import Alternative, Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.named import Null
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.tensor_decompositions import FORMS, Kept, truncated_svds
from workbench.results.curve import Curve
from workbench.subjects.stack import Stack

SHARES = (0.01, 0.02, 0.05, 0.1)  # of the numbers that are kept
ALONE = "SVD of each layer"
SHUFFLED = Null("", "entries lie in each layer as they fell", "each layer's entries shuffled")
SIGNED = Null(
    "",
    "each layer's spectrum and the scales of its rows and columns alone explain it",
    "the signs of each layer's rows and columns turned at random",
)


def shuffled(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Entries permuted within each layer."""
    return rng.permuted(x.reshape(len(x), -1), axis=1).reshape(x.shape)


def signed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Signs of rows and columns turned in each layer: its spectrum and the size of every entry stay."""
    layers, n, m = x.shape
    return x * rng.choice((-1.0, 1.0), (layers, n, 1)) * rng.choice((-1.0, 1.0), (layers, 1, m))


@analysis
def tensor_decomposition(
    stack: Stack,
    *,
    largest_side: Annotated[
        int,
        Interval(ge=2, le=512),
        Doc("Rows and columns at most, drawn at random of more, the same ones in each layer."),
    ] = 64,
    sweeps: Annotated[
        int, Interval(ge=1, le=1000), Doc("Sweeps of a CP form's alternating least squares; Tucker has 2.")
    ] = 10,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Curve:
    """Say how much is left out of the stacked matrices of one role when they are kept together in 1 to 10 % of the numbers.

    The stack (layers, rows, columns) is kept as a CP form, a Tucker form and a tensor train, each at the ranks that hold most
    within the numbers, beside each layer by its own truncated SVD. What is left out is its norm over the stack's. A CP form is
    where alternating least squares had come after ``sweeps``; other starts may do better.

    Two questions are asked of each form's mean error. Is it smaller than with each layer's entries shuffled? And do layers
    share anything: is it smaller than with the signs of each layer's rows and columns turned at random? That keeps each
    layer's spectrum and the size of every entry, so that rows that are large in all layers are no finding; nor is a pattern
    of sizes that layers share.
    Of more than ``largest_side`` rows or columns a random block stands for the whole. Errors are of that block and exact, so
    there is no interval.

    Returns
    -------
    Curve
        ``y`` (4, 4) relative error by share of the numbers and form, with the band of the turned signs.

    Raises
    ------
    DataError
        An entry isn't finite, all are zero, or layers have one row or column.

    References
    ----------
    Kolda and Bader 2009, Tensor decompositions and applications, SIAM Review 51; De Lathauwer, De Moor and Vandewalle 2000,
    SIAM J. Matrix Anal. Appl. 21; Oseledets 2011, Tensor-train decomposition, SIAM J. Sci. Comput. 33.
    """
    x = _block(stack, largest_side, random_state)
    budgets = [int(share * x.size) for share in SHARES]

    def errors(tensor: np.ndarray) -> np.ndarray:
        return np.array([[k.error for k in form(tensor, budgets, sweeps)] for form in FORMS.values()]).T

    kept = {name: form(x, budgets, sweeps) for name, form in FORMS.items()}
    alone = truncated_svds(x, budgets)
    y = np.array([[k.error for k in some] for some in (*kept.values(), alone)]).T
    result = Curve(
        x=np.array(SHARES),
        x_names=tuple(f"{share:.0%}" for share in SHARES),
        y=y,
        names=(*kept, ALONE),
        x_title="numbers kept, of all",
        y_title="error, of the whole",
        beside="signs turned in each layer",
        caveat=_caveat(stack, x, kept, y),
    )
    show_early(result)
    given = x, y[:, :-1].mean(0), errors, n_null, random_state
    of_entries, _ = _beside(SHUFFLED, shuffled, *given)
    of_layers, curves = _beside(SIGNED, signed, *given)
    low, high = _band(curves, y.shape)
    return replace(
        result,
        null_low=low,
        null_high=high,
        evidence=tuple(
            Evidence(
                id=id,
                of=name,
                question=question,
                label=f"mean error of the {name} form",
                value=float(y[:, i].mean()),
                n=x.size,
                unit="entries",
                **said[i],
            )
            for id, question, said in (
                ("compressible", "Do fewer numbers do than for the same entries in any order?", of_entries),
                ("layers_share", "Do layers share more than their own spectra and scales give?", of_layers),
            )
            for i, name in enumerate(FORMS)
        ),
    )


def _beside(
    null: Null,
    change: Callable[..., np.ndarray],
    x: np.ndarray,
    values: np.ndarray,
    errors: Callable[[np.ndarray], np.ndarray],
    n_null: int,
    random_state: int,
) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """What is said of each form's mean error beside a null, and the null's curves."""
    if not n_null:
        return [null.refused("no null was drawn", "less")] * len(values), []
    curves: list[np.ndarray] = []

    def draw(rng: np.random.Generator) -> np.ndarray:
        curves.append(errors(change(x, rng)))
        return np.asarray(curves[-1].mean(0))

    ways: list[Alternative] = ["less"] * len(values)
    drawn = draw_until_clear(draw, values, ways, n_null, random_state, "tensor decomposition: null")
    return [null.said(d.tolist(), "less") for d in drawn], curves


def _block(stack: Stack, largest_side: int, random_state: int) -> np.ndarray:
    """A random block of every layer, of norm 1."""
    if min(stack.shape) < 2:
        raise DataError(
            f"{stack.name} has layers of {stack.shape[0]} x {stack.shape[1]}; both sides need two or more."
        )
    rng = np.random.default_rng([random_state, 0x74656E])
    rows, columns = (np.sort(rng.choice(n, min(n, largest_side), replace=False)) for n in stack.shape)
    x = stack.block(rows, columns)
    largest = np.abs(x).max()
    if largest == 0:
        raise DataError(f"All entries of {stack.name} that were read are zero: there is nothing to keep.")
    x /= largest
    return x / np.linalg.norm(x)


def _band(curves: list[np.ndarray], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95 % of the drawn curves; none for layers by themselves, to which turned signs do nothing."""
    if not curves:
        return np.empty((0, 0)), np.empty((0, 0))
    low, high = np.full((2, *shape), np.nan)
    low[:, :-1], high[:, :-1] = np.quantile(curves, (0.025, 0.975), axis=0)
    return low, high


def _caveat(stack: Stack, x: np.ndarray, kept: dict[str, list[Kept]], y: np.ndarray) -> str:
    ranks = "; ".join(f"{name} of rank {' x '.join(map(str, k[-1].ranks))}" for name, k in kept.items())
    said = f"At {SHARES[-1]:.0%}: {ranks}."
    better = [name for i, name in enumerate(kept) if y[-1, i] < y[-1, -1]]
    said += (
        f" There {' and '.join(better)} leave{'s' if len(better) == 1 else ''} out less than each layer's own SVD in as many numbers."
        if better
        else " No form that layers share leaves out less there than each layer's own SVD in as many numbers."
    )
    if x.shape[1:] != stack.shape:
        said += f" Of a random block of {x.shape[1]} x {x.shape[2]} of {stack.shape[0]:,} x {stack.shape[1]:,} entries a layer."
    return said
