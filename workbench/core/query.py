"""Questions about the rows of a table, typed as text: ``label == 'noun' and position > 3``.

Text comes from command lines, notebooks and files of others, so it is read by a grammar of its own: nothing in it is ever
called, and no attribute is looked up. Names are columns, and every value is compared as pandas compares columns.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import MissingError, ParameterError, suggest

if TYPE_CHECKING:
    import pandas as pd

LEGAL = (
    "A query compares columns: 'position > 3', \"label == 'noun'\", \"label in ['noun', 'verb']\", 'x < y', 'score == None' (missing), "
    "joined by and, or, not and brackets, with + - * / of numbers; `two words` names a column with a space."
)
LONGEST = 10_000  # characters; ids in such number are a mask or an array of ids
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.FloorDiv: operator.floordiv,
}
_TICKED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`([^`]*)`")


def matching(table: pd.DataFrame, query: str, owner: str) -> np.ndarray:
    """Return which rows a query holds for, (n,) bool; a comparison with a missing value doesn't hold.

    Parameters
    ----------
    owner : whose table it is, for messages.

    Raises
    ------
    MissingError
        It names a column that isn't there; those that there are are named.
    ParameterError
        It is none that is read, or compares what can't be compared.
    """
    ticked: dict[str, str] = {}

    def named(match: re.Match[str]) -> str:
        if match.group(1) is None:  # a text: left alone
            return match.group(0)
        stand_in = f"column_{len(ticked)}_in_ticks"
        ticked[stand_in] = match.group(1)
        return stand_in

    try:
        if len(query) > LONGEST:
            raise ValueError(f"it has {len(query):,} characters, and {LONGEST:,} are read")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes in texts
            tree = ast.parse(_TICKED.sub(named, query.strip()), mode="eval")
        return _Asked(table, ticked, query, owner).truth(tree.body).to_numpy(dtype=bool)
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError, ArithmeticError) as e:
        if isinstance(e, ParameterError):
            raise
        why = e.msg if isinstance(e, SyntaxError) else e if str(e) else type(e).__name__
        shown = query if len(query) <= 100 else f"{query[:99]}…"
        raise ParameterError(f"{owner}: the query {shown!r} can't be answered ({why}). {LEGAL}") from None


class _Asked:
    """One query of one table."""

    def __init__(self, table: pd.DataFrame, ticked: dict[str, str], query: str, owner: str):
        self.table, self.ticked, self.query, self.owner = table, ticked, query, owner

    def truth(self, node: ast.expr) -> pd.Series:
        """Where an expression holds."""
        import pandas as pd

        if isinstance(node, ast.BoolOp):
            join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
            held = self.truth(node.values[0])
            for other in node.values[1:]:
                held = join(held, self.truth(other))
            return held
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
            both = self.truth(node.left), self.truth(node.right)
            return operator.and_(*both) if isinstance(node.op, ast.BitAnd) else operator.or_(*both)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
            return ~self.truth(node.operand)
        if isinstance(node, ast.Compare):
            return self._compared(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            return pd.Series(node.value, index=self.table.index)
        if isinstance(node, ast.Name):
            column = self._column(node.id)
            if set(map(type, column.dropna().unique().tolist())) <= {bool}:
                return column.map(lambda v: v is True or v is np.True_).astype(bool)
            raise TypeError(f"{node.id} is no truth value: compare it with something")
        raise TypeError(f"{self._shown(node)} is none of these")

    def _compared(self, node: ast.Compare) -> pd.Series:
        import pandas as pd

        held = pd.Series(True, index=self.table.index)
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            held &= self._pair(left, op, right)
            left = right
        return held

    def _pair(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> pd.Series:
        import pandas as pd

        a = self._value(left)
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple | ast.Set) or not isinstance(a, pd.Series):
                raise TypeError("in takes a column before it and a list behind it")
            held = a.isin([self._constant(v) for v in right.elts])
            return held if isinstance(op, ast.In) else ~held
        b = self._value(right)
        if a is None or b is None:
            column = b if a is None else a
            if not isinstance(column, pd.Series) or not isinstance(
                op, ast.Eq | ast.NotEq | ast.Is | ast.IsNot
            ):
                raise TypeError("None is compared with a column, by == or !=")
            return column.isna() if isinstance(op, ast.Eq | ast.Is) else column.notna()
        if type(op) not in _COMPARE:
            raise TypeError("is takes None behind it")
        held = _COMPARE[type(op)](a, b)
        if not isinstance(held, pd.Series):
            held = pd.Series(bool(held), index=self.table.index)
        return held.astype("boolean").fillna(False).astype(bool)

    def _value(self, node: ast.expr) -> Any:
        """A column, a constant, or numbers computed from these."""
        if isinstance(node, ast.Name):
            return self._column(node.id)
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            a, b = self._number(node.left), self._number(node.right)
            return _ARITHMETIC[type(node.op)](a, b)
        if (
            isinstance(node, ast.UnaryOp)
            and isinstance(node.op, ast.USub | ast.UAdd)
            and not isinstance(node.operand, ast.Constant)
        ):
            number = self._number(node.operand)
            return -number if isinstance(node.op, ast.USub) else number
        return self._constant(node)

    def _number(self, node: ast.expr) -> Any:
        import pandas as pd

        value = self._value(node)
        if isinstance(value, pd.Series):
            numeric = pd.api.types.is_numeric_dtype(value.dtype)
        else:
            numeric = isinstance(value, int | float)
            value = float(value) if numeric else value  # bounded, as a power of whole numbers isn't
        if not numeric:
            raise TypeError(f"{self._shown(node)} is no number to compute with")
        return value

    def _constant(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant) and (
            node.value is None or isinstance(node.value, str | int | float)
        ):
            return node.value
        if (
            isinstance(node, ast.UnaryOp)
            and isinstance(node.op, ast.USub | ast.UAdd)
            and isinstance(node.operand, ast.Constant)
        ):
            value = node.operand.value
            if isinstance(value, int | float):
                return -value if isinstance(node.op, ast.USub) else value
        raise TypeError(f"{self._shown(node)} is neither a column, a number nor a text")

    def _column(self, name: str) -> pd.Series:
        import pandas as pd

        name = self.ticked.get(name, name)
        if name in self.table.columns:
            column = self.table[name]
            if isinstance(column, pd.DataFrame):
                raise TypeError(f"several columns are called {name}")
            return column
        if name == "index":
            return pd.Series(self.table.index, index=self.table.index)
        columns = [str(c) for c in self.table.columns]
        there = (
            f"{suggest(name, columns)} Texts stand in quotes."
            if columns
            else "Its rows have no columns to ask about: select by row ids, or open it with a row table."
        )
        raise MissingError(
            f"{self.owner}: the query {self.query!r} can't be answered: there is no column {name!r}. {there}"
        )

    def _shown(self, node: ast.expr) -> str:
        what = {
            ast.Call: "a call",
            ast.Attribute: "an attribute",
            ast.Subscript: "an index",
            ast.Lambda: "a function",
        }
        return what.get(
            type(node),
            ast.unparse(node)[:60] if not isinstance(node, ast.Constant) else repr(node.value)[:60],
        )
