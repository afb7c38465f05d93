"""Torch modules as a list of steps that mathematics has names for: affine maps, activations, sums, normalizations."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError

if TYPE_CHECKING:
    from torch import fx, nn

LEGAL = (
    "What can be read: Linear, ReLU, LeakyReLU, GELU, SiLU, Tanh, Sigmoid, LayerNorm over the last axis, BatchNorm1d in "
    "evaluation mode, Softmax over the last axis, Dropout, Identity and Flatten, one after another or added together "
    "(residual connections), of one input (samples x numbers)."
)
PIECEWISE = ("relu", "leaky")
SMOOTH = ("gelu", "gelu_tanh", "silu", "tanh", "sigmoid")


@dataclass(frozen=True, eq=False)
class Step:
    """One step: what it does to the values of earlier ones.

    Attributes
    ----------
    op : ``input``, ``affine``, ``unit`` (an activation, number by number), ``add``, ``scale`` (number by number, with a shift),
        ``layer_norm``, ``batch_norm`` or ``softmax``; the norms without their affine part, which is a ``scale``.
    args : positions of the steps whose values it takes. name : of the module, or what the forward pass calls.
    width : how many numbers it gives.
    kind : of a unit: one of `PIECEWISE` or `SMOOTH`. number : the slope of a leaky unit, the eps of a norm.
    weight, bias : (m, n) and (m,) in float64, which holds what is stored exactly; of a batch norm the mean and variance.
    """

    op: str
    args: tuple[int, ...]
    name: str
    width: int
    kind: str = ""
    number: float = 0.0
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None


Program = tuple[Step, ...]


def program_of(module: nn.Module, owner: str = "The network") -> Program:
    """Read what a module computes off its own forward pass, followed symbolically.

    Raises
    ------
    DataError
        A step is met that can't be read: it is named, with what can be.
    """
    return _Reader(module, owner).read()


def is_piecewise(program: Program) -> bool:
    """Whether it is linear in pieces: affine maps, sums and rectifiers alone."""
    return all(s.op in ("input", "affine", "add", "scale") or s.kind in PIECEWISE for s in program)


def layers_of(program: Program) -> int:
    """How many activations lie behind one another at most."""
    depth: list[int] = []
    for s in program:
        depth.append(
            max((depth[a] for a in s.args), default=0) + (s.op not in ("input", "affine", "add", "scale"))
        )
    return depth[-1]


class _Reader:
    def __init__(self, module: nn.Module, owner: str):
        from torch import nn

        alone = type(module).__module__.startswith("torch.nn") and not isinstance(module, nn.Sequential)
        self.module = nn.Sequential(module) if alone else module
        self.owner = owner
        self.modules = dict(self.module.named_modules())
        self.steps: list[Step] = []
        self.at: dict[Any, int] = {}

    def refuse(self, where: str, why: str) -> DataError:
        return DataError(f"{self.owner}: {where} {why}. {LEGAL}")

    def read(self) -> Program:
        from torch import fx

        for name, m in self.modules.items():
            if m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m):
                raise self.refuse(
                    name or type(m).__name__, "has a hook or a forward pass of its own, which isn't read"
                )
        try:
            graph = fx.Tracer().trace(self.module)
        except Exception as e:  # whatever the network's own forward raises on symbols
            raise self.refuse(
                type(self.module).__name__,
                f"has a forward pass that can't be followed symbolically ({type(e).__name__}: {str(e)[:200]})",
            ) from None
        for node in graph.nodes:
            self.meet(node)
        return tuple(self.steps)

    def meet(self, node: fx.Node) -> None:
        if node.op == "output":
            value = node.args[0]
            if value not in self.at or self.at[value] != len(self.steps) - 1:
                raise self.refuse("the output", "isn't the last value alone")
            return
        if node.op == "placeholder":
            if self.steps:
                if node.users:
                    raise self.refuse(f"the input {node.target!r}", "is a second one")
                return
            self.at[node] = 0
            self.steps.append(Step("input", (), str(node.target), self.width_of_input()))
            return
        where = (
            str(node.target)
            if node.op == "call_module"
            else getattr(node.target, "__name__", str(node.target))
        )
        args = [n for n in node.args if hasattr(n, "op")]
        if any(a not in self.at for a in args):
            raise self.refuse(where, "takes what isn't a value of an earlier step")
        if node.op == "call_function" and node.target not in _functions():
            raise self.refuse(where, "is a function that can't be read")
        if node.op == "call_module":
            self.at[node] = self.module_call(where, self.modules[where], self.at[args[0]])
        elif where in ("add", "iadd", "add_") and len(node.args) == len(args) == 2 and not node.kwargs:
            one, other = (self.at[a] for a in args)
            if self.steps[one].width != self.steps[other].width:
                raise self.refuse(where, f"adds {self.steps[one].width} numbers to {self.steps[other].width}")
            self.at[node] = self.push(Step("add", (one, other), where, self.steps[one].width))
        elif where in _CALLS and len(node.args) == 1 and set(node.kwargs) <= {"inplace", "approximate"}:
            kind = _CALLS[where]
            if kind == "gelu" and node.kwargs.get("approximate", "none") == "tanh":
                kind = "gelu_tanh"
            self.at[node] = self.unit(where, kind, self.at[args[0]])
        else:
            raise self.refuse(f"{where} ({node.op.replace('_', ' ')})", "can't be read")

    def width_of_input(self) -> int:
        """What the first layer that reads the input takes; nothing before it changes how many there are."""
        from torch import nn

        for m in self.modules.values():
            if type(m) is nn.Linear:
                return m.in_features
            if type(m) is nn.BatchNorm1d:
                return m.num_features
            if type(m) is nn.LayerNorm:
                return m.normalized_shape[-1]
        raise self.refuse(type(self.module).__name__, "has no layer that says how many numbers it takes")

    def push(self, step: Step) -> int:
        self.steps.append(step)
        return len(self.steps) - 1

    def unit(self, name: str, kind: str, at: int, number: float = 0.0) -> int:
        return self.push(Step("unit", (at,), name, self.steps[at].width, kind, number))

    def module_call(self, name: str, m: nn.Module, at: int) -> int:
        from torch import nn

        reader = _READERS.get(type(m).__name__) if type(m).__module__.startswith("torch.nn") else None
        if reader is None:
            raise self.refuse(name, f"is a {type(m).__name__}, which can't be read")
        if m.training and isinstance(m, nn.Dropout | nn.BatchNorm1d):
            raise self.refuse(name, "is in training mode: call .eval() first")
        return reader(self, name, m, at)

    def linear(self, name: str, m: Any, at: int) -> int:
        if m.in_features != self.steps[at].width:
            raise self.refuse(name, f"takes {m.in_features} numbers and is given {self.steps[at].width}")
        weight, bias = self.numbers(name, "weight", m.weight), self.numbers(name, "bias", m.bias)
        return self.push(Step("affine", (at,), name, m.out_features, weight=weight, bias=bias))

    def numbers(self, name: str, part: str, tensor: Any) -> np.ndarray | None:
        if tensor is None:
            return None
        values = tensor.detach().cpu().double().numpy()
        if not np.isfinite(values).all():
            raise DataError(
                f"{self.owner}: {name}.{part} has NaN or infinite values, which no arithmetic is of. Find out where they come "
                "from, or open an earlier checkpoint."
            )
        return values

    def layer_norm(self, name: str, m: Any, at: int) -> int:
        width = self.steps[at].width
        if tuple(m.normalized_shape) != (width,):
            raise self.refuse(
                name, f"normalizes the shape {tuple(m.normalized_shape)} and is given {width} numbers"
            )
        at = self.push(Step("layer_norm", (at,), name, width, number=float(m.eps)))
        return self.scale(name, m, at)

    def batch_norm(self, name: str, m: Any, at: int) -> int:
        if m.running_mean is None or m.num_features != self.steps[at].width:
            raise self.refuse(name, "keeps no running mean and variance of what it is given")
        mean, var = (
            self.numbers(name, "running_mean", m.running_mean),
            self.numbers(name, "running_var", m.running_var),
        )
        at = self.push(
            Step("batch_norm", (at,), name, m.num_features, number=float(m.eps), weight=mean, bias=var)
        )
        return self.scale(name, m, at)

    def scale(self, name: str, m: Any, at: int) -> int:
        if m.weight is None:
            return at
        weight, bias = self.numbers(name, "weight", m.weight), self.numbers(name, "bias", m.bias)
        return self.push(Step("scale", (at,), name, self.steps[at].width, weight=weight, bias=bias))

    def softmax(self, name: str, m: Any, at: int) -> int:
        if m.dim not in (-1, 1):
            raise self.refuse(name, f"is a softmax over the axis {m.dim}")
        return self.push(Step("softmax", (at,), name, self.steps[at].width))

    def flatten(self, name: str, m: Any, at: int) -> int:
        if (m.start_dim, m.end_dim) != (1, -1):
            raise self.refuse(name, "flattens other axes than all after the first")
        return at

    def gelu(self, name: str, m: Any, at: int) -> int:
        return self.unit(name, "gelu" if m.approximate == "none" else "gelu_tanh", at)


@cache
def _functions() -> frozenset[Any]:
    """The functions that are known, themselves: another's may have one of their names."""
    import torch
    from torch.nn import functional as F

    known = (
        torch.relu,
        torch.relu_,
        torch.tanh,
        torch.sigmoid,
        torch.add,
        F.relu,
        F.relu_,
        F.tanh,
        F.sigmoid,
        F.gelu,
        F.silu,
    )
    return frozenset((operator.add, operator.iadd, *known))


def _unit(kind: str) -> Callable[..., int]:
    return lambda reader, name, m, at: reader.unit(name, kind, at)


def _same(reader: _Reader, name: str, m: Any, at: int) -> int:
    return at


_CALLS = {
    "relu": "relu",
    "relu_": "relu",
    "gelu": "gelu",
    "silu": "silu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
}
_READERS: dict[str, Callable[..., int]] = {
    "Linear": _Reader.linear,
    "ReLU": _unit("relu"),
    "LeakyReLU": lambda r, name, m, at: r.unit(name, "leaky", at, float(m.negative_slope)),
    "GELU": _Reader.gelu,
    "SiLU": _unit("silu"),
    "Tanh": _unit("tanh"),
    "Sigmoid": _unit("sigmoid"),
    "LayerNorm": _Reader.layer_norm,
    "BatchNorm1d": _Reader.batch_norm,
    "Softmax": _Reader.softmax,
    "Flatten": _Reader.flatten,
    "Dropout": _same,
    "Identity": _same,
}
