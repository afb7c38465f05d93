"""All that is said of one weight matrix, wherever it is held."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from workbench.analyses.weights._held import Held
from workbench.analyses.weights._roles import Role
from workbench.analyses.weights.singular_values import _edge
from workbench.core.digest import digest
from workbench.core.evidence import Evidence
from workbench.core.progress import unheard
from workbench.evidence.nulls.same_scales import OF_ENTRIES, random_signs
from workbench.numerics.controls import draw_several_until_clear, draw_until_clear, generators
from workbench.numerics.heavy_tails import against_lognormal, against_truncated, like, tail, verdict
from workbench.numerics.noise_spectra import band_of_noise, ranks_shown
from workbench.numerics.number_grids import grid_of
from workbench.numerics.schmidt import page_entropy, schmidt_entropy
from workbench.numerics.spectra import noise_level
from workbench.numerics.streamed import LOST, Measures, Sketch, spread

TOP = 16  # singular values of a sketch
BLOCK = 320  # rows and columns at most, of what is drawn with its signs turned
LANCZOS = 16  # steps to the largest singular value of the block and of each drawn one
GRID_ROWS = 32  # from which the grid is read
MOST_TAIL = 8192  # values of a tail that is drawn anew a hundred times: half a second
OUTLIER = 3.0  # times the median norm, from which on a row or column is an outlier

Facts = dict[str, Any]


@dataclass(frozen=True)
class Weighed:
    """What one matrix is: facts by name, and the questions that were tested."""

    facts: Facts
    evidence: tuple[Evidence, ...]


def weigh(
    name: str,
    role: Role,
    stored: str,
    *,
    exact: bool,
    small_values: bool,
    n_null: int,
    random_state: int,
    held: Held,
) -> Weighed:
    """Weigh one matrix; its random choices are its own, whatever stands beside it and wherever it is held.

    Parameters
    ----------
    stored : dtype in the file, for people. exact : whether all singular values are computed, or a sketch of them.
    small_values : whether all are computed by an SVD of the whole matrix, which loses none.
    held : what sums over its entries, multiplies by it and finds its singular values.
    """
    own = int(digest(name)[:8], 16)
    rng = np.random.default_rng([random_state, own])
    n, m = held.shape
    drawn = np.sort(rng.choice(n, min(n, BLOCK), replace=False))
    sums = held.measures(drawn, gram=exact and not small_values)
    facts: Facts = {
        "name": name,
        "role": role.name,
        "confidence": role.confidence,
        "layer": role.layer,
        "rows": n,
        "columns": m,
        "stored": stored,
        **_of_entries(sums),
    }
    if sums.nan or sums.infinite or not sums.square:
        return Weighed(facts | dict.fromkeys(_OF_SPECTRUM), ())
    with unheard():
        if exact:
            s = held.by_svd() if small_values else held.by_gram(sums)
            floor = np.finfo(np.float64).eps * max(n, m) if small_values else LOST
            facts |= _of_spectrum(s, sums, None, floor)
            facts["tier"] = "SVD" if small_values else "exact"
        else:
            found = held.sketch(TOP, rng)
            s = np.empty(0)
            facts |= _of_spectrum(found.bulk, sums, found)
        evidence = [_against_turned(name, held, sums, rng, n_null, random_state + own)]
        if exact and (asked := _tail(name, s, facts, n_null, random_state + own)) is not None:
            evidence.append(asked)
    return Weighed(facts, tuple(evidence))


def _of_entries(sums: Measures) -> Facts:
    size = sums.shape[0] * sums.shape[1]
    finite = max(size - sums.nan - sums.infinite, 1)
    grid = grid_of(sums.kept[:GRID_ROWS])
    rows, columns = np.sqrt(sums.rows), np.sqrt(sums.columns)
    return {
        "norm": float(np.sqrt(sums.square / finite)),
        "frobenius": float(np.sqrt(sums.square)),
        "largest_entry": sums.largest,
        "mean": sums.total / finite,
        "sparsity": sums.zeros / finite,
        "grid": grid.words,
        "grid_noise": grid.noise,
        **_outliers("row", rows),
        **_outliers("column", columns),
        "non_finite": sums.nan + sums.infinite,
        "nan": sums.nan,
        "first_non_finite": list(sums.first) if sums.first else None,
    }


def _outliers(side: str, norms: np.ndarray) -> Facts:
    """The largest norm over the median, how many are `OUTLIER` times the median, and which, the largest first."""
    middle = float(np.median(norms))
    over = norms / middle if middle > 0 else np.zeros(len(norms))
    many = int((over >= OUTLIER).sum())
    return {
        f"{side}_outlier": float(over.max(initial=0)),
        f"{side}_outliers": many,
        f"{side}s_that_stand_out": np.argsort(-over, kind="stable")[: min(many, 5)].tolist(),
        f"zero_{side}s": int((norms == 0).sum()),
    }


_OF_SPECTRUM = (
    *("tier", "largest", "largest_bound", "stable_rank", "stable_rank_share"),
    *("effective_rank", "effective_rank_error", "effective_rank_share", "lost", "noise", "noise_error"),
    *("schmidt_entropy", "entropy_below_random"),
    *("largest_over_noise", "outside", "outside_share", "spectrum"),
    *("alpha", "alpha_error", "tail_start", "tail_values", "tail", "over_lognormal", "over_lognormal_p"),
    *("over_truncated", "over_truncated_p"),
)


def _of_spectrum(s: np.ndarray, sums: Measures, found: Sketch | None, floor: float = LOST) -> Facts:
    """What the singular values say; of a sketch with the bounds and errors, and only what these carry.

    Parameters
    ----------
    floor : of the largest, under which values are rounding.
    """
    side = min(sums.shape)
    top = s if found is None else found.top
    bound = 0.0 if found is None else float(found.bound[0])
    level = noise_level(s, sums.shape)
    edge = _edge(top, level, sums.shape, of_complex=False) if side > 1 else float(top[0])
    above = top[top > edge]
    told = found is None or (len(above) < len(top) and bool((found.bound[: len(above)] < 0.01 * edge).all()))
    ranks = (spread(s), 0.0) if found is None else (found.effective_rank, found.effective_rank_error)
    return {
        **dict.fromkeys(_OF_SPECTRUM),
        "tier": "exact" if found is None else "sketch",
        "largest": float(top[0]),
        "largest_bound": bound,
        "stable_rank": sums.square / float(top[0]) ** 2,
        "stable_rank_share": sums.square / float(top[0]) ** 2 / side,
        "effective_rank": ranks[0],
        "effective_rank_error": ranks[1],
        "effective_rank_share": ranks[0] / side,
        **(_entropy(s, sums.shape) if found is None else {}),
        "lost": int((s < floor * s[0]).sum()) if found is None else None,
        "noise": level,
        "noise_error": 0.0
        if found is None
        else level * found.median_error / max(float(np.median(s)), 1e-300),
        "largest_over_noise": float(top[0]) / edge if edge > 0 else None,
        "outside": len(above) if told else None,
        "outside_share": float(np.square(above).sum()) / sums.square if told else None,
        "spectrum": _drawn(s, top, level, sums.shape, floor),
    }


def _drawn(s: np.ndarray, top: np.ndarray, level: float, shape: tuple[int, int], floor: float) -> Facts:
    """Singular values at a few ranks with what noise has there; those that are lost are left out."""
    ranks = ranks_shown(min(shape))
    values = np.concatenate([top, s[len(top) :]])[ranks - 1]
    held = values > floor * top[0]
    low, high = (level * edge for edge in band_of_noise(shape, ranks))
    return {
        "ranks": ranks[held].tolist(),
        "values": _short(values[held]),
        "low": _short(low[held]) if level > 0 else [],
        "high": _short(high[held]) if level > 0 else [],
        "known": len(top),
    }


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{v:.5g}") for v in values]


def _entropy(s: np.ndarray, shape: tuple[int, int]) -> Facts:
    """The Schmidt entropy across rows and columns, and how far it is below that of random real entries of one scale."""
    entropy = schmidt_entropy(s)
    random = page_entropy(*shape) - 1 / (2 * max(shape))
    return {"schmidt_entropy": entropy, "entropy_below_random": random - entropy}


def _against_turned(
    name: str, held: Held, sums: Measures, rng: np.random.Generator, n_null: int, random_state: int
) -> Evidence:
    """Whether the strongest direction of a random block holds more than the same entries do with their signs turned."""
    m = sums.shape[1]
    columns = np.sort(rng.choice(m, min(m, BLOCK), replace=False))
    block = np.ascontiguousarray(sums.kept[:, columns])
    largest = np.abs(block).max()
    block = block / largest if largest > 0 else block
    start = rng.standard_normal(block.shape[1]).astype(np.float32)
    square = float(np.square(block, dtype=np.float64).sum())
    leading = held.leading(block, start, LANCZOS)

    def ranks(signs: np.ndarray) -> np.ndarray:
        values = leading(signs)
        return np.divide(square, np.square(values), out=np.zeros_like(values), where=values > 0)

    value = float(ranks(np.ones((1, *block.shape), np.int8))[0])
    why = "" if min(block.shape) > 1 and square > 0 else "it has one row or column that isn't zero"
    if why or not n_null:
        said = OF_ENTRIES.refused(why or "no null was drawn", "less")
    else:
        rngs = iter(generators(n_null, random_state))

        def draw(many: int) -> np.ndarray:
            return ranks(np.stack([random_signs(rng, block.shape) for rng in islice(rngs, many)]))

        draws = draw_several_until_clear(draw, value, n_null, alternative="less", at_once=held.at_once)
        whole = block.shape == sums.shape
        details = "" if whole else f"of a random block of {block.shape[0]} x {block.shape[1]} entries"
        said = OF_ENTRIES.said(draws.tolist(), "less", details=details)
    return Evidence(
        id="stable_rank",
        of=name,
        question="Does the strongest direction hold more of the whole?",
        label=f"stable rank of {name}",
        value=value,
        n=block.shape[0],
        **said,
    )


def _tail(name: str, s: np.ndarray, facts: Facts, n_null: int, random_state: int) -> Evidence | None:
    """Fit a power law to the squared singular values into ``facts``, and test it; None where there is none to fit."""
    x = np.square(s[s >= LOST * s[0]])
    if len(x) > MOST_TAIL or (fitted := tail(x)) is None:
        return None
    value = np.array([fitted.distance])

    def again(rng: np.random.Generator) -> np.ndarray:
        other = tail(like(x, fitted, rng))
        return np.array([other.distance if other else np.nan])

    draws = draw_until_clear(again, value, ["greater"], n_null, random_state)[0].tolist() if n_null else []
    asked = Evidence(
        id="not_a_power_law",
        of=name,
        question="Is the tail of the squared singular values no power law?",
        label=f"distance of the tail of {name} from a power law",
        value=fitted.distance,
        n=fitted.n,
        unit="squared singular values",
        null="values drawn from the fitted power law" if draws else "",
        null_details="singular values repel each other and so lie nearer to any law than independent ones, which makes p large",
        hypothesis="the largest squared singular values are independent draws from a power law",
        null_values=tuple(draws),
        untested="" if draws else "no null was drawn",
    )
    curved, cut = against_lognormal(x, fitted), against_truncated(x, fitted)
    facts |= {
        "alpha": fitted.alpha,
        "alpha_error": fitted.error,
        "tail_start": fitted.start,
        "tail_values": fitted.n,
        "tail": verdict(x, fitted, p, (curved, cut)) if (p := asked.p_value) is not None else None,
        "over_lognormal": curved.ratio,
        "over_lognormal_p": curved.p_value,
        "over_truncated": cut.ratio,
        "over_truncated_p": cut.p_value,
    }
    return asked
