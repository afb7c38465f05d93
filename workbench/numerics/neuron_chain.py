"""Chains of layers whose neurons may be put in another order without changing what the network computes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.core.errors import DataError

if TYPE_CHECKING:
    from torch import fx, nn

ELEMENTWISE = (
    "ReLU",
    "ReLU6",
    "LeakyReLU",
    "ELU",
    "SELU",
    "CELU",
    "GELU",
    "SiLU",
    "Mish",
    "Tanh",
    "Sigmoid",
    "Softplus",
    "Hardtanh",
    "Hardswish",
    "Hardsigmoid",
    "LogSigmoid",
    "Softsign",
    "Tanhshrink",
    "Identity",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "AlphaDropout",
)
POOLS = tuple(
    f"{kind}Pool{d}d" for kind in ("Max", "Avg", "AdaptiveAvg", "AdaptiveMax", "LP") for d in (1, 2, 3)
)
ELEMENTWISE_CALLS = (
    "relu",
    "relu_",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "tanh",
    "sigmoid",
    "softplus",
    "hardtanh",
    "hardswish",
    "hardsigmoid",
    "softsign",
    "dropout",
    "contiguous",
    "clone",
    "float",
    "double",
)
POOL_CALLS = tuple(
    f"{kind}_pool{d}d" for kind in ("max", "avg", "adaptive_avg", "adaptive_max", "lp") for d in (1, 2, 3)
)
SHAPE_CALLS = ("size", "getitem", "getattr", "dim", "mul", "floordiv")
SUPPORTED = (
    "Supported are chains of linear layers and convolutions without groups, with element-wise activations, batch or layer "
    "normalization, dropout, pooling and flattening between them."
)


@dataclass(frozen=True)
class Layer:
    """One weighted layer of a chain.

    Attributes
    ----------
    name : of its module; ``weight`` and ``bias`` (or "") the names of its tensors. The weight is (width, inputs, ...).
    width : its neurons: outputs, or channels.
    spread : how many of its inputs each neuron of the layer before gives; more than 1 after flattening.
    beside : tensors with one number a neuron that come after it (normalization's scales, shifts and running moments).
    kind : ``linear`` or ``convolution``.
    """

    name: str
    weight: str
    bias: str
    width: int
    spread: int
    beside: tuple[str, ...]
    kind: str

    @property
    def rowwise(self) -> tuple[str, ...]:
        """All tensors whose first axis runs over its neurons."""
        return (self.weight, *([self.bias] if self.bias else []), *self.beside)


def chain_of(module: nn.Module, owner: str = "The network") -> tuple[Layer, ...]:
    """Read the chain of weighted layers off a network's own forward pass (symbolically: nothing is computed).

    Returns
    -------
    tuple of Layer
        In order; the neurons of all but the last may be permuted.

    Raises
    ------
    DataError
        A layer is met whose neurons can't be permuted on their own (residual or branching, used twice or with tied
        weights, with groups, attention, ...): it is named, with the reason and what is supported.
    """
    walk = _Walk(module, owner)
    for node in _trace(module, owner).nodes:
        walk.meet(node)
    return walk.finish()


def _trace(module: nn.Module, owner: str) -> fx.Graph:
    from torch import fx

    try:
        return fx.Tracer().trace(module)
    except Exception as e:  # whatever the network's own forward raises on symbols
        raise DataError(
            f"{owner}: its forward pass ({type(module).__name__}) can't be followed symbolically ({type(e).__name__}: {e}), so "
            f"that which neurons belong together isn't known. {SUPPORTED}"
        ) from None


class _Walk:
    """Goes along the forward pass node by node and refuses where it leaves the chain."""

    def __init__(self, module: nn.Module, owner: str):
        self.module, self.owner = module, owner
        self.modules = dict(module.named_modules())
        self.layers: list[Layer] = []
        self.tip: Any = None  # the node that holds the signal
        self.flattened = False
        self.used: dict[int, str] = {}

    def refuse(self, where: str, why: str) -> DataError:
        return DataError(f"{self.owner}: {where} {why} {SUPPORTED}")

    def meet(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            if self.tip is not None and node.users:
                raise self.refuse(
                    f"the input {node.target!r}", "is a second one: its paths join, and a chain has one."
                )
            self.tip = node if self.tip is None else self.tip
            return
        if node.op == "output" or (node.op != "get_attr" and _name(node) in SHAPE_CALLS and _is_shape(node)):
            return
        where = f"{node.target if node.op in ('call_module', 'get_attr') else _name(node)!s}"
        if node.op == "get_attr":
            raise self.refuse(
                where, "is a tensor that the forward pass uses by itself, outside of any known layer."
            )
        before = [n for n in node.all_input_nodes if not _is_shape(n)]
        if len(before) != 1:
            raise self.refuse(
                where,
                "joins two paths (a residual or branching connection): the neurons on both must keep one order.",
            )
        if before[0] is not self.tip:
            raise self.refuse(
                where, f"takes what {self.tip} was given as well: a branch, whose paths must keep one order."
            )
        self.tip = node
        if node.op == "call_module":
            self.module_call(str(node.target), where)
        else:
            self.call(_name(node), node, where)

    def module_call(self, name: str, where: str) -> None:
        module: Any = self.modules[name]
        kind = type(module).__name__
        for n, p in module.named_parameters():
            if id(p) in self.used:
                raise self.refuse(
                    f"{name}.{n}",
                    f"is the same tensor as {self.used[id(p)]} (tied weights, or a layer that is used twice): "
                    "permuting it for one place would change the other.",
                )
            self.used[id(p)] = f"{name}.{n}"
        if kind == "Linear":
            self.weighted(name, module, "linear")
        elif kind in ("Conv1d", "Conv2d", "Conv3d"):
            if module.groups != 1:
                raise self.refuse(
                    where, f"is a convolution with groups={module.groups}: channels can't leave their group."
                )
            self.weighted(name, module, "convolution")
        elif kind.startswith(("BatchNorm", "InstanceNorm")) or kind in ("PReLU", "LayerNorm"):
            self.beside(name, module, where)
        elif kind == "Flatten":
            self.flatten(int(module.start_dim), int(module.end_dim), where)
        elif kind in POOLS:
            self.pool(where)
        elif kind not in ELEMENTWISE:
            raise self.refuse(
                where, f"is a {kind}, through which an order of neurons isn't known to pass unchanged."
            )

    def call(self, name: str, node: fx.Node, where: str) -> None:
        if name in ELEMENTWISE_CALLS:
            return
        if name == "flatten":
            given: list[Any] = [*node.args[1:], *node.kwargs.values()]
            start = given[0] if given else 0
            self.flatten(start, given[1] if len(given) > 1 else -1, where)
        elif name in ("view", "reshape") and len(node.args) == 3 and node.args[2] == -1:
            self.flatten(1, -1, where)
        elif name in POOL_CALLS:
            self.pool(where)
        else:
            raise self.refuse(
                where, f"({node.op.replace('_', ' ')}) isn't known to keep neurons apart and in order."
            )

    def weighted(self, name: str, module: Any, kind: str) -> None:
        shape = tuple(module.weight.shape)
        spread = 1
        if self.layers:
            last = self.layers[-1]
            spread, rest = divmod(shape[1], last.width)
            unflat = not self.flattened and (spread > 1 or (last.kind, kind) == ("convolution", "linear"))
            if rest or unflat:
                raise self.refuse(
                    name,
                    f"reads {shape[1]} inputs and {last.name} before it has {last.width} neurons: which input belongs to "
                    "which neuron isn't known.",
                )
        bias = f"{name}.bias" if module.bias is not None else ""
        self.layers.append(Layer(name, f"{name}.weight", bias, shape[0], spread, (), kind))
        self.flattened = False

    def beside(self, name: str, module: Any, where: str) -> None:
        if not self.layers:
            return  # before the first layer, where inputs keep their order
        tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        width = self.layers[-1].width
        if type(module).__name__ == "LayerNorm" and (
            self.layers[-1].kind != "linear" or math.prod(module.normalized_shape) != width
        ):
            raise self.refuse(where, "normalizes over more than the neurons of one linear layer.")
        if self.flattened:
            raise self.refuse(where, "comes after flattening, where a neuron has several columns.")
        names = [f"{name}.{n}" for n, t in tensors.items() if t.ndim == 1 and len(t) == width]
        if any(t.numel() > 1 and tuple(t.shape) != (width,) for t in tensors.values()):
            raise self.refuse(
                where,
                f"has tensors that aren't one number for each of the {width} neurons of {self.layers[-1].name}.",
            )
        last = self.layers[-1]
        self.layers[-1] = Layer(
            last.name, last.weight, last.bias, last.width, last.spread, (*last.beside, *names), last.kind
        )

    def flatten(self, start: int, end: int, where: str) -> None:
        if not self.layers:
            return
        if (start, end) != (1, -1):
            raise self.refuse(where, "flattens other axes than all after the first, which mixes samples.")
        if self.layers[-1].kind == "convolution":
            self.flattened = True

    def pool(self, where: str) -> None:
        if self.layers and (self.layers[-1].kind != "convolution" or self.flattened):
            raise self.refuse(where, "pools over neurons rather than over places.")

    def finish(self) -> tuple[Layer, ...]:
        if not self.layers:
            raise self.refuse(type(self.module).__name__, "has no weighted layer.")
        trained = {n for n, _ in self.module.named_parameters(remove_duplicate=False)}
        known = {n for layer in self.layers for n in layer.rowwise}
        first = {
            f"{m}.{n}"
            for m, mod in self.modules.items()
            for n, _ in mod.named_parameters(recurse=False)
            if id(getattr(mod, n)) in self.used
        }
        unused = sorted(trained - known - first)
        if unused:
            raise self.refuse(
                unused[0], "isn't used in the forward pass by a layer that is known, so what it does is open."
            )
        return tuple(self.layers)


def _name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def _is_shape(node: fx.Node) -> bool:
    """Whether a node is a size rather than a signal: ``x.size(0)``, ``x.shape[0]``."""
    if node.op == "call_method" and node.target in ("size", "dim"):
        return True
    if node.op != "call_function":
        return False
    if _name(node) == "getattr":
        return node.args[1] == "shape"
    inner = node.all_input_nodes
    return _name(node) in SHAPE_CALLS and bool(inner) and all(_is_shape(n) for n in inner)
