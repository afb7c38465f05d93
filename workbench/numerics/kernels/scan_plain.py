"""The selective scan: a linear recurrence over time whose decay and inputs depend on the data, in products of matrices.

The plain torch reference of `scan`.

    h_t = exp(log_decay_t) h_{t-1} + weight_t B_t x_tᵀ,    y_t = C_t h_t

The sequence is cut into chunks. Within one, what position j gives to position i is a matrix, lower triangular, so that
all its positions are one product; from chunk to chunk the state is handed on. Cost and memory grow with the length.

References
----------
Dao and Gu 2024, Transformers are SSMs (2405.21060), section 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float

CHUNK = 64


def scan_reference(
    x: Float[torch.Tensor, "b t h p"],
    log_decay: Float[torch.Tensor, "b t h"],
    weight: Float[torch.Tensor, "b t h"],
    B: Float[torch.Tensor, "b t g n"],
    C: Float[torch.Tensor, "b t g n"],
    *,
    state: Float[torch.Tensor, "b h p n"] | None = None,
    skip: Float[torch.Tensor, " h"] | None = None,
    chunk: int = CHUNK,
) -> tuple[Float[torch.Tensor, "b t h p"], Float[torch.Tensor, "b h p n"]]:
    """Scan a sequence of any length in chunks.

    Parameters
    ----------
    log_decay : 0 or less; ``-inf`` forgets everything.
    weight : of each input.
    B, C : for one group of heads (g = 1), or one for each head (g = h).
    state : what came before; None for nothing.
    skip : so much of x is added to what is read.

    Returns
    -------
    What is read at each position, and the state after the last.
    """
    batch, time, heads, width = x.shape
    if state is None:
        state = x.new_zeros(batch, heads, width, B.shape[-1])
    if time == 0:
        return x, state
    chunk = min(chunk or CHUNK, time)
    skipped = None if skip is None else skip[:, None] * x
    # what is put behind the end neither decays nor adds
    x, log_decay, weight, B, C = (_cut(part, chunk) for part in (x, log_decay, weight, B, C))
    between = _decay_between(log_decay.permute(0, 1, 3, 2))  # (b, c, h, i, j)
    B, C, x = B.transpose(2, 3), C.transpose(2, 3), x.transpose(2, 3)  # (b, c, g or h, l, ·)
    weight = weight.permute(0, 1, 3, 2)  # (b, c, h, l)

    within = (C @ B.mT) * between * weight[..., None, :]
    y = within @ x
    from_start = log_decay.permute(0, 1, 3, 2).cumsum(-1).exp()  # (b, c, h, l): of the state before the chunk
    added = (x * (between[..., -1, :] * weight)[..., None]).mT @ B  # (b, c, h, p, n): to the state after it
    # Invariant: `state` is the state before chunk k.
    before = []
    for k in range(x.shape[1]):
        before.append(state)
        state = from_start[:, k, :, -1, None, None] * state + added[:, k]
    y = y + from_start[..., None] * (C @ torch.stack(before, 1).mT)
    y = y.transpose(2, 3).reshape(batch, -1, heads, width)[:, :time]
    return y if skipped is None else y + skipped, state


def scan_in_steps(
    x: torch.Tensor,
    log_decay: torch.Tensor,
    weight: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    *,
    state: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same recurrence one position after the other, as it is defined; see `scan`."""
    batch, time, heads, width = x.shape
    B, C = (part.expand(-1, -1, heads, -1) for part in (B, C))
    if state is None:
        state = x.new_zeros(batch, heads, width, B.shape[-1])
    read = []
    for t in range(time):
        given = weight[:, t, :, None, None] * x[:, t, :, :, None] * B[:, t, :, None, :]
        state = log_decay[:, t, :, None, None].exp() * state + given
        read.append((state * C[:, t, :, None, :]).sum(-1))
    return torch.stack(read, 1) if read else x, state


def _cut(part: torch.Tensor, chunk: int) -> torch.Tensor:
    """(b, t, ...) as (b, chunks, chunk, ...), zeros behind the end."""
    missing = -part.shape[1] % chunk
    if missing:
        part = torch.cat([part, part.new_zeros(part.shape[0], missing, *part.shape[2:])], 1)
    return part.unflatten(1, (-1, chunk))


def _decay_between(log_decay: torch.Tensor) -> torch.Tensor:
    """(..., i, j): how much of what came in at j is left at i, which is 0 where j is later.

    The logarithms are added up from j on, never subtracted from each other: one strong decay earlier in the chunk would
    leave nothing of the digits of the weak ones after it.
    """
    size = log_decay.shape[-1]
    later = torch.ones(size, size, dtype=torch.bool, device=log_decay.device).tril()
    summed = log_decay[..., None].expand(*log_decay.shape, size).masked_fill(~later.tril(-1), 0).cumsum(-2)
    return summed.masked_fill(~later, -torch.inf).exp()
