"""Forms evolved by Operon's genetic programming, beside those that are enumerated."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.numerics.expressions.dag import FUNCTIONS, Dag
from workbench.numerics.extras import MissingExtra
from workbench.numerics.laws.fitting import flat_product, flat_sum

if TYPE_CHECKING:
    from jaxtyping import Float

SYMBOLS = "add,sub,mul,div,constant,variable,exp,log,sin,cos,sqrt,square,tanh"
POPULATION = 400
LONGEST = 24  # nodes of a tree
PATIENCE = 600  # evaluations a generation of that population, local searches counted


def operon() -> Any:
    """The class that evolves.

    Raises
    ------
    MissingExtra
        It isn't installed; with the command that installs it and what does without.
    """
    try:
        from pyoperon.sklearn import SymbolicRegressor
    except ImportError:
        raise MissingExtra(
            "Evolving forms needs pyoperon, which is an extra: python -m pip install 'workbench[expressions]' "
            "(or 'pyoperon>=0.6'). With generations=0 laws are sought without it, among all small forms."
        ) from None
    return SymbolicRegressor


def evolved(
    dag: Dag,
    names: tuple[str, ...],
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    generations: int,
    random_state: int,
) -> list[int]:
    """Evolve forms of every length with the least error; the nodes of those that no shorter one is as good as.

    One thread, so that the same seed gives the same forms.
    """
    make = operon()
    scale = float(y.std()) or 1.0
    regressor = make(
        allowed_symbols=SYMBOLS,
        objectives=["r2", "length"],
        optimizer_iterations=5,
        max_length=LONGEST,
        population_size=POPULATION,
        generations=generations,
        max_evaluations=POPULATION * PATIENCE * generations,
        epsilon=0.0,
        n_threads=1,
        random_state=random_state % (1 << 31),
    )
    regressor.fit(np.asfortranarray(x), (y - y.mean()) / scale)
    found = []
    for front in regressor.pareto_front_:
        try:
            text = regressor.get_model_string(front["tree"], 12)
            node = parsed(dag, names, text)
            found.append(flat_sum(dag, [(node, scale)], float(y.mean())))
        except (ValueError, ZeroDivisionError, SyntaxError, OverflowError):  # it isn't finite: no form at all
            continue
    return found


def parsed(dag: Dag, names: tuple[str, ...], text: str) -> int:
    """The node of a formula as Operon writes it, whose variables are X1, X2 ...

    Raises
    ------
    ValueError
        It has something else in it.
    """

    def node(t: ast.AST) -> int:
        if isinstance(t, ast.Constant):
            return dag.number(float(t.value))  # type: ignore[arg-type]
        if isinstance(t, ast.Name):
            return dag.variable(names[int(t.id[1:]) - 1])
        if isinstance(t, ast.UnaryOp) and isinstance(t.op, ast.USub):
            return flat_sum(dag, [(node(t.operand), -1)])
        if isinstance(t, ast.BinOp):
            a, b = node(t.left), node(t.right)
            if isinstance(t.op, ast.Add | ast.Sub):
                return flat_sum(dag, [(a, 1), (b, 1 if isinstance(t.op, ast.Add) else -1)])
            if isinstance(t.op, ast.Mult | ast.Div):
                return flat_product(dag, [(a, 1), (b, 1 if isinstance(t.op, ast.Mult) else -1)])
            if isinstance(t.op, ast.Pow) and dag.nodes[b].op == "number":
                return flat_product(dag, [(a, int(dag.nodes[b].numbers[0]))])
        if isinstance(t, ast.Call) and isinstance(t.func, ast.Name):
            inner = node(t.args[0])
            if t.func.id == "square":
                return flat_product(dag, [(inner, 2)])
            if t.func.id in FUNCTIONS:
                return dag.apply(t.func.id, inner)
        raise ValueError(f"{ast.dump(t)[:80]} is no part of a formula")

    return node(ast.parse(text.replace("^", "**"), mode="eval").body)
