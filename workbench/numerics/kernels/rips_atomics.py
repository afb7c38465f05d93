"""Atomic operations on int64 arrays for numba code that several threads run at once, and one on bits."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    array = context.make_array(array_type)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, array_type, array, [index])


@intrinsic
def fetch_add(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Add to an element and return what it was before."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        return builder.atomic_rmw("add", at, arguments[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), code


@intrinsic
def compare_and_swap(typing_context: Any, array: Any, index: Any, expected: Any, new: Any) -> Any:
    """Set an element to ``new`` if it is ``expected``; return what it was before."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        swapped = builder.cmpxchg(at, arguments[2], arguments[3], "seq_cst", "seq_cst")
        return builder.extract_value(swapped, 0)

    return types.int64(array, types.int64, types.int64, types.int64), code


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """Read an element that other threads may be writing."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        return builder.load_atomic(at, "acquire", 8)

    return types.int64(array, types.int64), code


@intrinsic
def leading_zeros(typing_context: Any, word: Any) -> Any:
    """How many bits are 0 above the highest that is 1; 64 of 0."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], context.get_constant(types.boolean, False))

    return types.int64(types.int64), code


@intrinsic
def trailing_zeros(typing_context: Any, word: Any) -> Any:
    """How many bits are 0 below the lowest that is 1; 64 of 0."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, False))

    return types.int64(types.int64), code


@intrinsic
def ones(typing_context: Any, word: Any) -> Any:
    """How many bits are 1."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), code
