"""The stream of a network: what its blocks hand on, what the network makes of it, and running only what comes behind a block.

A network's own last steps (a norm, an unembedding, a cap on its logits) are never written down here: they are run, with
what is to be read put in the place of what the last block gave. So the lens of the last block is the network's own answer,
to the last bit, whatever its architecture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.core.errors import MethodError, ViewError, WorkbenchError
from workbench.numerics.hooks import blocks, evaluating, first_tensor

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

Inputs = Mapping[str, Any] | tuple[Any, ...]


def run(module: torch.nn.Module, inputs: Inputs) -> torch.Tensor:
    """The first tensor of a module's output, without gradients and in evaluation mode.

    Raises
    ------
    MethodError
        It failed, with the shapes that it was given; or puts out no tensor.
    """
    import torch

    with torch.no_grad(), evaluating(module):
        try:
            out = module(**inputs) if isinstance(inputs, Mapping) else module(*inputs)
        except (WorkbenchError, KeyboardInterrupt):
            raise
        except Exception as e:
            parts = inputs.items() if isinstance(inputs, Mapping) else enumerate(inputs)
            shapes = ", ".join(f"{k} {tuple(v.shape)}" for k, v in parts)
            raise MethodError(
                f"{type(module).__name__} failed in its forward pass on {shapes}: {type(e).__name__}: {e}"
            ) from e
    answer = first_tensor(out)
    if answer is None:
        raise MethodError(f"{type(module).__name__} puts out no tensor.")
    return answer


@dataclass(frozen=True)
class Stream:
    """One pass through a network.

    Attributes
    ----------
    names : of the blocks, in the order in which they ran.
    outputs : what each gave, as it gave it.
    first : (b, t, d) what the first block was given.
    answer : the first tensor of the network's output.
    """

    names: tuple[str, ...]
    outputs: dict[str, Any]
    first: torch.Tensor
    answer: torch.Tensor

    def at(self, name: str) -> Float[torch.Tensor, "b t d"]:
        """What a block handed on."""
        tensor = first_tensor(self.outputs[name])
        assert tensor is not None
        return tensor


def stream(module: torch.nn.Module, inputs: Inputs) -> Stream:
    """Run a network and keep what each of its blocks gave.

    Raises
    ------
    ViewError
        It has no blocks of one width that each run once and hand on what the next one is given.
    """
    import torch

    outputs: dict[str, Any] = {}
    given: list[torch.Tensor] = []
    handles = []

    def keep(name: str) -> Any:
        def hook(_: Any, args: Any, kwargs: Any, output: Any) -> None:
            tensor = first_tensor(output)
            if tensor is None or tensor.ndim != 3:
                return
            if name in outputs:
                raise ViewError(f"{name} runs twice in one pass: what it hands on isn't one stream.")
            if not outputs:
                before = next((a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)), tensor)
                given.append(before)
            outputs[name] = output

        return hook

    try:
        for name in blocks(module):
            handles.append(module.get_submodule(name).register_forward_hook(keep(name), with_kwargs=True))
        answer = run(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    known = Stream(tuple(outputs), outputs, given[0] if given else answer, answer)
    widths = {known.at(n).shape for n in known.names} | {known.first.shape}
    if not outputs or len(widths) != 1:
        shapes = ", ".join(sorted(map(str, map(tuple, widths)))) or "none"
        raise ViewError(
            f"{type(module).__name__} has no stream that its blocks hand on (batch, positions, width): there are {shapes}."
        )
    return known


@contextmanager
def standing_in(module: torch.nn.Module, outputs: Mapping[str, Any]) -> Iterator[None]:
    """Have some modules give what is known of them, without running, inside the block."""
    parts: dict[str, Any] = {name: module.get_submodule(name) for name in outputs}
    before = {name: vars(part).get("forward") for name, part in parts.items()}
    try:
        for name, part in parts.items():
            part.forward = _giving(outputs[name])
        yield
    finally:
        for name, part in parts.items():
            if before[name] is None:
                del part.forward
            else:
                part.forward = before[name]


def _giving(output: Any) -> Any:
    return lambda *args, **kwargs: output


def read_off(
    module: torch.nn.Module, inputs: Inputs, known: Stream, x: Float[torch.Tensor, "b t d"]
) -> torch.Tensor:
    """What the network answers where its last block gives ``x``: all that it does behind its blocks, done to ``x``."""
    last = known.names[-1]
    outputs = {**known.outputs, last: replaced(known.outputs[last], x)}
    with standing_in(module, outputs):
        return run(module, inputs)


def replaced(output: Any, x: torch.Tensor) -> Any:
    """What a module gave, with another tensor in the place of the first.

    Raises
    ------
    ViewError
        It is neither a tensor nor a tuple that begins with one.
    """
    import torch

    if isinstance(output, torch.Tensor):
        return x
    if isinstance(output, tuple) and output and isinstance(output[0], torch.Tensor):
        return (x, *output[1:])
    raise ViewError(f"A block gives a {type(output).__name__}, in which no tensor can be exchanged.")
