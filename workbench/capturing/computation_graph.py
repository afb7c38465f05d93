"""`computation_graph`: the operations of a network on one sample, as torch.export writes them down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from workbench.core.errors import DataError, ViewError
from workbench.core.lineage import step
from workbench.core.parameters import require_integer
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.computation import ComputationGraph
from workbench.subjects.network import Network

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram
    from torch.fx import Node

MOST = 100_000  # operations


@step
def computation_graph(
    network: Checkpoint | Network, sample: Any = "A short text.", *, max_length: int = 16
) -> ComputationGraph:
    """Write down the operations that a network does on one sample, and the tensors that flow between them.

    By torch.export, which calls the network with tensors that have shapes and no numbers. So the graph holds for samples of
    this shape: what a network decides by the shape is decided, and one that decides by the numbers is refused. There is no
    other way round: a trace with numbers would show one of its ways as if it were all. Operations without which the answer
    is the same (checks) are left out, and so is training. Parameters are no nodes; how many an operation reads is in its line.

    Parameters
    ----------
    network : a checkpoint that has an architecture, a `Network`, or a torch module.
    sample : a text, for a network that reads texts; else an array, or a tuple of arrays, as its ``forward`` takes it.
    max_length : tokens of the text that are read.

    Returns
    -------
    ComputationGraph
        ``figure()`` draws it.

    Raises
    ------
    ViewError
        The network can't be called or can't be exported; why is said.
    DataError
        The sample is none for it, or there are more than 100,000 operations.
    """
    import torch

    built = network.shared_network() if isinstance(network, Checkpoint) else network
    built = built if isinstance(built, Network) else Network.of(built)
    if built is None:
        raise ViewError(
            f"computation_graph takes a checkpoint, a network or a torch module, not a {type(network).__name__}."
        )
    max_length = require_integer(max_length, "max_length", "computation_graph", low=1)
    args, kwargs = _inputs(built, sample, max_length)
    try:
        with torch.no_grad():
            exported = torch.export.export(built.module, args, kwargs=kwargs, strict=False)
    except Exception as e:  # whatever a network's own code raises where there are no numbers
        raise ViewError(_why(built.name, e)) from e
    return _graph(exported, f"{built.name} · operations on {_shapes(args, kwargs)}")


def _inputs(network: Network, sample: Any, max_length: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the network is called with, on its own device."""
    import pandas as pd
    import torch

    if isinstance(sample, str):
        if network.encode is None:
            raise DataError(
                f"{network.name} doesn't read text: give an array as its forward takes it, computation_graph(network, array)."
            )
        inputs = network.encode(pd.DataFrame({"text": [sample]}), max_length).inputs
        if isinstance(inputs, tuple):
            return tuple(t.to(network.device) for t in inputs), {}
        return (), {n: t.to(network.device) for n, t in inputs.items()}
    several = sample if isinstance(sample, tuple) else (sample,)
    made = tuple(torch.as_tensor(np.asarray(s) if not torch.is_tensor(s) else s) for s in several)
    return tuple((t.float() if t.is_floating_point() else t).to(network.device) for t in made), {}


def _why(name: str, e: Exception) -> str:
    said = " ".join(str(e).split())[:200]
    kind = type(e).__name__
    if "data-dependent" in said.lower() or "DataDependent" in kind:
        return (
            f"{name} decides by the numbers that it is given what to compute next (data-dependent control flow), so that no one "
            f"graph is all that it does. Ask a part of it that doesn't. ({kind}: {said})"
        )
    return (
        f"{name} can't be exported on this sample: {kind}: {said}. Check that its forward takes the sample, by calling it; or ask "
        "a part of it."
    )


def _shapes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return ", ".join(" x ".join(map(str, t.shape)) for t in (*args, *kwargs.values()))


def _graph(exported: ExportedProgram, name: str) -> ComputationGraph:
    import pandas as pd

    nodes = list(exported.graph.nodes)
    held = {**exported.graph_signature.inputs_to_parameters, **exported.graph_signature.inputs_to_buffers}
    held |= exported.graph_signature.inputs_to_lifted_tensor_constants
    needed: set[Any] = set(exported.graph.output_node().all_input_nodes)
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    kept = [
        n for n in nodes if n in needed and n.name not in held and n.op in ("placeholder", "call_function")
    ]
    if len(kept) > MOST:
        raise DataError(
            f"{name}: {len(kept):,} operations are more than {MOST:,}. Ask a part of the network."
        )
    place = {n: i for i, n in enumerate(kept)}
    edges = [(place[a], i) for n, i in place.items() for a in n.all_input_nodes if a in place]
    level = np.zeros(len(kept), np.int64)
    for a, b in edges:  # nodes come in an order in which each follows all that it takes from
        level[b] = max(level[b], level[a] + 1)
    table = pd.DataFrame(
        {
            "name": [n.name for n in kept],
            "operation": [_operation(n) for n in kept],
            "module": [_module(n) for n in kept],
            "level": level,
            "shape": [_shape(n) for n in kept],
            "bytes": [_bytes(n) for n in kept],
            "parameters": [sum(_numbers(a) for a in n.all_input_nodes if a.name in held) for n in kept],
            "flops": _flops(kept),
        }
    )
    ends = np.array(edges, np.int64).reshape(-1, 2)
    return ComputationGraph(ends, table["bytes"].to_numpy(float)[ends[:, 0]], table, name=name)


def _operation(node: Node) -> str:
    if node.op == "placeholder":
        return "input"
    return str(node.target).removeprefix("aten.").partition(".")[0]


def _module(node: Node) -> str:
    """The innermost module that the operation is done in, "" for the network itself."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def _tensors(node: Node) -> list[torch.Tensor]:
    import torch

    value = node.meta.get("val")
    return [v for v in (value if isinstance(value, tuple | list) else (value,)) if torch.is_tensor(v)]


def _shape(node: Node) -> str:
    return ", ".join(" x ".join(map(str, t.shape)) or "one number" for t in _tensors(node))


def _bytes(node: Node) -> int:
    return sum(int(t.numel()) * t.element_size() for t in _tensors(node))


def _numbers(node: Node) -> int:
    return sum(int(t.numel()) for t in _tensors(node))


def _flops(nodes: list[Node]) -> list[int]:
    """Floating point operations of products and convolutions, each done once without numbers; of others 0."""
    from torch.utils.flop_counter import FlopCounterMode

    counts = []
    for node in nodes:
        own = _tensors(node)
        mode = getattr(own[0], "fake_mode", None) if own else None
        if node.op != "call_function" or mode is None:
            counts.append(0)
            continue
        operation, args, kwargs = cast("Any", node.target), *map(_without_numbers, (node.args, node.kwargs))
        with mode, FlopCounterMode(display=False) as counter:
            operation(*args, **kwargs)
        counts.append(int(counter.get_total_flops()))
    return counts


def _without_numbers(arguments: Any) -> Any:
    """What an operation takes, nodes as tensors that have a shape and no numbers."""
    from torch.fx.node import map_arg

    return map_arg(arguments, lambda node: node.meta["val"])
