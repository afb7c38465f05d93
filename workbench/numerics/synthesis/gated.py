"""A gated recurrent network that is trained by backpropagation, for comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.medusa.reservoir import REACH, SETTLING, scored, unscored

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

STRETCH = 50  # steps through which errors go back
LATER = 0.2  # of the series, by whose likelihood the best state of the training is kept
LOOKED_EVERY = 10  # updates
LEARNING_RATE = 1e-2


def gru(
    x: Float[np.ndarray, "T c"], steps: int, seed: int, *, width: int = 32, updates: int = 200
) -> Float[np.ndarray, "steps c"]:
    """A gated recurrent network that gives mean and spread of the next normal scores; trained by likelihood, then run free.

    References
    ----------
    Cho et al. 2014, Learning phrase representations using RNN encoder-decoder for statistical machine translation, EMNLP; Graves 2013,
    Generating sequences with recurrent neural networks, arXiv:1308.0850.
    """
    import torch

    z = scored(x, True)
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            made = _made(torch.as_tensor(z, dtype=torch.float32), steps, width, updates)
        finally:
            torch.set_num_threads(threads)
    return unscored(made, x, True)


def _made(z: torch.Tensor, steps: int, width: int, updates: int) -> np.ndarray:
    import copy

    import torch
    from torch import nn

    c = z.shape[1]
    network = nn.ModuleDict({"cell": nn.GRU(c, width, batch_first=True), "out": nn.Linear(width, 2 * c)})

    def loss(batch: torch.Tensor) -> torch.Tensor:
        mean, size = network["out"](network["cell"](batch[:, :-1])[0]).chunk(2, dim=-1)
        size = size.clamp(-6, 3)
        return (size + 0.5 * ((batch[:, 1:] - mean) / size.exp()).square()).mean()

    cut = len(z) - max(2, int(LATER * len(z)))
    length = min(STRETCH + 1, cut)
    starts = torch.arange(0, cut - length + 1, max(1, length // 2))
    stretches = torch.stack([z[s : s + length] for s in starts.tolist()])
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    best, kept = np.inf, copy.deepcopy(network.state_dict())
    for update in range(updates):
        some = stretches[torch.randperm(len(stretches))[:32]]
        optimizer.zero_grad()
        loss(some).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if update % LOOKED_EVERY == LOOKED_EVERY - 1:
            with torch.no_grad():
                later = float(loss(z[None, max(0, cut - STRETCH) :]))
            if later < best:
                best, kept = later, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    held = REACH * z.abs().amax(dim=0)
    made, now, state = [], z[None, :1], None
    with torch.no_grad():
        for _ in range(steps + SETTLING):
            seen, state = network["cell"](now, state)
            mean, size = network["out"](seen).chunk(2, dim=-1)
            now = (mean + size.clamp(-6, 3).exp() * torch.randn_like(mean)).clamp(-held, held)
            made.append(now[0, 0])
    return torch.stack(made)[SETTLING:].numpy().astype(np.float64)
