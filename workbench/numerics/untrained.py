"""Networks that learned nothing: weights drawn anew by their own initializers, or permuted within each matrix."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

SHOWN = 3  # names of parameters in a message


class NoInitializer(Exception):
    """How a network's weights are drawn isn't known; the message says of which."""


def drawn_anew(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Return a copy with every parameter as the network's own initializer draws it; the module is left alone.

    A model of transformers is built again from its configuration. Of any other module, each part that has
    ``reset_parameters``, as those of torch.nn do, draws its own. Hooks and the mode stay.

    Raises
    ------
    NoInitializer
        There are parameters that nothing draws.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = _built_again(module) if _of_transformers(module) else _reset(module)
    made = copy.deepcopy(module)
    made.load_state_dict(state, strict=False)
    return made


def draws_all(module: torch.nn.Module) -> bool:
    """Whether `drawn_anew` surely draws every parameter, which is found without drawing any; False where only that tells."""
    import torch

    if not _of_transformers(module):
        return False
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            _built_again(module)
    except NoInitializer:
        return False
    return True


def shuffled_within(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Return a copy in which the entries of every matrix are permuted; parameters of one dimension stay."""
    import torch

    made = copy.deepcopy(module)
    with torch.no_grad():
        for name, p in made.named_parameters():
            if p.ndim >= 2 and p.is_floating_point():
                order = torch.from_numpy(np.random.default_rng([seed, *name.encode()]).permutation(p.numel()))
                p.copy_(p.reshape(-1)[order.to(p.device)].reshape(p.shape))
    return made


def _of_transformers(module: torch.nn.Module) -> bool:
    return type(module).__module__.startswith("transformers.models.") and hasattr(module, "config")


def _built_again(module: Any) -> dict[str, torch.Tensor]:
    try:
        state = type(module)(copy.deepcopy(module.config)).state_dict()
    except Exception as e:
        raise NoInitializer(f"its configuration builds no network ({type(e).__name__})") from e
    own = module.state_dict()
    _require([n for n, t in own.items() if n not in state or state[n].shape != t.shape])
    return {n: state[n] for n in own}


def _reset(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What parts draw; parameters are set to NaN first, so that those are known which nothing drew."""
    import torch

    blank = copy.deepcopy(module).cpu()
    floating = {n: p for n, p in blank.named_parameters() if p.is_floating_point()}
    with torch.no_grad():
        for p in floating.values():
            p.fill_(torch.nan)
        for part in reversed(list(blank.modules())):  # a whole may draw its parts again
            draw = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
            if callable(draw):
                draw()
    _require([n for n, p in blank.named_parameters() if n not in floating or bool(p.isnan().any())])
    return blank.state_dict()


def _require(undrawn: list[str]) -> None:
    if undrawn:
        more = len(undrawn) - SHOWN
        raise NoInitializer(
            f"nothing draws {', '.join(undrawn[:SHOWN])}{f' and {more} more' if more > 0 else ''}"
        )
