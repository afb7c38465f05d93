"""A pickle gone through without making anything: which names it has, and what it would call with what.

Torch's restricted unpickler calls a few functions that are safe to call, though not with everything: a set of a tensor
whose one number stands for a thousand million takes all memory there is, and so does a conversion of it. So the calls are
looked at before they are made.
"""

from __future__ import annotations

import pickletools
import re
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from dataclasses import dataclass
from typing import IO, Any, cast

SIZED = re.compile(
    r"builtins\.bytearray|torch\.(\w+\.)*\w+Tensor|torch\._utils\._rebuild_device_tensor_from_(numpy|cpu_tensor)"
)
"""What torch allows and that fills as much memory as it is told to."""
_REBUILD = re.compile(
    r"torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_from_type_v2|torch\.nn\.parameter\.Parameter"
)
# What goes through all of what it is handed.
_ITERATES = (
    "builtins.set",
    "builtins.frozenset",
    "collections.OrderedDict",
    "collections.Counter",
    "torch.Size",
)
_ENDLESS = ("a tensor", "a torch.", "BINPERSID")  # what may stand for more than it holds: tensors, storages
_ENCODING = "_codecs.encode"
MOST_OPCODES = 3_000_000  # a tensor takes 15
_PUSH = ("BINGET", "LONG_BINGET")
_KEEP = ("BINPUT", "LONG_BINPUT")


class UnsafeCall(Exception):
    """A call that takes time or memory without end; the text says which."""


@dataclass(frozen=True)
class _Value:
    """What a place of the stack would hold: what made it, and of a tuple or text its content."""

    made_by: str
    content: Any = None


_MARK = _Value("a mark")


def rehearsed(stream: Any) -> set[str]:
    """Go through one pickle and return the names of its globals, as torch looks them up.

    Raises
    ------
    UnsafeCall
        It would call something with what never ends.
    Exception
        It is damaged: whatever pickletools runs into.
    """
    names: set[str] = set()
    stack: list[_Value] = []
    memo: dict[Any, _Value] = {}
    for count, (code, argument, _at) in enumerate(pickletools.genops(cast("IO[bytes]", stream))):
        if count > MOST_OPCODES:
            raise UnsafeCall(f"more than {MOST_OPCODES:,} steps")
        if code.name in _KEEP:
            memo[argument] = stack[-1]
        elif code.name in _PUSH:
            stack.append(memo[argument])
        elif code.name == "MARK":
            stack.append(_MARK)
        elif code.name == "GLOBAL":
            name = _modern(*str(argument).split(" ", 1))
            names.add(name)
            stack.append(_Value(name))
        else:
            taken = _taken(stack, code)
            _step(stack, code.name, argument, taken, len(code.stack_after))
    return names


def _taken(stack: list[_Value], code: Any) -> list[_Value]:
    """Take off the stack what an opcode takes: so many, or all down to the mark and what stands below that."""
    wanted = code.stack_before
    if not wanted:
        return []
    below, above = len(wanted), []
    if pickletools.markobject in wanted:
        at = len(stack) - 1
        while stack[at] is not _MARK:
            at -= 1
        above, stack[at:] = stack[at + 1 :], []
        below = wanted.index(pickletools.markobject)
    if below > len(stack):
        raise ValueError(f"{code.name} takes more than there is")
    taken = stack[len(stack) - below :]
    del stack[len(stack) - below :]
    return taken + above


def _step(stack: list[_Value], code: str, argument: Any, taken: list[_Value], gives: int) -> None:
    if code in ("REDUCE", "NEWOBJ"):
        function, given = taken
        _look_at(function.made_by, given.content if given.made_by == "a tuple" else (given,))
        stack.append(_Value("a tensor" if _REBUILD.fullmatch(function.made_by) else f"a {function.made_by}"))
    elif code == "BUILD":
        made, state = taken
        _look_at(made.made_by.removeprefix("a "), (state,))
        stack.append(made)
    elif code in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE"):
        stack.append(_Value("a tuple", tuple(taken)))
    elif code in ("APPEND", "APPENDS", "SETITEM", "SETITEMS"):
        stack.append(taken[0])
    else:
        stack += [_Value(code, argument)] * gives


def _look_at(function: str, given: tuple[_Value, ...]) -> None:
    if function in _ITERATES and any(v.made_by.startswith(_ENDLESS) for v in given):
        raise UnsafeCall(f"{function} of a tensor")
    if function == _ENCODING and (len(given) != 2 or given[1].content not in ("latin1", "latin-1")):
        raise UnsafeCall(f"{function} of something else than latin1")
    if function == "torch._tensor._rebuild_from_type_v2" and not (
        given and _REBUILD.fullmatch(given[0].made_by)
    ):
        raise UnsafeCall(f"{function} of something else than a tensor's parts")


def _modern(module: str, name: str) -> str:
    """The name by which torch looks up what a pickle of Python 2's protocol names."""
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"
