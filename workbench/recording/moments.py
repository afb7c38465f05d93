"""When the state of a step begins: as the first forward pass after an update does, in training mode.

A pass changes BatchNorm's buffers, other optimizers step between a pass and the update, and an averaged teacher follows after
it: none of what the recorded optimizer's own hooks see is the network that gave a step's loss. So the pass itself is
listened for, by hooks on the modules where one can begin. Version counters don't say what has changed: fused optimizers and
writes through ``.data`` leave them as they are.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

NONE, GRADIENT, ANY = range(3)  # which passes are waited for


class Moments:
    """Calls ``begins`` before the first forward pass after each update.

    Parameters
    ----------
    model : what is recorded. entry : what the loop calls: the model, or what wraps it.
    optimizer : the recorded one. begins : called where a state begins, also where another optimizer has stepped since; and with
        ``again=True`` before the first pass that keeps gradients, where others came before it (a teacher's, a policy's).

    Attributes
    ----------
    passed : whether a pass began since the last update.
    with_gradient : whether one that kept gradients did, and nothing has changed since.
    ever : whether any pass was seen at all; none is in a compiled or scripted model.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        entry: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        begins: Callable[..., None],
    ):
        self._model, self._entry, self._begins = model, entry, begins
        self._optimizer = weakref.ref(optimizer)
        self._hook = _Hook(self)
        self._handles: list[Any] = []
        self._outer: list[torch.nn.Module] = []
        self._own: set[int] = set()  # the model's parameters
        self._inner: list[Any] = []  # handles at the model's parts, while it isn't called as a whole
        self._awaits = NONE
        self.passed = self.with_gradient = self.ever = False
        owner, name = next((m, n) for m in model.modules() for n, p in m._parameters.items() if p is not None)
        self._first = owner._parameters, name, owner._parameters[name]

    def listen(self) -> None:
        """Put the hooks on."""
        self._own = {id(p) for p in self._model.parameters()}
        outer = {id(m): m for m in (self._entry, self._model, *_owners_of_buffers(self._model))}
        self._outer = list(outer.values())
        self._handles = self._on(self._outer)
        self._handles.append(register_optimizer_step_post_hook(self._another))
        self._listen_inside()
        self.updated()

    def stop(self) -> None:
        """Take them off."""
        for handle in (*self._handles, *self._inner):
            handle.remove()
        self._handles, self._inner = [], []

    def updating(self) -> None:
        """The recorded optimizer begins its step; passes inside it are its own business."""
        self._awaits = NONE
        if not (self.passed or self._inner) and self._model.training:
            self._listen_inside()

    def updated(self) -> None:
        """It has made its update."""
        self._awaits, self.passed, self.with_gradient = ANY, False, False

    def again(self) -> None:
        """The turn ended without an update: the state begins anew with the next pass."""
        self._awaits, self.with_gradient = ANY, False

    def _listen_inside(self) -> None:
        parts = {id(m): m for m in _callable_parts(self._model) if not any(m is o for o in self._outer)}
        self._inner = self._on(parts.values())

    def _on(self, modules: Iterable[torch.nn.Module]) -> list[Any]:
        hookable = (m for m in modules if not isinstance(m, torch.jit.ScriptModule))
        return [m.register_forward_pre_hook(self._hook) for m in hookable]

    def _another(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if not self.passed or optimizer is self._optimizer():
            return
        if any(id(p) in self._own for g in optimizer.param_groups for p in g["params"]):
            self.again()

    def note(self, module: torch.nn.Module) -> None:
        """A pass begins."""
        if not self._awaits or (self._awaits == GRADIENT and not torch.is_grad_enabled()):
            return
        held, name, parameter = self._first
        if held.get(name) is not parameter:
            return  # torch.func.functional_call, with weights that aren't the model's
        again = self._awaits == GRADIENT
        self.passed = self.ever = True
        self.with_gradient = torch.is_grad_enabled()
        self._awaits = NONE if self.with_gradient else GRADIENT
        if self._inner and (module is self._model or module is self._entry):
            for handle in self._inner:
                handle.remove()
            self._inner = []
        self._begins(again=again)


class Buffers:
    """Copies of a model's buffers as they were when a pass began.

    Attributes
    ----------
    kept : by name.
    """

    def __init__(self, model: torch.nn.Module, names: Iterable[str]):
        self.kept: dict[str, torch.Tensor] = {}
        self._names = list(names)
        # Looked up each time: a module may put another tensor in a buffer's place.
        modules = dict(model.named_modules())
        split = (n.rpartition(".") for n in self._names)
        self._places: list[tuple[Any, str]] = [(modules[owner]._buffers, own) for owner, _, own in split]
        self._ids: list[int] = []
        self._held: list[torch.Tensor] = []  # so that no other tensor comes by its number

    def keep(self) -> None:
        """Copy them anew."""
        if not self._places:
            return
        now = [holder[own] for holder, own in self._places]
        if list(map(id, now)) == self._ids:
            with torch.no_grad():  # in a quick loop cheaper than new tensors at every pass
                torch._foreach_copy_(list(self.kept.values()), now)
        else:
            self._ids, self._held = list(map(id, now)), now
            self.kept = {n: b.detach().clone() for n, b in zip(self._names, now, strict=True)}


class _Hook:
    """What is called before a pass. In a copy of the module, or a stored one, it does nothing."""

    only_watches = True  # by which a network's digest leaves it out

    def __init__(self, moments: Moments | None):
        self._moments = moments

    def __call__(self, module: torch.nn.Module, args: Any) -> None:
        if torch.compiler.is_compiling() or self._moments is None:
            return
        if module.training and self._moments._awaits:
            self._moments.note(module)

    def __deepcopy__(self, memo: Any) -> _Hook:
        return _Hook(None)

    def __reduce__(self) -> Any:
        return getattr, ({}, "get")  # called with the module and the inputs, it returns the inputs


def _owners_of_buffers(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    return (m for m in model.modules() if any(b is not None for b in m._buffers.values()))


def _callable_parts(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The modules that a loop may call instead of the whole: children, and those of plain containers."""
    for child in model.children():
        if isinstance(child, torch.nn.ModuleList | torch.nn.ModuleDict):
            yield from _callable_parts(child)
        else:
            yield child
