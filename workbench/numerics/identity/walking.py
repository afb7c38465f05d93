"""What decides a network's answers, as one digest: its tensors, its state, its code and what that code reaches.

A network is walked as the objects that it is made of. Whatever is reached is digested by content, so that the digest
is the same in another process; what can't be is refused with the path to it (`Undigestable`), never left out.

Code of installed packages is known by the package's version and the source of the module that it stands in. It is
looked into only for what was put there by others: a patched method, a global hook, a function in a registry. What
such code reads of the world while it runs (files, the clock, torch's global random numbers) isn't seen; a stored
capture is therefore also checked against rows computed anew (`running.Work`).
"""

from __future__ import annotations

import copyreg
import functools
import hashlib
import logging
import sys
import types
import warnings
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.digest import digest
from workbench.numerics.identity import tensors
from workbench.numerics.identity.parts import has_hidden_state, script_parts, slots_of
from workbench.numerics.identity.reach import (
    MISSING,
    cells_of,
    full_name,
    is_installed,
    is_others,
    package_of,
    reached,
    registered,
)

if TYPE_CHECKING:
    import torch

_MOST_DEEP, _MOST_PARTS = 150, 500_000
_PLAIN = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    bytearray,
    type(...),
    type(NotImplemented),
    range,
)
_BUILTIN = (
    types.BuiltinFunctionType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
# Of a class: what says nothing of what it does, or says it again.
_OF_CLASSES = {
    "smart_apply",  # which transformers gives torch's modules when it is loaded, for their first values
    *("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__annotate__"),
    *("__annotate_func__", "__annotations_cache__", "__abstractmethods__", "_abc_impl", "__orig_bases__"),
    *("__parameters__", "__type_params__", "__static_attributes__", "__firstlineno__", "__match_args__"),
    "__slotnames__",  # which copying or pickling an object leaves on its class
}
# Of a module: what isn't part of a forward pass, and hooks, which are known by numbers that differ from run to run.
_OF_MODULES = {
    *("_backward_hooks", "_backward_pre_hooks", "_is_full_backward_hook", "_non_persistent_buffers_set"),
    *("_state_dict_hooks", "_state_dict_pre_hooks"),
    *("_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
    *("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    *("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"),
}
# Of transformers' classes and objects: where a network was read from, Python's hash of it, and what was found once.
_OF_TRANSFORMERS = {
    *("_name_or_path", "name_or_path", "_original_object_hash"),
    *("_can_set_attn_implementation_cached_value", "_can_set_experts_implementation_cached_value"),
}
_HELD = ("_parameters", "_buffers", "_modules")
_CONTAINERS = (dict, list, tuple, set, frozenset)
_SCALARS = (int, float, complex, str, bytes, bytearray)
_OPERATORS = ("aten", "prim", "prims", "quantized")
_ALWAYS = ("torch", "torch.nn.functional", "torch.nn.modules.module")


class Undigestable(Exception):
    """Something that may decide what a network answers and has no digest.

    Attributes
    ----------
    path : from the network to it. why : what it is.
    """

    def __init__(self, path: str, why: str):
        super().__init__(f"{path}: {why}")
        self.path, self.why = path, why


def network_digest(module: torch.nn.Module) -> str:
    """Digest everything that decides what a module puts out for a given input, in the mode that it is in.

    The same in every process, for the same network. A tensor is read once, however many share its memory.

    Raises
    ------
    Undigestable
        Something has no digest: an object that can't be taken apart, such as a generator, a lock or an open file; a
        tensor without numbers; code that calls ``eval``.
    """
    walker = _Walker(tensors.strided_digests([*module.parameters(), *module.buffers()]))
    try:
        parts = [walker.walk(module, "network"), walker.settings(), *map(walker.foreign_parts, _ALWAYS)]
    except Undigestable:
        raise
    except Exception as e:  # an object of somebody's may do anything when it is looked at
        raise walker.refused(f"it can't be looked at ({type(e).__name__}: {e})") from e
    return _node("network", *parts).hex()


def _node(kind: str, *parts: bytes | str) -> bytes:
    h = hashlib.blake2b(kind.encode(), digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        h.update(b"%d " % len(raw))
        h.update(raw)
    return h.digest()


class _Walker:
    """Digests objects by content, each once; one that holds itself is known by how far up it stands.

    Parameters
    ----------
    known : digests of tensors' memory, by `tensors.storage_key`.
    """

    def __init__(self, known: dict[tuple[Any, ...], bytes]):
        self._tensors = known
        self._done: dict[int, bytes] = {}
        self._kept: list[Any] = []  # so that no other object gets the number of one that was seen
        self._open: dict[int, int] = {}
        self._path: list[str] = []
        self._surfaces: dict[int, bytes] = {}
        self._foreign: dict[str, bytes] = {}

    def walk(self, value: Any, step: str) -> bytes:
        """Digest a value; ``step`` says how it was come to."""
        if type(value) in _PLAIN:
            return _node("plain", type(value).__name__, repr(value))
        key = id(value)
        if key in self._done:
            return self._done[key]
        if key in self._open:
            return _node("above", str(self._open[key]))
        self._path.append(step)
        if len(self._open) == _MOST_DEEP:
            raise self.refused(f"nested more than {_MOST_DEEP} deep")
        if len(self._done) == _MOST_PARTS:
            raise self.refused(f"the network has more than {_MOST_PARTS:,} parts")
        self._open[key] = len(self._open)
        self._kept.append(value)
        made = self._digest(value)
        del self._open[key]
        self._path.pop()
        self._done[key] = made
        return made

    def settings(self) -> bytes:
        """Digest those settings of torch that change more than the order of sums."""
        import torch

        casts = [(d, torch.is_autocast_enabled(d), str(torch.get_autocast_dtype(d))) for d in ("cpu", "cuda")]
        precise = [torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32]
        return self.walk(
            [casts, precise, torch.get_default_dtype(), torch.get_default_device()], "torch's settings"
        )

    def refused(self, why: str) -> Undigestable:
        """The error that says where the walk has come to."""
        return Undigestable("".join(self._path).lstrip(", "), why)

    # -- by kind ------------------------------------------------------------------------------------

    def _digest(self, value: Any) -> bytes:
        import torch

        kind = type(value)
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, np.ndarray | np.generic):
            return self._array(value)
        if isinstance(value, torch.nn.Module):
            return self._module(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.ModuleType):
            return self._python_module(value)
        if kind in (
            list,
            tuple,
            dict,
            OrderedDict,
            set,
            frozenset,
            deque,
            types.MappingProxyType,
            torch.Size,
        ):
            return _node(kind.__name__, *self._items(value))
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.CodeType):
            return self._code(value)
        if isinstance(value, types.MethodType):
            return _node(
                "method", self.walk(value.__func__, ".__func__"), self.walk(value.__self__, ".__self__")
            )
        if isinstance(value, _BUILTIN) or kind.__module__.startswith("_cython"):
            return self._builtin(value)
        if isinstance(value, property):
            return _node("property", *[self.walk(f, "") for f in (value.fget, value.fset, value.fdel)])
        if isinstance(value, staticmethod | classmethod):
            return _node(kind.__name__, self.walk(value.__func__, ""))
        if isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType):
            return _node("descriptor", value.__name__)
        if isinstance(value, weakref.ref):
            return _node("reference", self.walk(value(), "()"))
        if isinstance(value, logging.Logger):
            return _node("logger", value.name)  # what it is told goes elsewhere
        if kind in (torch.dtype, torch.device, torch.layout, torch.memory_format):
            return _node("torch", str(value))
        if isinstance(value, torch.Generator):
            return _node("generator", str(value.device), self.walk(value.get_state(), ".get_state()"))
        if isinstance(value, torch.jit.ScriptFunction):
            return _node("script", *[_node(*part) for part in script_parts(value)])
        if kind.__module__ == "torch._ops":
            if str(value).partition(".")[0] not in _OPERATORS:
                raise self.refused(f"the operator {value}, which is none of torch's own")
            return _node("operator", str(value))
        return self._object(value)

    def _tensor(self, value: torch.Tensor) -> bytes:
        if (why := tensors.missing_values(value)) is not None:
            raise self.refused(why)
        shape = None if value.is_nested else tuple(value.shape)
        head = f"{value.dtype} {shape} {value.device} {value.requires_grad}"
        state = self._state(vars(value))
        if tensors.is_strided(value):
            key = tensors.storage_key(value)
            if key not in self._tensors:
                self._tensors[key] = tensors.strided_digest(value)
            return _node("tensor", head, str(value.stride()), self._tensors[key], *state)
        try:
            parts = tensors.parts_of(value)
        except (TypeError, RuntimeError) as e:
            raise self.refused(f"a tensor that can't be read ({e})") from e
        return _node("tensor", head, self.walk(type(value), ""), self.walk(parts, ""), *state)

    def _array(self, value: np.ndarray | np.generic) -> bytes:
        plain = np.asarray(value)
        content = self.walk(plain.tolist(), "") if plain.dtype.hasobject else digest(plain)
        if isinstance(value, np.generic) or type(value) in (np.ndarray, np.memmap):
            return _node("array", str(plain.shape), content)
        return _node("array", content, self.walk(type(value), ""), *self._state(vars(value)))

    def _items(self, value: Any) -> list[bytes]:
        """The content of a builtin container; a set's in an order of its own, since it has none."""
        if isinstance(value, set | frozenset):
            return sorted(self.walk(v, "{...}") for v in value)
        if isinstance(value, Mapping):
            return [x for k, v in value.items() for x in (self.walk(k, ""), self.walk(v, f"[{k!r:.40}]"))]
        return [self.walk(v, f"[{i}]") for i, v in enumerate(value)]

    def _state(self, attributes: Mapping[str, Any], skip: Iterable[str] = ()) -> list[bytes]:
        named = sorted((k for k in attributes if k not in skip), key=str)
        return [x for k in named for x in (_node(str(k)), self.walk(attributes[k], f".{k}"))]

    # -- modules and objects ------------------------------------------------------------------------

    def _module(self, value: torch.nn.Module) -> bytes:
        import torch

        hooks = []
        for when in ("_forward_pre_hooks", "_forward_hooks"):
            with_keywords = getattr(value, f"{when}_with_kwargs")
            for number, hook in getattr(value, when).items():
                ours = type(hook).__module__.partition(".")[0] == "workbench"
                if ours and getattr(
                    type(hook), "only_watches", False
                ):  # a recording's, which changes no answer
                    continue
                how = (number in with_keywords, number in value._forward_hooks_always_called)
                hooks += [_node(f"{when} {how}"), self.walk(hook, f".{when}")]
        if isinstance(value, torch.jit.ScriptModule):
            return _node("script", *[_node(*part) for part in script_parts(value)], *hooks)
        skip = _OF_MODULES | {*_HELD}
        if isinstance(value, torch.fx.GraphModule):
            skip |= {"_graph"}  # of which the class's own forward was made
        parts = [self.walk(type(value), "'s class")]
        for held in _HELD:
            named = getattr(value, held)
            parts += [_node(held), *[x for k, v in named.items() for x in (_node(k), self.walk(v, f".{k}"))]]
        return _node(
            "module", *parts, *self._state(vars(value), skip | _beside_the_point(type(value))), *hooks
        )

    def _object(self, value: Any) -> bytes:
        """Any other object: its class, its attributes and slots, and what it holds as a container or in C."""
        kind = type(value)
        attributes = getattr(
            value, "__dict__", {}
        )  # first, since asking for it is what makes some objects have it
        parts = [self.walk(kind, "'s class"), *self._state(attributes, _beside_the_point(kind))]
        base = next((b for b in (*_CONTAINERS, *_SCALARS) if isinstance(value, b)), object)
        if base in _CONTAINERS:
            parts += self._items(value)
        elif base in _SCALARS:
            parts.append(_node("plain", base.__repr__(value)))
        if has_hidden_state(kind, base):
            parts.append(self._reduced(value))
        for slot in slots_of(kind):
            try:
                held = slot.__get__(value, kind)
            except AttributeError:
                held = MISSING
            parts += [_node(slot.__name__), self.walk(held, f".{slot.__name__}")]
        return _node("object", *parts)

    def _reduced(self, value: Any) -> bytes:
        """What pickle would take an object apart into; nothing is pickled."""
        kind = type(value)
        reduce = copyreg.dispatch_table.get(kind)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception as e:
            raise self.refused(
                f"a {kind.__module__}.{kind.__qualname__}, which can't be taken apart ({e})"
            ) from e
        if not isinstance(made, str):
            parts = [list(p) if isinstance(p, Iterator) else p for p in made]
            return _node("reduced", *[self.walk(p, "") for p in parts])
        for module in (getattr(value, "__module__", None), kind.__module__):  # its name must lead to it
            package = package_of(str(module))
            if package is not None and getattr(sys.modules.get(str(module)), made, None) is value:
                return _node("named", package, str(module), made)
        if hasattr(value, "__wrapped__"):  # a cached function, which is seen by its attributes
            return _node("wrapped")
        raise self.refused(
            f"a {kind.__module__}.{kind.__qualname__}, which is known by its name only ({made})"
        )

    # -- code ---------------------------------------------------------------------------------------

    def _function(self, value: types.FunctionType) -> bytes:
        package = is_installed(value)
        own = vars(value)
        if package:
            if value.__code__.co_qualname.startswith("_disable_dynamo."):
                return self.walk(
                    own["__wrapped__"], ""
                )  # torch's compiler wraps some functions when it is loaded
            own = {k: v for k, v in own.items() if not k.startswith("__")}  # and leaves notes on others
        parts = [x for n, cell in cells_of(value) for x in (_node(n), self.walk(cell, f", its {n}"))]
        for given in (value.__defaults__, value.__kwdefaults__):
            parts.append(self.walk(given, ", its defaults"))
        parts += self._state(own)
        if package:
            return _node("function", full_name(value), *parts)
        try:
            names = list(reached(value))
        except ValueError as e:
            raise self.refused(str(e)) from e
        used = [x for n, found in names for x in (_node(n), self.walk(found, f", its {n}"))]
        return _node("function", self.walk(value.__code__, ""), *parts, *used)

    def _code(self, code: types.CodeType) -> bytes:
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        raw = (code.co_name, code.co_code, code.co_exceptiontable)
        return _node("code", repr((raw, names, counts)), *[self.walk(c, "") for c in code.co_consts])

    def _builtin(self, value: Any) -> bytes:
        owner = getattr(value, "__self__", None)
        of = getattr(value, "__objclass__", None)
        name = f"{getattr(value, '__module__', '')} {value.__qualname__}"
        if isinstance(owner, types.ModuleType):
            owner = owner.__name__
        return _node("builtin", name, self.walk(owner, ".__self__"), self.walk(of and of.__qualname__, ""))

    def _python_module(self, value: types.ModuleType) -> bytes:
        package = package_of(value.__name__)
        if package is not None:
            return _node("package", value.__name__, package)
        return _node("module", *self._state({k: v for k, v in vars(value).items() if not k.startswith("__")}))

    def _class(self, value: type) -> bytes:
        name = f"{value.__module__}.{value.__qualname__}"
        bases = [self.walk(base, f", its base {base.__name__}") for base in value.__bases__]
        if not is_installed(value):
            meta = self.walk(type(value), "'s class")
            own = {k: v for k, v in vars(value).items() if not isinstance(v, types.GetSetDescriptorType)}
            return _node("class", name, meta, *bases, *self._state(own, _OF_CLASSES))
        package = str(package_of(value.__module__))
        if package.startswith("python "):
            return _node("class", name, package, *bases)
        skip = _OF_CLASSES | _beside_the_point(value)
        seen = [_node(k, self._surface(v)) for k, v in sorted(vars(value).items()) if k not in skip]
        return _node("class", name, package, *bases, *seen, self.foreign_parts(value.__module__))

    def _surface(self, value: Any) -> bytes:
        """Digest an attribute of a package's class: what others put there wholly, what is the package's by name."""
        key = id(value)
        if key not in self._surfaces:
            self._kept.append(value)
            self._surfaces[key] = b"open"  # for one that holds itself
            self._surfaces[key] = self._look_at(value)
        return self._surfaces[key]

    def _look_at(self, value: Any) -> bytes:
        if isinstance(value, property):
            return _node("property", *map(self._surface, (value.fget, value.fset, value.fdel)))
        if isinstance(value, staticmethod | classmethod | types.MethodType):
            return self._surface(value.__func__)
        if isinstance(value, functools.partial):
            return _node("partial", *map(self._surface, (value.func, value.args, value.keywords)))
        if isinstance(value, types.FunctionType) and is_installed(value):
            return _node(
                "function", full_name(value), *[_node(n, self._surface(c)) for n, c in cells_of(value)]
            )
        if isinstance(value, type) and is_installed(value):
            return _node("class", f"{value.__module__}.{value.__qualname__}")
        if type(value) in (list, tuple):
            return _node("items", *map(self._surface, value))
        if type(value) is dict:
            return _node("items", *[self._surface(x) for item in value.items() for x in item])
        if is_others(value) or type(value) in _PLAIN:
            return self.walk(value, "")
        return _node("package's", f"{type(value).__module__}.{type(value).__qualname__}")

    def foreign_parts(self, name: str) -> bytes:
        """Digest what others put into a package's module: functions, classes and objects, also in its registries.

        Functions of packages count by name, since one may stand in another's place; but not in a package's root, which
        gathers what its modules use by their own names, and where packages wrap some of another's when they are loaded.
        """
        if name not in self._foreign:
            self._foreign[name] = b""  # whoever asks again on the way finds it open
            is_root = "." not in name
            found = []
            for key, value in sorted(vars(sys.modules[name]).items()):
                for label, part in registered(value):
                    if isinstance(part, types.FunctionType) and is_installed(part):
                        found += [] if is_root else [_node(f"{key}{label}", full_name(part))]
                    elif is_others(part):
                        found.append(_node(f"{key}{label}", self.walk(part, f", {name}.{key}{label}")))
            self._foreign[name] = _node("foreign", *found)
        return self._foreign[name]


def _beside_the_point(kind: type) -> set[str]:
    """Attributes of transformers' classes and objects that differ from run to run and change no answer."""
    return _OF_TRANSFORMERS if any(b.__module__.startswith("transformers.") for b in kind.__mro__) else set()
