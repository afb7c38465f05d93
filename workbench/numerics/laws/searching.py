"""The search for a law: all small forms, then evolved ones, refined, rounded, and weighed by what it takes to say them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.numerics.expressions.dag import Dag
from workbench.numerics.expressions.show import simple
from workbench.numerics.laws.evolving import evolved
from workbench.numerics.laws.fitting import applied, flat_product, flat_sum, refined, size_of, snapped
from workbench.numerics.laws.terms import Term, Terms, best_sums, terms

if TYPE_CHECKING:
    from jaxtyping import Float

NATS = math.log(12.0)
"""What a symbol of a form takes: one of about a dozen."""
ROWS = 400  # that forms are found on; numbers are fitted to all
REFINED, LOOSENED, ROUNDED = 24, 10, 6  # forms that are fitted, fitted with free insides, and rounded
NEAR = 8.0  # nats, within which a form is kept as one that may be meant too


class Form(NamedTuple):
    """A form that was found.

    Attributes
    ----------
    root : its node. size : its symbols. error : mean squared, on the rows it was fitted to.
    length : the nats that it and what it leaves take to say; the least is the best.
    """

    root: int
    size: int
    error: float
    length: float


def search(
    names: tuple[str, ...],
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    *,
    max_size: int,
    generations: int,
    random_state: int,
) -> tuple[Dag, list[Form], int]:
    """Find forms of ``y``, the best by description length first.

    Returns
    -------
    Dag, list of Form, int
        The graph that they are nodes of; the forms; and the size up to which all terms were tried.
    """
    dag = Dag()
    rng = np.random.default_rng([random_state, 0x6C6177])
    some = np.sort(rng.permutation(len(y))[:ROWS])
    data = {n: x[:, j] for j, n in enumerate(names)}
    part = {n: v[some] for n, v in data.items()}
    found: dict[int, Form] = {}

    def keep(root: int, error: float) -> None:
        if np.isfinite(error):
            found[root] = _weighed(dag, root, error, y)

    mean = dag.number(float(y.mean()))
    keep(mean, float(np.mean((y - y.mean()) ** 2)))
    held = terms(x[some], max_size)
    starts = []
    for outer, inside in _outer(y[some]).items():
        for s in best_sums(held, inside, keep=12 if outer == "" else 4, pool=1_000 if outer == "" else 700):
            root = _as_sum(dag, names, held, s.places, part, inside)
            starts.append(
                root
                if not outer
                else flat_product(dag, [(root, -1)])
                if outer == "inverse"
                else applied(dag, outer, root)
            )
    if generations:
        starts += evolved(dag, names, x[some], y[some], generations, random_state)
    _fit(dag, list(dict.fromkeys(starts)), part, y[some], data, y, keep, loose=False, many=REFINED)
    best = sorted(found.values(), key=lambda f: f.length)
    _fit(dag, [f.root for f in best], part, y[some], data, y, keep, loose=True, many=LOOSENED)
    for f in _various(found.values())[:ROUNDED]:
        keep(*snapped(dag, f.root, data, y))
    for f in _various(found.values())[:2]:  # what rounding has left out may let other numbers be rounded
        keep(*snapped(dag, f.root, data, y))
    return dag, _distinct(dag, found.values(), data), held.complete


def _outer(y: np.ndarray) -> dict[str, np.ndarray]:
    """What stands inside where a function stands outside: the output's square under a root, its reciprocal, logarithm ..."""
    inside = {"": y}
    if (y > 0).all():
        inside |= {"sqrt": y * y, "exp": np.log(y)}
    if (np.abs(y) > 1e-9 * np.abs(y).max()).all():
        inside["inverse"] = 1 / y
    if np.abs(y).max() < 20:
        inside["log"] = np.exp(y)
    return inside


