"""What a module computes, as a digest: its weights, its structure, its settings and its code."""

from __future__ import annotations

import types
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from workbench.capturing.hooks import as_array
from workbench.core.digest import digest

if TYPE_CHECKING:
    import torch

# Their versions stand in a capture's key, so that their code needn't be looked at.
_VERSIONED = ("torch", "transformers")
_PLAIN = (bool, int, float, str, bytes, type(None))


def module_digest(module: torch.nn.Module) -> str:
    """Digest everything that decides what a module puts out for a given input.

    Weights and buffers count by content, classes by the code of their methods, and so do plain attributes
    (``self.scale = 2``). A module with hooks of the user's own never has the same digest twice: what those
    do can't be known.
    """
    config: Any = getattr(module, "config", None)
    parts: list[Any] = [_hooks(module), config.to_dict() if hasattr(config, "to_dict") else None]
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        parts += [name, str(tensor.dtype), as_array(tensor)]
    classes: set[type] = set()
    for name, part in module.named_modules():
        plain = {k: repr(v) for k, v in vars(part).items() if k != "training" and _is_plain(v)}
        parts.append(
            [name, type(part).__module__, type(part).__qualname__, part.extra_repr(), sorted(plain.items())]
        )
        classes.add(type(part))
    for cls in sorted(classes, key=lambda c: (c.__module__, c.__qualname__)):
        parts += [repr(_code(function)) for function in _functions(cls)]
    return digest(*parts)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


def _functions(cls: type) -> Iterator[types.FunctionType]:
    for base in cls.__mro__:
        if base is object or base.__module__.split(".")[0] in _VERSIONED:
            continue
        for name in sorted(vars(base)):
            found = vars(base)[name]
            found = getattr(found, "__func__", getattr(found, "fget", found))
            if isinstance(found, types.FunctionType):
                yield found


def _code(function: types.FunctionType | types.CodeType) -> list[Any]:
    code = function if isinstance(function, types.CodeType) else function.__code__
    constants = [_constant(c) for c in code.co_consts]
    return [code.co_name, code.co_code.hex(), code.co_names, code.co_varnames, constants]


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _code(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def _hooks(module: torch.nn.Module) -> str:
    for part in module.modules():
        for hook in (*part._forward_hooks.values(), *part._forward_pre_hooks.values()):
            if getattr(hook, "__module__", "").split(".")[0] not in _VERSIONED:
                return uuid.uuid4().hex
    return ""
