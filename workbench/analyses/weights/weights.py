"""Weights: what each matrix of a checkpoint is, beside the same entries with their signs turned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.weights._held import where_held
from workbench.analyses.weights._roles import ORDER, role_of
from workbench.analyses.weights._weighing import Weighed, weigh
from workbench.core.errors import MissingError
from workbench.core.lazy import LazyTensor
from workbench.core.parameters import NullDraws, OnDevice, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.multiplicity import hochberg
from workbench.numerics.streamed import as_rows
from workbench.numerics.threads import in_order
from workbench.results.weight_map import WeightMap
from workbench.subjects.checkpoint import Checkpoint, TensorInfo

LEVEL = 0.05


@analysis
def weights(
    checkpoint: Checkpoint,
    *,
    largest_exact: Annotated[
        int,
        Interval(ge=0, le=1_000_000),
        Doc(
            "Shorter side up to which all singular values of a matrix are computed; of others a sketch. 0 sketches all."
        ),
    ] = 8192,
    small_values: Annotated[
        bool,
        Doc(
            "Whether singular values below 1e-7 of the largest are found too, by an SVD of each whole matrix in float64: slower."
        ),
    ] = False,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> WeightMap:
    """Weigh every matrix of a checkpoint: role, norms, rank, noise, tail, sparsity, grid, outliers, and what isn't finite.

    Matrices are read a few rows at a time, several at once, each with one thread of linear algebra. All singular values come of
    the Gram matrix in float64, where those below 1e-7 of the largest are lost and counted (``lost``) unless ``small_values``
    are asked for; of a longer shorter side than ``largest_exact`` the largest are found by Lanczos, each with a bound
    (``largest_bound``), and the effective rank with its standard error. The bulk is the law of Marchenko and Pastur whose level
    the median singular value gives; what lies over its edge is ``outside``. The entropy of the shares of the squared singular
    values is set beside Page's value, that of random entries (``entropy_below_random``). The tail of the squared singular
    values is fitted by a power law whose beginning is chosen among all (Clauset, Shalizi and Newman), and called one only where
    an exponent that changes along it is excluded.

    Two questions are asked of each matrix. Does its strongest direction hold more than the same entries do under random
    signs, which keep the scales of rows and columns? It is asked of a random block of at most 320 x 320, and both by 16 steps
    of Lanczos. And is the tail no power law, beside draws from the fitted one? A matrix with NaN or infinite entries has these
    counted and the first located; its sums leave them out, and it has no spectrum. Tensors of equal content are weighed once,
    and experts that are stacked in one tensor each by itself.
    On a GPU sums over entries, spectra, sketches and turned signs are computed there, by the same products in float64 and with
    the same draws; the fit of the tail and SVDs aren't.

    Returns
    -------
    WeightMap
        One line a matrix, by role and layer.

    Raises
    ------
    MissingError
        It holds no weight matrix.

    References
    ----------
    Marchenko and Pastur 1967, Math. USSR Sbornik 1; Clauset, Shalizi and Newman 2009, Power-law distributions in empirical
    data, SIAM Review 51; Martin and Mahoney 2021, Implicit self-regularization in deep neural networks, JMLR 22; Lin, Saad and
    Yang 2016, Approximating spectral densities of large matrices, SIAM Review 58; Hong, Sheng and Dobriban 2020, Selecting the
    number of components in PCA via random signflips, arXiv:2012.02985; Page 1993, Average entropy of a subsystem, Phys. Rev. Lett. 71.
    """
    plan, each = planned(checkpoint), checkpoint.experts_apart()

    def work(name: str) -> Weighed:
        return weighed(each, name, largest_exact, small_values, n_null, random_state, device)

    with closing(in_order(work, plan.names)) as done:
        answers = dict(zip(plan.names, track(done, "weights", len(plan.names)), strict=True))
    return together(plan, answers)


@dataclass(frozen=True)
class Plan:
    """Which tensors are weighed.

    Attributes
    ----------
    names : by role and layer. tied : names of equal content to the one that stands for them.
    aside : what isn't weighed, and why, in words.
    """

    names: tuple[str, ...]
    tied: Mapping[str, str]
    aside: tuple[str, ...]


def planned(checkpoint: Checkpoint) -> Plan:
    """Choose what is weighed, from the headers and, where two could be one tensor, from their content; each expert by itself.

    Raises
    ------
    MissingError
        There is no weight matrix.
    """
    checkpoint = checkpoint.experts_apart()
    wide = {n: t for n, t in checkpoint.tensors.items() if len(t.shape) > 1 and 0 not in t.shape}
    chosen = [n for n, t in wide.items() if t.floating and not t.packed]
    if not chosen:
        raise MissingError(
            f"{checkpoint.name} has no weight matrix: no tensor of two dimensions that holds floating point ({checkpoint.holds}). "
            "Open the file that holds the weights themselves."
        )
    tied = _tied(checkpoint, {n: wide[n] for n in chosen})
    kept = [n for n in chosen if n not in tied]
    roles = {n: role_of(n, wide[n].shape) for n in kept}
    kept.sort(key=lambda n: (ORDER.index(roles[n].name), roles[n].layer))
    left = Counter(wide[n].packed or f"numbers of type {wide[n].dtype}" for n in wide if n not in chosen)
    return Plan(tuple(kept), tied, tuple(f"{many} of {what}" for what, many in left.items()))


def weighed(
    checkpoint: Checkpoint,
    name: str,
    largest_exact: int,
    small_values: bool,
    n_null: int,
    random_state: int,
    device: str,
) -> Weighed:
    """Weigh one tensor of a checkpoint."""
    info = checkpoint.tensors[name]
    exact = shorter_side(info) <= largest_exact
    # float32, as which all else is read, has rounded what small values of float64 weights are made of
    double = checkpoint.stored(name) if small_values and info.dtype == "F64" else None
    matrix = as_rows(checkpoint.lazy(name) if double is None else double)
    with where_held(matrix, _in_16_bits(checkpoint, name), device if double is None else "cpu") as held:
        return weigh(
            name,
            role_of(name, info.shape),
            info.noise or info.dtype,
            exact=exact,
            small_values=small_values,
            n_null=n_null,
            random_state=random_state,
            held=held,
        )


def _in_16_bits(checkpoint: Checkpoint, name: str) -> LazyTensor | None:
    """A tensor as it lies in its file, where that takes 16 bits a number."""
    stored = checkpoint.stored(name) if checkpoint.tensors[name].dtype in ("BF16", "F16") else None
    return None if stored is None else as_rows(stored)


def shorter_side(info: TensorInfo) -> int:
    """The shorter side of a tensor as a matrix."""
    rows = info.shape[0]
    return min(rows, int(np.prod(info.shape[1:])))


def together(plan: Plan, answers: Mapping[str, Weighed]) -> WeightMap:
    """Put what was found of each matrix into one answer."""
    evidence = [e for n in plan.names for e in answers[n].evidence]
    also = {n: [o for o, first in plan.tied.items() if first == n] for n in plan.names}
    facts = [answers[n].facts | ({"also": also[n]} if also[n] else {}) for n in plan.names]
    p = {e.of: v for e in evidence if e.id == "stable_rank" and (v := e.p_value) is not None}
    clear = int((hochberg(np.array(list(p.values()))) <= LEVEL).sum()) if p else 0
    said = []
    if p:
        said.append(
            f"In {clear} of {len(p)} matrices the strongest direction holds more than turned signs give (5 %, corrected for "
            f"their number)."
        )
        draws = max(len(e.null_values) for e in evidence if e.id == "stable_rank")
        beyond_all = sum(v * (draws + 1) < 1.5 for v in p.values())
        if beyond_all > clear:
            said[-1] += (
                f" In {beyond_all - clear} more it holds more than each of {draws} draws, which are too few to say so of {len(p)} "
                f"matrices: n_null={round(len(p) / LEVEL)} would do."
            )
    wrong = [f for f in facts if f["non_finite"]]
    if wrong:
        row, column = wrong[0]["first_non_finite"]
        said.append(
            f"{len(wrong)} of {len(facts)} hold entries that aren't finite and have no spectrum; the first is "
            f"{wrong[0]['name']}, at row {row}, column {column}."
        )
    if unsure := sum(f["confidence"] < 0.5 for f in facts):
        said.append(f"The role of {unsure} is a guess from their shapes.")
    if sketched := sum(f["tier"] == "sketch" for f in facts):
        said.append(f"Of {sketched} the singular values were sketched.")
    if plan.tied:
        said.append(f"{len(plan.tied)} more have the content of one of these.")
    if plan.aside:
        said.append(f"Not weighed: {', '.join(plan.aside)}.")
    return WeightMap(matrices=tuple(facts), evidence=tuple(evidence), caveat=" ".join(said))


def joined(plan: Plan, parts: Mapping[str, WeightMap]) -> WeightMap:
    """Put the answers of single matrices together: what `weights` gives of all."""
    return together(plan, {name: Weighed(p.matrices[0], p.evidence) for name, p in parts.items()})


def _tied(checkpoint: Checkpoint, infos: Mapping[str, TensorInfo]) -> dict[str, str]:
    """Which tensors have the content of an earlier one. The first row tells nearly all apart; the rest are digested."""
    keys: tuple[Callable[[str], object], ...] = (
        lambda n: (infos[n].shape, infos[n].dtype),
        lambda n: checkpoint.lazy(n).read(0, 1).tobytes(),
        lambda n: checkpoint.lazy(n).digest,
    )
    groups = [list(infos)]
    for key in keys:
        groups = [smaller for group in groups for smaller in _alike(group, key)]
    return {name: group[0] for group in groups for name in group[1:]}


def _alike(names: Sequence[str], key: Callable[[str], object]) -> list[list[str]]:
    """Groups of two or more names that have the same key."""
    groups: dict[object, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]