def _fit(
    dag: Dag,
    starts: Sequence[int],
    part: dict[str, np.ndarray],
    y_part: np.ndarray,
    data: dict[str, np.ndarray],
    y: np.ndarray,
    keep: Callable[[int, float], None],
    *,
    loose: bool,
    many: int,
) -> None:
    """Fit forms on a part of the rows, and the best of these on all."""
    fitted = []
    for root in starts if not loose else starts[:many]:
        try:
            made, error = refined(dag, root, part, y_part, loose=loose)
        except (OverflowError, ValueError, ZeroDivisionError):  # its numbers have left what can be said
            continue
        fitted.append((_weighed(dag, made, error, y_part).length, made))
    for _, made in sorted(fitted)[:many]:
        values = dag.numeric(made, data)
        if np.isfinite(values).all():
            keep(made, float(np.mean((values - y) ** 2)))


def _weighed(dag: Dag, root: int, error: float, y: np.ndarray) -> Form:
    """A form's description length: half the rows' logarithm of the error, its symbols, and what its own numbers take.

    The error counts no further than what rounding leaves of the output.
    """
    n, size = len(y), size_of(dag, root)
    floor = 1e-14 * float(np.mean((y - y.mean()) ** 2)) + 1e-300
    odd = sum(
        not simple(c)
        for at in dag.reach(root)
        for c in (dag.nodes[at].numbers if dag.nodes[at].op in ("sum", "number") else ())
    )
    return Form(root, size, error, n / 2 * math.log(error + floor) + NATS * size + odd / 2 * math.log(n))


def _various(forms: Iterable[Form]) -> list[Form]:
    """The best forms, none of more than a few of one size: those that are near each other are often the same."""
    ordered, counts = sorted(forms, key=lambda f: f.length), dict[int, int]()
    kept = []
    for f in ordered:
        counts[f.size] = counts.get(f.size, 0) + 1
        if counts[f.size] <= 2:
            kept.append(f)
    return kept


def _distinct(dag: Dag, forms: Iterable[Form], data: dict[str, np.ndarray]) -> list[Form]:
    """The forms by their length, of those with the same values the shortest alone."""
    kept, seen = [], set[bytes]()
    for f in sorted(forms, key=lambda f: (f.length, f.size)):
        values = dag.numeric(f.root, {n: v[:64] for n, v in data.items()})
        key = np.array([float(f"{v:.4g}") for v in values]).tobytes()
        if key not in seen:
            seen.add(key)
            kept.append(f)
    return kept


def _as_sum(
    dag: Dag,
    names: tuple[str, ...],
    held: Terms,
    places: tuple[int, ...],
    data: dict[str, np.ndarray],
    y: np.ndarray,
) -> int:
    """The weighted sum of some terms, by least squares."""
    nodes = [_as_node(dag, names, held.made, p + 1) for p in places]
    columns = np.stack([*(dag.numeric(n, data) for n in nodes), np.ones(len(y))], axis=1)
    weights = np.linalg.lstsq(columns, y, rcond=None)[0]
    return flat_sum(dag, list(zip(nodes, weights.tolist(), strict=False)), float(weights[-1]))


def _as_node(dag: Dag, names: tuple[str, ...], made: list[Term], at: int) -> int:
    """The node of a term: what it is of stands before it."""
    nodes: dict[int, int] = {}
    wanted = {at}
    for i in range(at, -1, -1):
        if i in wanted and made[i].op not in ("one", "x"):
            wanted |= {made[i].left, made[i].right}
    for i in sorted(wanted):
        op, a, b, *_ = made[i]
        match op:
            case "one":
                nodes[i] = dag.number(1)
            case "x":
                nodes[i] = dag.variable(names[a])
            case "add" | "sub":
                nodes[i] = flat_sum(dag, [(nodes[a], 1), (nodes[b], 1 if op == "add" else -1)])
            case "mul" | "div":
                nodes[i] = flat_product(dag, [(nodes[a], 1), (nodes[b], 1 if op == "mul" else -1)])
            case "square" | "inverse":
                nodes[i] = flat_product(dag, [(nodes[a], 2 if op == "square" else -1)])
            case _:
                nodes[i] = applied(dag, op, nodes[a])
    return nodes[at]
