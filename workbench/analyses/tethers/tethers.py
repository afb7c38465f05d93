"""Tethers: how much each edge of a layer is to be held on to, by one source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import numpy as np
from typing_extensions import Doc

from workbench.analyses.tethers._asking import Fraction, Step, drawn, halves
from workbench.core.errors import MissingError, suggest
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.resampling import null_draws, percentile_interval
from workbench.numerics.tethers import SAMPLED, SOURCES, SourceName, Tensors, require, top
from workbench.results.matrix import MatrixResult
from workbench.subjects.descents.places import at_step
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    from jaxtyping import Float


@analysis
def tethers(
    descent: Descent,
    *,
    source: Annotated[
        SourceName,
        Doc("Where tethers come from: " + "; ".join(f"{k}: {v.about}" for k, v in SOURCES.items())),
    ] = "fisher",
    step: Step = None,
    layer: Annotated[str | None, Doc("Weight whose tethers are shown; None: the first that has any.")] = None,
    fraction: Fraction = 0.1,
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 10,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> MatrixResult:
    """Show one source's tethers of one layer, T with the shape of W, and ask three things of them.

    Do the most tethered edges of the whole network lie in this layer more often than its size would have it (null: so
    many edges anywhere)? Do tethers gather at some units, so that a row's and a column's means say what an edge's tether is
    (share of the variance of ranks that they explain; null: tethers permuted within the layer)? And would other
    samples tether the same edges (rank correlation between tethers of two halves of the probe, mean and middle 95 %
    of ``n_boot`` splits; null: the units of one half permuted, of one split, so that what a unit's edges share by the
    samples stays, and splits of the same samples don't pass for new ones)? The last is asked of sources that look at
    samples. Entries of a convolution's kernel are summed.

    Returns
    -------
    MatrixResult
        ``values`` (outputs, inputs) of the layer, not negative, in the source's own unit.

    Raises
    ------
    ViewError, MissingError
        The source needs something that the descent hasn't; or there is no such layer or step.
    DataError
        Weights or tethers aren't finite.

    References
    ----------
    Kunstner, Hennig and Balles 2019, Limitations of the empirical Fisher approximation, NeurIPS (both Fishers); Theis,
    Korshunova, Tejani and Huszár 2018, Faster gaze prediction with dense networks and Fisher pruning; Lee, Ajanthan
    and Torr 2019, SNIP, ICLR (gradient × weight); Sanh, Wolf and Rush 2020, Movement pruning, NeurIPS; Kingma and Ba
    2015, Adam, ICLR; Kobayashi et al. 2020, Attention is not only a weight, EMNLP; Page, Brin, Motwani and Winograd
    1999, The PageRank citation ranking.
    """
    place = at_step(descent, step)
    require(place, source)
    n = len(place.probe) if place.probe is not None and source in SAMPLED else 0
    first = halves(n, n_boot if n >= 4 else 0, random_state)
    whole, *parts = drawn(
        place,
        source,
        np.concatenate([np.ones((1, n)), first, 1 - first]),
        random_state=random_state,
        device=device,
    )
    name = _layer(layer, whole, descent.name)
    t = whole[name].reshape(*whole[name].shape[:2], -1).sum(2)
    evidence = [
        _share(whole, name, fraction, n_null, random_state),
        _gathered(t, n_null, random_state),
    ]
    if len(first):
        pairs = [
            (a[name], b[name])
            for a, b in zip(parts[: len(first)], parts[len(first) :], strict=True)
        ]
        evidence.append(_repeats(pairs, n_null, random_state))
    return MatrixResult(
        values=t,
        row_names=tuple(f"out {i}" for i in range(len(t))),
        column_names=tuple(f"in {j}" for j in range(t.shape[1])),
        quantity=source.replace("_", " "),
        title=f"Tethers of {name} by {source} of {descent.name} at step {place.step}",
        evidence=tuple(evidence),
        caveat=f"{source}: {SOURCES[source].about}.",
    )


def _layer(name: str | None, held: Tensors, owner: str) -> str:
    if name is None:
        return next(iter(held))
    if name not in held:
        raise MissingError(
            f"{owner} has no layer={name!r} that is tethered by this source. {suggest(name, held)}"
        )
    return name


def _share(tethers: Tensors, name: str, fraction: float, n_null: int, random_state: int) -> Evidence:
    """How many of the network's most tethered edges lie in a layer, beside the layer's share of all edges."""
    chosen = top(tethers, fraction, scope="network", random_state=random_state)
    sizes = {k: c.size for k, c in chosen.items()}
    k, total = int(sum(c.sum() for c in chosen.values())), sum(sizes.values())
    null = null_draws(
        lambda rng: rng.hypergeometric(sizes[name], total - sizes[name], k) / max(k, 1), n_null, random_state
    )
    return Evidence(
        question=f"Do the most tethered edges lie in {name} more or less often than its size would have it?",
        id="share_in_layer",
        label=f"share of the most tethered {100 * fraction:.3g} % of edges that lies in {name}",
        value=chosen[name].sum() / max(k, 1),
        n=k,
        unit="edges",
        null="edges anywhere" if n_null else "",
        hypothesis="edges are tethered without regard to their layer",
        null_values=tuple(null),
        alternative="two-sided",
    )


def _gathered(t: Float[np.ndarray, "o i"], n_null: int, random_state: int) -> Evidence:
    ranks = _ranks(t)
    null = null_draws(
        lambda rng: _by_units(rng.permuted(ranks.ravel()).reshape(t.shape)), n_null, random_state
    )
    return Evidence(
        question="Do tethers gather at some units?",
        id="explained_by_units",
        label="share of the ranks' variance that units explain",
        value=_by_units(ranks),
        n=t.size,
        unit="edges",
        null="tethers permuted within the layer" if n_null else "",
        hypothesis="edges are tethered without regard to their units",
        null_values=tuple(null),
    )


def _by_units(ranks: Float[np.ndarray, "o i"]) -> float:
    """R² of an edge's rank on its two units' means (two-way analysis of variance without interaction)."""
    centred = ranks - ranks.mean()
    total = float(np.square(centred).sum())
    if total == 0:
        return 0.0
    rows, columns = centred.mean(1), centred.mean(0)
    return float(np.square(rows).sum() * ranks.shape[1] + np.square(columns).sum() * ranks.shape[0]) / total


def _repeats(pairs: list[tuple[np.ndarray, np.ndarray]], n_null: int, random_state: int) -> Evidence:
    ranked = [(_ranks(a), _ranks(b)) for a, b in pairs]
    values = np.array([_correlation(a, b) for a, b in ranked])

    def elsewhere(rng: np.random.Generator) -> float:
        a, b = ranked[rng.integers(len(ranked))]
        return _correlation(a, b[rng.permutation(b.shape[0])][:, rng.permutation(b.shape[1])])

    null = null_draws(elsewhere, n_null, random_state)
    return Evidence(
        question="Would other samples tether the same edges?",
        id="repeatability",
        label="rank correlation between two halves of the samples",
        value=values.mean(),
        n=pairs[0][0].size,
        unit="edges",
        interval=percentile_interval(values),
        interval_method="random halves",
        null="one half's units permuted" if n_null else "",
        hypothesis="which edges are tethered depends on the samples alone",
        null_values=tuple(null),
    )


def _ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return cast("np.ndarray", rankdata(values, axis=None).reshape(values.shape))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = (v.ravel() - v.mean() for v in (a, b))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
