"""Tether agreement: whether sources hold on to the same edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from typing_extensions import Doc

from workbench.analyses.tethers._asking import Fraction, Sources, Step, Within, chosen, drawn, halves
from workbench.core.errors import DataError, ParameterError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.resampling import NORMAL, null_draws
from workbench.numerics.tethers import SAMPLED, Scope, Tensors, flat, top
from workbench.results.matrix import MatrixResult
from workbench.subjects.descents.places import at_step
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    from jaxtyping import Float

Agreement = Literal["spearman", "overlap"]


@analysis
def tether_agreement(
    descent: Descent,
    *,
    step: Step = None,
    sources: Sources = (),
    measure: Annotated[
        Agreement,
        Doc(
            "Rank correlation of all edges, or the share of the tethered edges of one that the other has too."
        ),
    ] = "spearman",
    fraction: Fraction = 0.1,
    scope: Within = "layer",
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 20,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> MatrixResult:
    """Compare every two sources' tethers of the same weights.

    With ``scope="layer"`` edges are ranked in each layer and layers count by their edges; with ``"network"`` all edges are
    ranked together, where layers that differ in scale make sources agree or not. The null puts each
    source's neurons in an order of its own, in every layer its rows and its columns, so that neurons all of whose edges are
    strong stay such; the interval is over the probe's samples (random halves of them, widened to the whole,
    around the value), so that pairs of sources that don't look at samples have none.

    Some sources are made of others: gradient × weight, Fisher × weight² and what a dropped edge costs all hold |w| as a
    factor. That these agree with magnitude is no discovery.

    Returns
    -------
    MatrixResult
        ``values`` (sources, sources); ``low`` and ``high`` are NaN where there is no interval.

    Raises
    ------
    ViewError, MissingError
        No weights; or a source that was named can't be had.
    ParameterError
        A source is unknown, or fewer than two are left to compare.
    DataError
        The probe has fewer than four samples.

    References
    ----------
    Spearman 1904, The proof and measurement of association between two things, Am. J. Psychol. 15; for intervals
    Politis and Romano 1994, Large sample confidence regions based on subsamples, Ann. Statist. 22.
    """
    place = at_step(descent, step)
    names, lacking = chosen("tether_agreement", place, sources)
    names = names if sources else [s for s in names if s != "attention"]  # which doesn't speak of every layer
    if len(names) < 2:
        raise ParameterError(
            f"tether_agreement: sources={sources!r} leaves nothing to compare; name two or more. {lacking}"
        )
    n = len(place.probe) if place.probe is not None else 0
    asked_of = any(s in SAMPLED for s in names)
    if asked_of and n < 4:
        raise DataError(f"The probe of {descent.name} has {n} samples; half of them must be two at least.")
    counts = np.concatenate([np.ones((1, n)), halves(n, n_boot if n_boot > 1 else 0, random_state)])
    found = [drawn(place, s, counts, random_state=random_state, device=device) for s in names]
    layers = [n for n in place.weights if all(n in f[0] for f in found)]
    if not layers:
        raise ParameterError(f"tether_agreement: sources={sources!r} have no layer in common.")
    coded = [
        np.stack([_code({k: f[b][k] for k in layers}, measure, fraction, scope, random_state) for f in found])
        for b in range(len(counts))
    ]
    shapes = [place.weights[k].shape for k in layers]
    values, *halved = (_products(c) for c in coded)
    widen = NORMAL * np.sqrt((n // 2) / max(n - n // 2, 1))
    depends = np.array([s in SAMPLED for s in names])
    width = np.full(values.shape, np.nan)
    if halved:
        width = np.where(depends | depends[:, None], widen * np.std(halved, axis=0, ddof=1), np.nan)
        np.fill_diagonal(width, np.nan)
    null = null_draws(
        lambda rng: _products(_shuffled(coded[0], shapes, rng)), n_null, random_state, "agreement: null"
    )
    evidence = []
    for i, name in enumerate(["all sources", *names]):
        value, draws, again = (_mean(m, i - 1) for m in (values, null, np.array(halved)))
        interval = None
        if halved and depends.any():
            half = widen * float(again.std(ddof=1))
            interval = (float(value) - half, float(value) + half)
        evidence.append(
            Evidence(
                question=f"Do {name} agree beyond chance?"
                if i == 0
                else f"Does {name} agree with the others beyond chance?",
                id="agreement",
                of="" if i == 0 else name,
                label=f"{_NAMES[measure]}, {name if i == 0 else name + ' with the others'}",
                value=float(value),
                n=coded[0].shape[1],
                unit="edges",
                interval=interval,
                interval_method="random halves of the probe's samples",
                null="neurons in another order for each source" if n_null else "",
                hypothesis="sources tether edges without regard to each other",
                null_values=tuple(draws),
            )
        )
    return MatrixResult(
        values=values,
        row_names=tuple(names),
        column_names=tuple(names),
        low=values - width,
        high=values + width,
        quantity=_NAMES[measure],
        evidence=tuple(evidence),
        caveat=lacking,
    )


_NAMES = {"spearman": "rank correlation", "overlap": "share of tethered edges in common"}


def _code(
    tethers: Tensors, measure: Agreement, fraction: float, scope: Scope, random_state: int
) -> np.ndarray:
    """All edges' numbers in one vector, such that the mean product of two is their agreement, (D,)."""
    if measure == "overlap":
        marked = flat(top(tethers, fraction, scope=scope, random_state=random_state)).astype(np.float64)
        return marked * np.sqrt(len(marked) / max(marked.sum(), 1))
    if scope == "network":
        return _standard(flat(tethers))
    return np.concatenate([_standard(t.ravel()) for t in tethers.values()])


def _standard(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    ranks = rankdata(values)
    spread = ranks.std()
    return (ranks - ranks.mean()) / (spread if spread > 0 else 1.0)


def _products(codes: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "k k"]:
    return codes @ codes.T / codes.shape[1]


def _shuffled(
    codes: Float[np.ndarray, "k d"], shapes: list[tuple[int, ...]], rng: np.random.Generator
) -> np.ndarray:
    """Each source's tethers with the layer's rows and columns in random orders: a neuron whose edges are all strong stays one."""
    ends = np.cumsum([int(np.prod(s)) for s in shapes])
    parts = []
    for part, shape in zip(np.split(codes, ends[:-1], axis=1), shapes, strict=True):
        layers = part.reshape(len(codes), shape[0], shape[1] if len(shape) > 1 else 1, -1)
        parts.append(
            np.stack(
                [x[rng.permutation(x.shape[0])][:, rng.permutation(x.shape[1])] for x in layers]
            ).reshape(part.shape)
        )
    return np.concatenate(parts, axis=1)


def _mean(agreement: Float[np.ndarray, "*b k k"], who: int) -> np.ndarray:
    """Mean agreement of all pairs of two (``who`` = -1), or of one source with the others."""
    k = agreement.shape[-1]
    if not agreement.size:
        return np.empty(0)
    others = ~np.eye(k, dtype=bool)
    return agreement[..., others].mean(-1) if who < 0 else agreement[..., who, others[who]].mean(-1)
