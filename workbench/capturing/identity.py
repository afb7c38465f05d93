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
import io
import logging
import struct
import sys
import types
import warnings
import weakref
import zipfile
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.capturing import tensors
from workbench.capturing.reach import MISSING, is_installed, package_of, reached
from workbench.core.digest import digest

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
    *("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__annotate__"),
    *("__annotate_func__", "__annotations_cache__", "__abstractmethods__", "_abc_impl", "__orig_bases__"),
    *("__parameters__", "__type_params__", "__static_attributes__", "__firstlineno__", "__match_args__"),
}
# Of a module: what isn't part of a forward pass, and hooks, which are known by numbers that differ from run to run.
_OF_MODULES = {
    *("_backward_hooks", "_backward_pre_hooks", "_is_full_backward_hook", "_non_persistent_buffers_set"),
    *("_state_dict_hooks", "_state_dict_pre_hooks"),
    *("_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
    *("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    *("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"),
}
_HELD = ("_parameters", "_buffers", "_modules")
_SCALARS = (int, float, complex, str, bytes, bytearray)
_POINTER = struct.calcsize("P")
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
    except RecursionError:
        raise Undigestable("network", "nested too deeply to be followed") from None
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
            raise self._refused(f"nested more than {_MOST_DEEP} deep")
        if len(self._done) == _MOST_PARTS:
            raise self._refused(f"the network has more than {_MOST_PARTS:,} parts")
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

    def _refused(self, why: str) -> Undigestable:
        return Undigestable("".join(self._path), why)

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
        if isinstance(value, _BUILTIN):
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
            return _node("script", *_script_parts(value))
        if kind.__module__ == "torch._ops":
            return _node("operator", str(value))
        return self._object(value)

    def _tensor(self, value: torch.Tensor) -> bytes:
        if (why := tensors.missing_values(value)) is not None:
            raise self._refused(why)
        head = f"{value.dtype} {tuple(value.shape)} {value.device} {value.requires_grad}"
        state = self._state(vars(value))
        if tensors.is_strided(value):
            key = tensors.storage_key(value)
            if key not in self._tensors:
                self._tensors[key] = tensors.strided_digest(value)
            return _node("tensor", head, str(value.stride()), self._tensors[key], *state)
        try:
            parts = tensors.parts_of(value)
        except (TypeError, RuntimeError) as e:
            raise self._refused(f"a tensor that can't be read ({e})") from e
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
                how = (number in with_keywords, number in value._forward_hooks_always_called)
                hooks += [_node(f"{when} {how}"), self.walk(hook, f".{when}")]
        if isinstance(value, torch.jit.ScriptModule):
            return _node("script", *_script_parts(value), *hooks)
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
        parts = [self.walk(kind, "'s class")]
        hidden = _has_hidden_state(kind)
        if isinstance(value, dict | list | tuple | set | frozenset):
            parts += self._items(value)
        elif (base := next((b for b in _SCALARS if isinstance(value, b)), None)) is not None:
            parts.append(_node("plain", base.__repr__(value)))
        elif hidden:
            parts.append(self._reduced(value))
        if not hidden or kind.__module__ != "builtins":
            parts += self._state(getattr(value, "__dict__", {}), _beside_the_point(kind))
        for base in kind.__mro__:
            slots = {n: d for n, d in vars(base).items() if isinstance(d, types.MemberDescriptorType)}
            for name in sorted(slots) if "__slots__" in vars(base) else ():
                parts += [_node(name), self.walk(getattr(value, name, MISSING), f".{name}")]
        return _node("object", *parts)

    def _reduced(self, value: Any) -> bytes:
        """What pickle would take an object apart into; nothing is pickled."""
        kind = type(value)
        reduce = copyreg.dispatch_table.get(kind)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = reduce(value) if reduce else value.__reduce_ex__(4)
                parts = (
                    [made]
                    if isinstance(made, str)
                    else [list(p) if isinstance(p, Iterator) else p for p in made]
                )
        except Exception as e:
            raise self._refused(
                f"a {kind.__module__}.{kind.__qualname__}, which can't be taken apart ({e})"
            ) from e
        return _node("reduced", *[self.walk(p, "") for p in parts])

    # -- code ---------------------------------------------------------------------------------------

    def _function(self, value: types.FunctionType) -> bytes:
        cells = [x for n, cell in _cells(value) for x in (_node(n), self.walk(cell, f", its {n}"))]
        given = [
            *(
                self.walk(value.__defaults__, ", its defaults"),
                self.walk(value.__kwdefaults__, ", its defaults"),
            ),
            *self._state(vars(value)),
        ]
        if is_installed(value):
            return _node("function", _name(value), *cells, *given)
        try:
            names = list(reached(value))
        except ValueError as e:
            raise self._refused(str(e)) from e
        used = [x for n, found in names for x in (_node(n), self.walk(found, f", its {n}"))]
        return _node("function", self.walk(value.__code__, ""), *cells, *given, *used)

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
        own = [_node(k, self._surface(v)) for k, v in sorted(vars(value).items()) if k not in _OF_CLASSES]
        return _node("class", name, package, *bases, *own, self.foreign_parts(value.__module__))

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
            return _node("function", _name(value), *[_node(n, self._surface(c)) for n, c in _cells(value)])
        if isinstance(value, type) and is_installed(value):
            return _node("class", f"{value.__module__}.{value.__qualname__}")
        if type(value) in (list, tuple):
            return _node("items", *map(self._surface, value))
        if type(value) is dict:
            return _node("items", *[self._surface(x) for item in value.items() for x in item])
        if _is_others(value) or type(value) in _PLAIN:
            return self.walk(value, "")
        return _node("package's", f"{type(value).__module__}.{type(value).__qualname__}")

    def foreign_parts(self, name: str) -> bytes:
        """Digest what others put into a package's module: functions, classes and objects, also in its registries."""
        if name not in self._foreign:
            self._foreign[name] = b""  # whoever asks again on the way finds it open
            found = []
            for key, value in sorted(vars(sys.modules[name]).items()):
                for label, part in _registered(value):
                    if isinstance(part, types.FunctionType) and is_installed(part):
                        found.append(_node(f"{key}{label}", _name(part)))
                    elif _is_others(part):
                        found.append(_node(f"{key}{label}", self.walk(part, f"{name}.{key}{label}")))
            self._foreign[name] = _node("foreign", *found)
        return self._foreign[name]


def _registered(value: Any) -> list[tuple[str, Any]]:
    """A module's value and, where it is a registry, what is registered in it under which name."""
    held = [value] if type(value) in (dict, OrderedDict) else []
    if isinstance(value, Mapping) and not held:
        held = [
            d
            for d in (*vars(type(value)).values(), *getattr(value, "__dict__", {}).values())
            if type(d) is dict
        ]
    entries = [(f"[{k!r}]" if isinstance(k, str) else "[]", v) for d in held for k, v in list(d.items())]
    return [("", value), *entries]


def _is_others(value: Any) -> bool:
    """Whether a value was made by code of the user's."""
    if isinstance(value, types.FunctionType):
        return not is_installed(value)
    if isinstance(value, type):
        return package_of(value.__module__) is None
    if isinstance(value, functools.partial):
        return _is_others(value.func)
    if isinstance(value, types.MethodType):
        return _is_others(value.__func__)
    return package_of(type(value).__module__) is None


def _cells(function: types.FunctionType) -> list[tuple[str, Any]]:
    found = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found.append((name, cell.cell_contents))
        except ValueError:
            found.append((name, MISSING))
    return found


def _name(function: types.FunctionType) -> str:
    """What tells a package's function from its others."""
    module = str(function.__globals__.get("__name__"))
    code = function.__code__
    return f"{package_of(module)} {module}.{code.co_qualname} {code.co_firstlineno}"


def _beside_the_point(kind: type) -> set[str]:
    """Attributes of transformers' objects that differ from run to run or place to place and change no answer."""
    theirs = any(base.__module__.startswith("transformers.") for base in kind.__mro__)
    return {"_name_or_path", "name_or_path", "_original_object_hash"} if theirs else set()


def _has_hidden_state(kind: type) -> bool:
    """Whether objects of a class hold more than attributes and slots, as those do whose class is written in C."""
    slots = sum(
        isinstance(d, types.MemberDescriptorType)
        for base in kind.__mro__
        if "__slots__" in vars(base)
        for d in vars(base).values()
    )
    pointers = slots + (kind.__dictoffset__ > 0) + (kind.__weakrefoffset__ > 0)
    return kind.__itemsize__ != 0 or kind.__basicsize__ > object.__basicsize__ + _POINTER * pointers


def _script_parts(value: torch.jit.ScriptModule | torch.jit.ScriptFunction) -> list[bytes]:
    """What TorchScript would write of itself, but for where its source stood and the file's own number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = io.BytesIO(value.save_to_buffer())
    with zipfile.ZipFile(raw) as held:
        named = [n.partition("/") for n in sorted(held.namelist())]
        kept = [f"{a}/{b}" for a, _, b in named if not b.endswith((".debug_pkl", "serialization_id"))]
        return [_node(name.partition("/")[2], held.read(name)) for name in kept]
