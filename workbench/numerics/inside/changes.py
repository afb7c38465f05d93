"""Changes at a site of a network while it reads, and what they do to its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import MissingError, ParameterError, ViewError, suggest
from workbench.numerics.hooks import blocks, first_tensor
from workbench.numerics.inside.stream import Inputs, replaced, run, standing_in

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

_JOINING = (".o_proj", ".out_proj", ".output.dense", ".c_proj", ".dense", ".out")
"""What the layer is called that joins the heads of an attention module; what it is given are the heads side by side."""
_HEADS = ("num_attention_heads", "num_heads", "n_heads", "n_head", "heads")


@dataclass(frozen=True)
class Site:
    """A place in a network where a tensor (batch, positions, width) can be changed.

    Attributes
    ----------
    module : whose output it is, or input where ``before``.
    columns : of the width, which are meant. name : for people.
    """

    module: str
    before: bool
    columns: slice
    name: str


def site_at(module: torch.nn.Module, name: str | None, *, head: int | None, neuron: int | None) -> Site:
    """The site that is meant: a module's output, one of its columns (``neuron``), or a head of the attention in it.

    Parameters
    ----------
    name : of the module; None for the block in the middle.

    Raises
    ------
    MissingError
        There is no such module.
    ParameterError
        It has no such head.
    ViewError
        Heads are asked of a module without attention that is known.
    """
    known = dict(module.named_modules())
    if name is None:
        found = blocks(module)
        if not found:
            raise ViewError(f"{type(module).__name__} has no blocks: say which module is meant with site=.")
        name = found[len(found) // 2]
    if name not in known or not name:
        raise MissingError(f"The network has no module site={name!r}. {suggest(name, filter(None, known))}")
    if head is None:
        columns = slice(None) if neuron is None else slice(neuron, neuron + 1)
        return Site(name, False, columns, name if neuron is None else f"{name}, neuron {neuron}")
    joining, count, width = heads_in(module, name)
    if not 0 <= head < count:
        raise ParameterError(f"head={head} is not legal: {joining} joins {count} heads, 0 to {count - 1}.")
    size = width // count
    return Site(joining, True, slice(head * size, (head + 1) * size), f"{name}, head {head}")


def heads_in(module: torch.nn.Module, name: str) -> tuple[str, int, int]:
    """The layer that joins the heads of the attention in a module; how many those are, and their width together.

    Raises
    ------
    ViewError
        No such layer is known there.
    """
    for path, layer in module.get_submodule(name).named_modules(prefix=name):
        weight: Any = getattr(layer, "weight", None)
        if "att" not in path.lower() or not path.endswith(_JOINING) or getattr(weight, "ndim", 0) != 2:
            continue
        parts = path.split(".")
        around = [module.get_submodule(".".join(parts[:i])) for i in range(len(parts) - 1, -1, -1)]
        count = next((c for owner in around if (c := _count(owner))), 0)
        width = weight.shape[0] if type(layer).__name__ == "Conv1D" else weight.shape[1]
        if count and width % count == 0:
            return path, count, width
    raise ViewError(
        f"{name} has no attention whose heads are known here (a layer that joins them, called as one of "
        f"{', '.join(n[1:] for n in _JOINING)}). Name a module that has, or leave head= out."
    )


def _count(owner: Any) -> int:
    """How many heads a module or its configuration says that there are; 0 where neither does."""
    said = (getattr(h, key, None) for h in (owner, getattr(owner, "config", None)) for key in _HEADS)
    return next((int(n) for n in said if type(n) is int), 0)


@contextmanager
def watching(module: torch.nn.Module, site: Site) -> Iterator[list[torch.Tensor]]:
    """Keep the whole tensor at a site inside the block."""
    seen: list[torch.Tensor] = []
    part = module.get_submodule(site.module)
    if site.before:
        handle = part.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    else:
        handle = part.register_forward_hook(lambda _, args, out: seen.append(_tensor(site, out)))
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def adding(module: torch.nn.Module, site: Site, change: torch.Tensor) -> Iterator[None]:
    """Add a tensor to what is at a site, inside the block; where it is zero nothing changes, to the last bit."""
    part = module.get_submodule(site.module)

    def into(_: Any, args: Any) -> Any:
        return (args[0] + change, *args[1:])

    def out(_: Any, args: Any, output: Any) -> Any:
        return replaced(output, _tensor(site, output) + change)

    handle = part.register_forward_pre_hook(into) if site.before else part.register_forward_hook(out)
    try:
        yield
    finally:
        handle.remove()


def _tensor(site: Site, output: Any) -> torch.Tensor:
    tensor = first_tensor(output)
    if tensor is None or tensor.ndim != 3:
        shape = "nothing" if tensor is None else f"the shape {tuple(tensor.shape)}"
        raise ViewError(f"{site.module} puts out {shape}; what is changed here is (batch, positions, width).")
    return tensor


@dataclass(frozen=True)
class Read:
    """Texts of one length, read once: what there is at a site, the answers, and what needn't run again.

    Attributes
    ----------
    inputs : what the module is called with. values : (n, t, d) at the site. answer : the network's output.
    ahead : outputs of the blocks that lie before the site.
    """

    inputs: Inputs
    values: Float[torch.Tensor, "n t d"]
    answer: torch.Tensor
    ahead: Mapping[str, Any]

    @classmethod
    def of(cls, module: torch.nn.Module, inputs: Inputs, site: Site) -> Read:
        """Read them."""
        named = blocks(module)
        inside = next(
            (i for i, b in enumerate(named) if site.module == b or site.module.startswith(f"{b}.")), 0
        )
        ahead: dict[str, Any] = {}
        handles = [
            module.get_submodule(b).register_forward_hook(lambda _, args, out, b=b: ahead.__setitem__(b, out))
            for b in named[:inside]
        ]
        try:
            with watching(module, site) as seen:
                answer = run(module, inputs)
        finally:
            for handle in handles:
                handle.remove()
        if len(seen) != 1:
            raise ViewError(
                f"{site.module} ran {len(seen)} times in one pass; a site runs once. Choose another."
            )
        if seen[0].ndim != 3:
            raise ViewError(
                f"{site.module} is given the shape {tuple(seen[0].shape)}, not (batch, positions, width)."
            )
        if seen[0][..., site.columns].shape[-1] == 0:
            raise ParameterError(
                f"neuron={site.columns.start} is not legal: {site.module} has {seen[0].shape[-1]} of them, from 0."
            )
        return cls(inputs, seen[0], answer, ahead)

    def changed(self, module: torch.nn.Module, site: Site, change: torch.Tensor) -> torch.Tensor:
        """The network's answer with a tensor added at the site; the blocks before it aren't run."""
        with standing_in(module, self.ahead), adding(module, site, change):
            return run(module, self.inputs)


def change_of(
    values: Float[torch.Tensor, "n t d"],
    columns: slice,
    how: str,
    *,
    shift: int = 1,
    position: int | None = None,
) -> Float[torch.Tensor, "n t d"]:
    """What has to be added for some columns to be zero, their mean over all tokens, or those of another text.

    Parameters
    ----------
    how : ``zero``, ``mean`` or ``patch``. shift : from which text is patched: so many further on.
    position : the one that is changed; None for all.
    """
    import torch

    part = values[..., columns]
    target = {
        "zero": lambda: torch.zeros_like(part),
        "mean": lambda: part.mean(dim=(0, 1), keepdim=True).expand_as(part),
        "patch": lambda: part.roll(-shift, 0),
    }[how]()
    change = torch.zeros_like(values)
    where = slice(None) if position is None else slice(position, position + 1)
    change[:, where, columns] = (target - part)[:, where]
    return change


def turned(change: Float[torch.Tensor, "n t d"], rng: np.random.Generator) -> Float[torch.Tensor, "n t d"]:
    """The same changes in directions drawn at random: all lengths and all angles between them stay."""
    import torch

    n, t, d = change.shape
    flat = change.reshape(-1, d)
    used = flat.abs().amax(0).nonzero()[:, 0]  # rotating the columns that change, into all there are
    drawn = rng.standard_normal((d, max(1, len(used))))
    q = torch.as_tensor(np.linalg.qr(drawn)[0], dtype=flat.dtype, device=flat.device)
    return (flat[:, used] @ q[:, : len(used)].T).reshape(n, t, d)
