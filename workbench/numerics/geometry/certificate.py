"""How far what a tropical GPT reads can move before its answer may change, proven, and an attack that tries to change it.

Each number of the stream that the first layer reads, of all positions, moves by at most a radius. Through the whole network every
number is kept as a sum: its value, a linear function of the moves, and an error that is bounded. Linear maps keep such sums
exactly. Squares, 1 / √ and products (normalization, ReLU²) add what is of second order to the error. Tropical attention is linear
for as long as who answers is the same; where another may answer, by how much it may lead is added. So its Lipschitz constants, 1
in v, 2 in q and 2 in k, bound each step, and are met only where signs agree.

Not covered: other tokens (rows of an embedding lie far apart), training, and rounding beyond a slack.

References
----------
Singh et al. 2018, Fast and effective robustness certification; de Figueiredo and Stolfi 2004, Affine arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn import functional as F

from workbench.numerics.geometry.gpt import GPT, Layer
from workbench.numerics.geometry.mechanism import normalized, visible

SLACK = 1e-9  # of a difference of logits, for rounding in double precision
HALVINGS = 24


class Form(NamedTuple):
    """Numbers that are ``at`` + Σ_m ``by``_m e_m, with |e_m| ≤ 1, and an error of at most ``error``; ``by`` is (moves, ...)."""

    at: torch.Tensor
    by: torch.Tensor
    error: torch.Tensor

    def each(self, f: Callable[[torch.Tensor], torch.Tensor]) -> Form:
        """Move numbers about, by what counts axes from the end."""
        return Form(*(f(part) for part in self))

    def radius(self) -> torch.Tensor:
        """By how much each can differ from ``at``."""
        return self.by.abs().sum(0) + self.error

    def plus(self, more: Form) -> Form:
        return Form(self.at + more.at, self.by + more.by, self.error + more.error)

    def minus(self, less: Form) -> Form:
        return Form(self.at - less.at, self.by - less.by, self.error + less.error)

    def linear(self, weight: torch.Tensor) -> Form:
        return Form(self.at @ weight.T, self.by @ weight.T, self.error @ weight.abs().T)

    def times(self, other: Form) -> Form:
        """Products number by number; two of second order are the error."""
        a, b = self.at, other.at
        error = a.abs() * other.error + b.abs() * self.error + self.radius() * other.radius()
        return Form(a * b, a * other.by + b * self.by, error)

    def normalized(self) -> Form:
        """What `mechanism.normalized` makes of them."""
        tiny = torch.finfo(self.at.dtype).eps
        squares = self.at.square().mean(-1, keepdim=True) + tiny
        second = self.radius().square().mean(-1, keepdim=True)  # u² - 2 at u + at² is between 0 and radius²
        square = Form(
            squares + second / 2,
            2 * (self.at * self.by).mean(-1, keepdim=True),
            2 * (self.at.abs() * self.error).mean(-1, keepdim=True) + second / 2,
        )
        return self.times(square.inverse_root())

    def inverse_root(self) -> Form:
        """1 / √ of positive numbers: its tangent, and how far the convex curve lies above; ∞ where they may not be positive."""
        r = self.radius()
        value, slope = self.at.rsqrt(), -0.5 * self.at.pow(-1.5)
        ends = torch.stack([(self.at + sign * r).rsqrt() - (value + slope * sign * r) for sign in (-1, 1)])
        above = torch.where(self.at > r, ends.amax(0), torch.inf)
        return Form(value + above / 2, slope * self.by, slope.abs() * self.error + above / 2)

    def squared_relu(self) -> Form:
        """relu(u)²: its tangent, and how far the convex curve lies above, at most at an end."""
        r = self.radius()
        value, slope = F.relu(self.at).square(), 2 * F.relu(self.at)
        ends = [F.relu(self.at + sign * r).square() - (value + slope * sign * r) for sign in (-1, 1)]
        above = torch.maximum(*ends)
        return Form(value + above / 2, slope * self.by, slope * self.error + above / 2)

    def largest(self, axis: int) -> Form:
        """The largest along an axis, counted from the end: that which is it at the centre, and by how much others may lead."""
        who = self.at.argmax(axis, keepdim=True)
        at, error = self.at.gather(axis, who), self.error.gather(axis, who)
        by = self.by.gather(axis, who.expand(len(self.by), *who.shape))
        # what is the largest lies between that one at its lowest and whichever may be highest
        high = (self.at - at + (self.by - by).abs().sum(0) + self.error).amax(axis, keepdim=True)
        return Form(at + (high - error) / 2, by, (high + error) / 2).each(lambda part: part.squeeze(axis))


def mixed_form(q: Form, k: Form, v: Form) -> Form:
    """Of `tropical.mixed`, of (..., n, e) each."""
    n, m = q.at.shape[-2], k.at.shape[-2]
    apart = q.each(lambda part: part[..., :, None, :]).minus(k.each(lambda part: part[..., None, :, :]))
    negative = Form(-apart.at, -apart.by, apart.error)
    far = apart.largest(-1).plus(negative.largest(-1))  # (..., n, m)
    sums = v.each(lambda part: part[..., None, :, :]).minus(far.each(lambda part: part[..., None]))
    hidden = ~visible(n, m, q.at.device)[..., None]
    return sums._replace(at=sums.at.masked_fill(hidden, -torch.inf)).largest(-2)


def after(layer: Layer, x: Form) -> Form:
    """The stream after a layer."""
    mixer, read = layer.mixer, x.normalized()
    of_queries, of_keys, of_values, outward, upward, downward = (
        layer.get_parameter(f"{name}.weight")
        for name in ("mixer.q_proj", "mixer.k_proj", "mixer.v_proj", "mixer.o_proj", "up", "down")
    )

    def split(part: torch.Tensor) -> torch.Tensor:
        return part.unflatten(-1, (mixer.heads, -1)).transpose(-3, -2)

    q, k, v = (read.linear(weight).each(split) for weight in (of_queries, of_keys, of_values))
    y = mixed_form(q.normalized(), k.normalized(), v)
    x = x.plus(y.each(lambda part: part.transpose(-3, -2).flatten(-2)).linear(outward))
    return x.plus(x.normalized().linear(upward).squared_relu().linear(downward))


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
        n, width = self.stream.shape[1:]
        moves = torch.eye(n * width, dtype=torch.float64).unflatten(-1, (n, width))
        by = radius[:, None, None] * moves[:, None]  # (moves, b, n, width)
        x = Form(self.stream, by, torch.zeros_like(self.stream))
        for layer in self.layers:
            x = after(layer, x)
        # that the last stream is normalized changes no sign of a difference
        last, head = x.each(lambda part: part[..., -1, :]), self.gpt.lm_head.weight
        apart = head[self.answer][:, None] - head  # (b, vocabulary, width)
        value, moved = (torch.einsum("bvd,...bd->...bv", apart, part) for part in (last.at, last.by))
        error = torch.einsum("bvd,bd->bv", apart.abs(), last.error)
        low = value - moved.abs().sum(0) - error
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

    def attacked(
        self, radius: torch.Tensor, *, steps: int = 30, restarts: int = 2, seed: int = 0
    ) -> torch.Tensor:
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
