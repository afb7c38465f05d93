"""What a network answers where one position of one layer is changed: of every layer and position, many at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.core.errors import MissingError, ViewError, suggest
from workbench.numerics.inside.changes import Site, adding, watching
from workbench.numerics.inside.stream import Inputs, Stream, run, standing_in, stream

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

NUMBERS = 1 << 25  # of the network's output that are held at once
MOST = 256  # changed texts that are read at once


class Seen(NamedTuple):
    """One pass over texts of one length.

    Attributes
    ----------
    known : what the blocks gave, and the answer. values : (n, t, d) at each of the sites.
    """

    known: Stream
    values: tuple[Float[torch.Tensor, "n t d"], ...]


def sites_of(module: torch.nn.Module, blocks: Sequence[str], part: str | None) -> list[Site]:
    """The site of each block: what it hands on, or the output of a module in it.

    Raises
    ------
    MissingError
        A block has no such module.
    """
    sites = []
    for block in blocks:
        name = block if part is None else f"{block}.{part}"
        within = [n for n, _ in module.get_submodule(block).named_modules() if n]
        if part is not None and part not in within:
            raise MissingError(f"{block} has no module part={part!r}. {suggest(part, within)}")
        sites.append(Site(name, False, slice(None), name))
    return sites


def see(module: torch.nn.Module, inputs: Inputs, sites: Sequence[Site]) -> Seen:
    """Read texts once, and keep what there is at the sites.

    Raises
    ------
    ViewError
        A site runs not once in a pass, or gives no (batch, positions, width).
    """
    with ExitStack() as stack:
        caught = [stack.enter_context(watching(module, site)) for site in sites]
        known = stream(module, inputs)
    for site, seen in zip(sites, caught, strict=True):
        if len(seen) != 1:
            raise ViewError(f"{site.module} ran {len(seen)} times in one pass; a site runs once.")
    return Seen(known, tuple(seen[0] for seen in caught))


def changed(
    module: torch.nn.Module,
    inputs: Inputs,
    known: Stream,
    site: Site,
    changes: Float[torch.Tensor, "m t d"],
    at: int | None,
) -> torch.Tensor:
    """The network's answers to one text with each of some tensors added at a site; the blocks before it aren't run.

    Parameters
    ----------
    inputs, known : of one text, and what its blocks gave.
    at : the position whose answer is kept; None for all.

    Returns
    -------
    torch.Tensor
        (m, ...) one answer a change.
    """
    import torch

    own = next((i for i, b in enumerate(known.names) if _within(site.module, b)), 0)
    ahead = known.names[:own]
    together = max(1, min(MOST, NUMBERS // max(1, known.answer.numel())))
    answers = []
    for start in range(0, len(changes), together):
        some = changes[start : start + together]
        outputs = {name: known.outputs[name] for name in ahead}
        if ahead:  # the only one that is read: those before it stand in for each other
            outputs[ahead[-1]] = repeated(outputs[ahead[-1]], len(some))
        with standing_in(module, outputs), adding(module, site, some):
            answer = run(module, repeated(inputs, len(some)))
        answers.append(answer if at is None else answer[:, at])
    return torch.cat(answers)


def one_at_a_time(change: Float[torch.Tensor, "t d"]) -> Float[torch.Tensor, "t t d"]:
    """The change at each position alone."""
    import torch

    t = len(change)
    apart = change.new_zeros(t, t, change.shape[1])
    apart[torch.arange(t), torch.arange(t)] = change
    return apart


def rotation(width: int, rng: np.random.Generator) -> Float[np.ndarray, "d d"]:
    """A rotation drawn at random, all alike likely (Mezzadri 2007: the signs of a QR decomposition have to be drawn too)."""
    q, r = np.linalg.qr(rng.standard_normal((width, width)))
    return q * np.sign(np.diag(r))


def repeated(value: Any, n: int) -> Any:
    """Tensors of one text, so often; what holds no batch of one stays."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.expand(n, *value.shape[1:]) if value.ndim and value.shape[0] == 1 else value
    if isinstance(value, Mapping):
        return {k: repeated(v, n) for k, v in value.items()}
    return tuple(repeated(v, n) for v in value) if isinstance(value, tuple) else value


def _within(name: str, block: str) -> bool:
    return name == block or name.startswith(f"{block}.")
