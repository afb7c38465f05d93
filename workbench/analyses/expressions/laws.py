"""Laws: a number as a short formula of others, with what it foretells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError, MissingError, suggest
from workbench.core.evidence import Evidence
from workbench.core.parameters import Few, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.named import Null
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.exchangeable import exchanged
from workbench.numerics.expressions.dag import Dag
from workbench.numerics.expressions.show import latex, text
from workbench.numerics.laws.searching import NEAR, Form, search
from workbench.numerics.laws.testing import HOLDS, Tested, quick_tests
from workbench.results.law import Law
from workbench.subjects.points import Relation

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NULL = Null(
    "independent_given_groups", "the inputs say nothing of the output", "the held-out outputs permuted"
)
FEWEST = 20  # rows
MOST_INPUTS = 12
CLAIM = 0.01
"""The p-value up to which a law is claimed, so that of a hundred outputs of noise at most one is."""
EXPLAINS = 0.5  # of the held-out variance, without which nothing is called a law
OUT = 0.1  # of the rows, those farthest out


class _Task(NamedTuple):
    names: tuple[str, ...]
    x: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    target: str


@analysis
def laws(
    relation: Relation,
    *,
    target: Annotated[
        str | None,
        Doc(
            "The output: a column of the coordinates or the row table. None: the table's first column of numbers, else the last coordinate."
        ),
    ] = None,
    max_size: Annotated[
        int, Interval(ge=1, le=9), Few(3), Doc("Symbols of the largest terms that are all tried.")
    ] = 6,
    generations: Annotated[
        int,
        Interval(ge=0, le=10_000),
        Few(2),
        Doc("Generations that forms evolve for; 0 leaves evolving out."),
    ] = 40,
    held_out: Annotated[
        float, Interval(ge=0.1, le=0.5), Doc("Share of the rows that forms are tested on, and never see.")
    ] = 0.25,
    n_null: NullDraws = 999,
    random_state: Seed = 0,
) -> Law:
    """Look for a law: a short formula of the inputs that foretells the output on rows it hasn't seen.

    First quick tests say what kind of function it is. Then all terms up to a size are made, their best weighted sums sought,
    also of the output's square, reciprocal, logarithm and exponential, and forms are evolved beside them. Their numbers are
    fitted, and rounded to simple rationals or multiples of π, e and √2 where the fit doesn't suffer. The best form is the one
    that, with what it leaves, takes least to say; all that are nearly as good are kept. The rows farthest out and a part of the
    others take no part in that: on them each form is scored.

    The null permutes the held-out outputs (of whole groups), which the form has never seen. A law is claimed where p is at most
    0.01 and the form explains half of the held-out variance or more.

    Returns
    -------
    Law
        The forms, the best first, and what the best one foretells. No interval is given: what a form is expected to score
        hangs on the search that found it.

    Raises
    ------
    MissingError
        No such column; or pyoperon isn't installed, which ``generations=0`` does without.
    DataError
        Fewer than 20 rows, more than 12 inputs, or an output that is the same everywhere or not finite.

    References
    ----------
    Udrescu and Tegmark 2020, AI Feynman, Sci. Adv. 6; Ouyang and others 2018, SISSO, Phys. Rev. Materials 2; Burlacu,
    Kronberger and Kommenda 2020, Operon C++, GECCO; Rissanen 1978, Modeling by shortest data description, Automatica 14.
    """
    task = _task(relation, target)
    part = _parts(relation, task.x, held_out, random_state)
    fitted = part == 0
    x, y = task.x[fitted], task.y[fitted]
    if not y.std():
        raise DataError(
            f"{task.target} of {relation.name} is {y[0]:g} in all rows that forms are fitted to: there is no law to find."
        )
    tested = quick_tests(task.names, x, y)
    dag, forms, complete = search(
        task.names, x, y, max_size=max_size, generations=generations, random_state=random_state
    )
    kept = _kept(forms)
    data = {n: task.x[:, j] for j, n in enumerate(task.names)}
    foretold = dag.numeric(forms[0].root, data)
    shown = np.isfinite(foretold)
    said = [text(dag, f.root) for f in kept]
    asked = _asked(relation, task, foretold, part, n_null, random_state)
    errors = np.array([_errors(dag, f, data, task.y, part) for f in kept])
    return Law(
        title=_title(task.target, said[0], asked),
        target=task.target,
        forms=tuple(said),
        latex_forms=tuple(latex(dag, f.root) for f in kept),
        sizes=np.array([f.size for f in kept]),
        errors=errors,
        front=_front(kept),
        measured=task.y[shown],
        foretold=foretold[shown],
        part=part[shown],
        ids=relation.ids[shown],
        kinds=tuple(t.name for t in tested),
        shares=np.array([t.share for t in tested]),
        evidence=(asked,),
        caveat=_caveat(tested, kept, said, float(errors[0, 2]), complete, max_size, int((~shown).sum())),
    )


def _title(target: str, form: str, asked: Evidence) -> str:
    claimed = asked.p_value is not None and asked.p_value <= CLAIM and asked.value >= EXPLAINS
    return f"{target} = {form}" if claimed else f"No law of {target} is claimed; nearest: {form}"


def _task(relation: Relation, target: str | None) -> _Task:
    """Which numbers are the output, and which the inputs: the other coordinates."""
    numbers = [c for c in relation.table.select_dtypes("number") if c != relation.grouped_by]
    names, values = relation.names, relation.values.astype(np.float64)
    if target is None:
        target = str(numbers[0]) if numbers else names[-1]
    if target in names:
        at = names.index(target)
        y, rest = values[:, at], [j for j in range(len(names)) if j != at]
    elif target in numbers:
        y, rest = relation.table[target].to_numpy(np.float64), list(range(len(names)))
    else:
        raise MissingError(
            f"laws: target={target!r} is no column of numbers of {relation.name}. {suggest(target, [*names, *map(str, numbers)])}"
        )
    if len(y) < FEWEST or not rest:
        raise DataError(
            f"{relation.name} has {len(y):,} rows and {len(rest)} inputs beside {target}; a law takes {FEWEST} rows and an input."
        )
    if not np.isfinite(y).all():
        raise DataError(
            f"laws: {int((~np.isfinite(y)).sum()):,} rows of {relation.name} have no finite {target}. Leave them out first."
        )
    if len(rest) > MOST_INPUTS:
        raise DataError(
            f"{relation.name} has {len(rest)} inputs beside {target}; laws are sought of at most {MOST_INPUTS}. Choose columns "
            "with with_columns()."
        )
    return _Task(tuple(names[j] for j in rest), values[:, rest], y, target)


def _parts(
    relation: Relation, x: Float[np.ndarray, "n d"], held_out: float, random_state: int
) -> Int[np.ndarray, " n"]:
    """Of each row 0 fitted, 1 held out, 2 out of range; whole groups are held out together."""
    n = len(x)
    if relation.ungrouped:
        raise DataError(f"{relation.name}: {relation.ungrouped}.")
    rank = np.abs(np.argsort(np.argsort(x, axis=0), axis=0) / (n - 1) - 0.5).max(axis=1)
    part = np.zeros(n, np.int64)
    if n >= 2 * FEWEST:
        part[np.argsort(rank, kind="stable")[n - int(OUT * n) :]] = 2
    inside = np.flatnonzero(part == 0)
    groups = np.arange(n) if relation.groups is None else relation.groups
    units = np.unique(groups[inside])
    drawn = np.random.default_rng([random_state, 0x68656C64]).permutation(units)[
        : max(1, round(held_out * len(units)))
    ]
    part[inside[np.isin(groups[inside], drawn)]] = 1
    if not (part == 0).sum() > 4:
        raise DataError(
            f"{relation.name} has {len(units)} {relation.unit}: too few to hold some out and fit to the others."
        )
    return part


def _asked(
    relation: Relation, task: _Task, foretold: np.ndarray, part: np.ndarray, n_null: int, random_state: int
) -> Evidence:
    """Whether the best form foretells what it was never shown."""
    held = np.flatnonzero((part == 1) & np.isfinite(foretold))
    y, guessed = task.y[held], foretold[held]
    asked = Evidence(
        id="foretold",
        question=f"Does a formula foretell {task.target} on rows that it hasn't seen?",
        label="R² on held-out rows",
        value=_r_squared(y, guessed),
        n=len(held),
        **NULL.refused("no null was drawn"),
    )
    groups = None
    if relation.groups is not None:
        groups = np.unique(relation.groups[held], return_inverse=True)[1]
    units = len(held) if groups is None else int(groups.max(initial=-1)) + 1
    if not n_null:
        return asked
    if units < 5:
        return replace(asked, **NULL.refused(f"{units} {relation.unit} are held out, too few to permute"))
    take = exchanged(groups, len(held))
    draws = draw_until_clear(
        lambda rng: _r_squared(y[take(rng)], guessed),
        np.array([asked.value]),
        ("greater",),
        n_null,
        random_state,
    )
    details = f"{units} {relation.unit} permuted whole" if groups is not None else ""
    return replace(asked, untested="", **NULL.said(draws[0].tolist(), details=details))


def _r_squared(y: np.ndarray, guessed: np.ndarray) -> float:
    total = float(np.sum((y - y.mean()) ** 2)) if len(y) else 0.0
    return float(max(-1.0, 1 - np.sum((y - guessed) ** 2) / total)) if total else 0.0


def _kept(forms: list[Form]) -> list[Form]:
    """The best form, all that are nearly as good, and those that no shorter one is as good as."""
    front = _front(forms)
    return [f for i, f in enumerate(forms) if i == 0 or f.length <= forms[0].length + NEAR or front[i]]


def _front(forms: list[Form]) -> Int[np.ndarray, " k"]:
    return np.array([int(not any(g.size <= f.size and g.error < f.error for g in forms)) for f in forms])


def _errors(
    dag: Dag, form: Form, data: dict[str, np.ndarray], y: np.ndarray, part: np.ndarray
) -> list[float]:
    left = dag.numeric(form.root, data) - y
    squared = [left[part == p] ** 2 for p in range(3)]
    scale = float(y.std())
    return [
        float(min(np.sqrt(s.mean()) / scale, 1e6)) if len(s) and np.isfinite(s).all() else float("nan")
        for s in squared
    ]


def _caveat(
    tested: list[Tested],
    kept: list[Form],
    said: list[str],
    out_of_range: float,
    complete: int,
    max_size: int,
    undefined: int,
) -> str:
    kinds = [t.name for t in tested if t.share >= HOLDS]
    near = [s for f, s in zip(kept[1:], said[1:], strict=True) if f.length <= kept[0].length + NEAR]
    lines = [
        f"By quick tests it is {', '.join(kinds)}." if kinds else "",
        f"As good, by what they take to say: {'; '.join(near[:4])}{' and others' if len(near) > 4 else ''}."
        if near
        else "",
        f"All terms up to size {complete} were tried; there are too many of {complete + 1}."
        if complete < max_size
        else "",
        f"It doesn't hold out of range: on the rows farthest out it is off by {out_of_range:.2g} standard deviations of the output, "
        f"where their mean would be nearer."
        if out_of_range > 1
        else "",
        f"The form isn't defined on {undefined} rows." if undefined else "",
    ]
    return " ".join(filter(None, lines))
