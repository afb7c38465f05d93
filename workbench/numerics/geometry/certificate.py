"""How far what a tropical GPT reads can move before its answer may change, proven, and an attack that tries to change it.

Each number of the stream that the first layer reads, of all positions, moves by at most a radius. Bounds of every number are
carried from there through the whole network to the differences of logits: linear maps by the signs of their weights,
normalization and ReLU² number by number, tropical attention by its definition (its bounds part by at most 1 times those of v, 2
times those of q and 2 times those of k). What two numbers have in common is forgotten, so that a radius is safe and too small.
Not covered: other tokens (the embedding is a table, its rows lie far apart), training, and errors of rounding beyond a slack.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F

from workbench.numerics.geometry.gpt import GPT, Layer
from workbench.numerics.geometry.mechanism import normalized, visible

SLACK = 1e-9  # of a difference of logits, for rounding in double precision
HALVINGS = 40


class Bounds(NamedTuple):
    """The least and the largest that numbers can be."""

    low: torch.Tensor
    high: torch.Tensor

    def __add__(self, more: Bounds) -> Bounds:  # type: ignore[override]
        return Bounds(self.low + more.low, self.high + more.high)

    def linear(self, weight: torch.Tensor) -> Bounds:
        """Of weight @ x."""
        up, down = weight.clamp(min=0).T, weight.clamp(max=0).T
        return Bounds(self.low @ up + self.high @ down, self.high @ up + self.low @ down)

    def normalized(self) -> Bounds:
        """Of `mechanism.normalized`; a number alone grows with itself, and shrinks with the squares of the others."""
        n, tiny = self.low.shape[-1], torch.finfo(self.low.dtype).eps
        most = torch.maximum(self.low.abs(), self.high.abs()).square()
        least = torch.where(
            (self.low < 0) & (self.high > 0), 0, torch.minimum(self.low.abs(), self.high.abs()).square()
        )
        most, least = (part.sum(-1, keepdim=True) - part for part in (most, least))

        def at(x: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
            return x / ((x.square() + others) / n + tiny).sqrt()

        least = least.clamp(min=0)
        return Bounds(
            at(self.low, torch.where(self.low > 0, most, least)),
            at(self.high, torch.where(self.high > 0, least, most)),
        )

    def squared_relu(self) -> Bounds:
        return Bounds(F.relu(self.low).square(), F.relu(self.high).square())

    def split(self, heads: int) -> Bounds:
        """(b, n, heads · e) to (b, heads, n, e)."""
        return Bounds(*(part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in self))


def mixed_bounds(q: Bounds, k: Bounds, v: Bounds) -> Bounds:
    """Of `tropical.mixed`, of (..., n, e) each."""
    high, low = (
        a[..., :, None, :] - b[..., None, :, :] for a, b in ((q.high, k.low), (q.low, k.high))
    )  # of q - k
    far = high.amax(-1) - low.amin(-1)
    near = (low.amax(-1) - high.amin(-1)).clamp(min=0)
    hidden = ~visible(q.low.shape[-2], k.low.shape[-2], far.device)[..., None]

    def answered(value: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
        sums = value[..., None, :, :] - distance[..., None]
        return sums.masked_fill(hidden, -torch.inf).amax(-2)

    return Bounds(answered(v.low, far), answered(v.high, near))


def after(layer: Layer, x: Bounds) -> Bounds:
    """Of the stream after a layer."""
    mixer, read = layer.mixer, x.normalized()
    weights = (mixer.q_proj.weight, mixer.k_proj.weight, mixer.v_proj.weight)
    q, k, v = (read.linear(w).split(mixer.heads) for w in weights)  # type: ignore[arg-type]
    y = mixed_bounds(q.normalized(), k.normalized(), v)
    joined = Bounds(*(part.transpose(1, 2).flatten(-2) for part in y))
    x = x + joined.linear(mixer.o_proj.weight)  # type: ignore[arg-type]
    inner = x.normalized().linear(layer.up.weight).squared_relu()  # type: ignore[arg-type]
    return x + inner.linear(layer.down.weight)  # type: ignore[arg-type]


class Last:
    """A tropical GPT's answers to texts (b, n) after their last letters, as a function of what its first layer reads.

    Attributes
    ----------
    stream : (b, n, width), what it reads. answer : (b), the likeliest letters.

    Raises
    ------
    ValueError
        The GPT has another kind of attention, or isn't in double precision.
    """

    def __init__(self, gpt: GPT, texts: torch.Tensor):
        if gpt.config.mechanism != "tropical":
            raise ValueError(
                f"gpt: bounds are known of tropical attention alone, not of {gpt.config.mechanism}; train one with mechanism='tropical'"
            )
        if gpt.lm_head.weight.dtype != torch.float64:
            raise ValueError("gpt: bounds are proven in double precision; call gpt.double() first")
        self.gpt = gpt.eval().requires_grad_(False)
        self.layers: list[Layer] = list(gpt.layers)  # type: ignore[arg-type]
        self.stream = normalized(gpt.embedding(texts))
        self.answer = self.logits(self.stream).argmax(-1)

    def logits(self, stream: torch.Tensor) -> torch.Tensor:
        """(b, vocabulary)"""
        return self.gpt.lm_head(normalized(self.gpt.mechanism.run(self.layers, stream, None)[:, -1]))

    def lead(self, stream: torch.Tensor) -> torch.Tensor:
        """(b): by how much the answer's logit leads the next; below 0 it isn't the answer any more."""
        logits = self.logits(stream)
        own = logits.gather(-1, self.answer[:, None])
        others = logits.scatter(-1, self.answer[:, None], -torch.inf)
        return own[:, 0] - others.amax(-1)

    def surely(self, radius: torch.Tensor) -> torch.Tensor:
        """(b) of bool: whether the answer stays, proven, where each number of the stream moves by at most ``radius`` (b)."""
        by = radius[:, None, None]
        x = Bounds(self.stream - by, self.stream + by)
        for layer in self.layers:
            x = after(layer, x)
        # that the last stream is normalized changes no sign of a difference
        head = self.gpt.lm_head.weight
        apart = head[self.answer][:, None] - head  # (b, vocabulary, width)
        low = (apart.clamp(min=0) * x.low[:, -1:] + apart.clamp(max=0) * x.high[:, -1:]).sum(-1)
        return (low.scatter(-1, self.answer[:, None], torch.inf) > SLACK).all(-1)

    def certified(self, largest: float = 1.0) -> torch.Tensor:
        """(b): the largest radius up to ``largest`` that bisection found proven; 0 where there is none."""
        low = torch.zeros(len(self.answer), dtype=torch.float64)
        high = torch.full_like(low, largest)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            sure = self.surely(middle)
            low, high = torch.where(sure, middle, low), torch.where(sure, high, middle)
        return low

    def attacked(self, radius: torch.Tensor, *, steps: int = 30, restarts: int = 2, seed: int = 0) -> torch.Tensor:
        """(b): the smallest change found, largest number of it, that flips the answer within ``radius`` (b); ∞ where none was.

        Projected gradient descent of the lead, by signs, from drawn starts; what flips is then shrunk along its ray.

        References
        ----------
        Madry et al. 2018 (1706.06083).
        """
        own = torch.Generator().manual_seed(seed)
        by, found = radius[:, None, None], torch.full_like(radius, torch.inf)
        for _ in range(restarts):
            change = by * (2 * torch.rand(self.stream.shape, generator=own, dtype=torch.float64) - 1)
            for step in range(steps):
                change.requires_grad_(True)
                lead = self.lead(self.stream + change)
                (slope,) = torch.autograd.grad(lead.sum(), change)
                flips = lead.detach() < 0
                found = torch.where(flips, torch.minimum(found, self._shrunk(change.detach())), found)
                pace = 0.5 * by * (1 - step / steps)
                change = (change.detach() - pace * slope.sign()).clamp(-by, by)
        return found

    @torch.no_grad()
    def _shrunk(self, change: torch.Tensor) -> torch.Tensor:
        """The largest number of the shortest change along this one that bisection found to flip."""
        low = torch.zeros(len(change), dtype=torch.float64)
        high = torch.ones_like(low)
        for _ in range(12):
            middle = (low + high) / 2
            flips = self.lead(self.stream + middle[:, None, None] * change) < 0
            low, high = torch.where(flips, low, middle), torch.where(flips, middle, high)
        return high * change.abs().amax((-2, -1))
