"""What the pictures of the kinds of attention are made of: numbers read from a network's first layer and first head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.numerics.geometry.text import LETTERS
from workbench.report.attention.costs import kept_bytes
from workbench.results.curve import Curve
from workbench.results.matrix_slices import MatrixSlices
from workbench.results.slices import Slices

if TYPE_CHECKING:
    import torch

    from workbench.numerics.geometry.config import GeometryConfig
    from workbench.numerics.geometry.gpt import GPT

QUANTILES = 33  # of a map's rows


def last(along: Mapping[int, Any]) -> Any:
    """The network that was trained longest."""
    return along[max(along)]


def steps(along: Mapping[int, Any]) -> tuple[str, ...]:
    return tuple(f"step {step}" for step in along)


def spelled(tokens: torch.Tensor) -> tuple[str, ...]:
    """Letters with their places, so that no two names are the same: those of the drawn language, or bytes as they are read."""
    read = tokens[0].tolist()
    if max(read, default=0) < LETTERS:
        return tuple(f"{i} {chr(ord('a') + t)}" for i, t in enumerate(read))
    shown = {ord(" "): "␣", ord("\n"): "⏎"}
    return tuple(f"{i} {shown.get(t, chr(t))}" for i, t in enumerate(read))


def causal(values: np.ndarray) -> np.ndarray:
    """With nothing where a letter would look at a later one."""
    return np.where(np.tril(np.ones(values.shape, bool)), values, np.nan)


def read(gpt: GPT, tokens: torch.Tensor) -> tuple[Any, torch.Tensor]:
    """The first layer's mixer and what it reads, (1, n, width)."""
    import torch
    from torch.nn import functional as F

    with torch.no_grad():
        x = gpt.embedding(tokens)
        for _ in range(2):  # the stream is normalized at its beginning, and what a layer reads of it
            x = F.rms_norm(x, x.shape[-1:])
    layer: Any = gpt.layers[0]
    return layer.mixer, x


def over_training(
    title: str,
    along: Mapping[int, GPT],
    tokens: torch.Tensor,
    of: Callable[[GPT, torch.Tensor], np.ndarray],
    quantity: str,
) -> MatrixSlices:
    """A number for each two letters, and a slider through training."""
    frames = np.stack([of(gpt, tokens) for gpt in along.values()])
    return MatrixSlices(
        title=title,
        frames=frames,
        frame_names=steps(along),
        row_names=spelled(tokens),
        column_names=spelled(tokens),
        row_title="letter that reads",
        column_title="letter that is read",
        quantity=quantity,
        shown=len(frames) - 1,
    )


def path(
    title: str,
    places: np.ndarray,
    tokens: torch.Tensor,
    frames: np.ndarray,
    quantity: str,
    frame_names: tuple[str, ...] = (),
) -> Slices:
    """Letters at places (n, 3) in the order in which they are read; by default the slider is the letter that reads."""
    n, names = len(places), spelled(tokens)
    return Slices(
        title=title,
        positions=places,
        edges=np.column_stack([np.arange(n - 1), np.arange(1, n)]),
        ids=np.arange(n),
        frames=frames,
        frame_names=frame_names or names,
        quantity=quantity,
        words=names,
    )


def weights(gpt: GPT, tokens: torch.Tensor) -> np.ndarray:
    """(n, n): the softmax of the first head's scores, of those kinds that have one, and nothing of later letters."""
    import torch

    from workbench.numerics.attention import octonion, quaternion
    from workbench.numerics.geometry.mechanism import causal_weights, normalized, rotated, rotation
    from workbench.numerics.geometry.quaternions import product, turned

    mixer, x = read(gpt, tokens)
    at = torch.arange(x.shape[1])
    with torch.no_grad():
        q, k = (
            normalized(mixer.split(p(x), getattr(mixer, "key_heads", None) if p is mixer.k_proj else None))
            for p in (mixer.q_proj, mixer.k_proj)
        )
        kind = gpt.config.mechanism
        if kind == "quaternion":
            turn = quaternion.factors(at, mixer.size // 4).to(x.dtype)
            q, k = (product(part.unflatten(-1, (-1, 4)), turn).flatten(-2) for part in (q, k))
        elif kind == "octonion":
            q, k = (octonion.placed(part, at) for part in (q, k))
        elif kind == "gauge":
            left, right = (
                turn.unflatten(2, (mixer.heads, -1)).transpose(1, 2) for turn in mixer.transports(x)
            )
            q, k = (turned(part.unflatten(-1, (-1, 4)), left, right).flatten(-2) for part in (q, k))
        else:
            q, k = (rotated(part, rotation(at, mixer.size)) for part in (q, k))
        return causal(causal_weights(q[:, :1], k[:, :1])[0, 0].numpy())


def transports(gpt: GPT, tokens: torch.Tensor) -> torch.Tensor:
    """(n, 4, 4), float64: the first block's rotation from the beginning to each letter."""
    import torch

    from workbench.numerics.geometry.quaternions import turned

    mixer, x = read(gpt, tokens)
    with torch.no_grad():
        left, right = (part[0, :, 0].double() for part in mixer.transports(x))
    basis = torch.eye(4, dtype=torch.float64).expand(len(left), 4, 4)
    return turned(basis, left[:, None], right[:, None]).mT


def digits(gpt: GPT, tokens: torch.Tensor, which: str = "k_proj") -> tuple[torch.Tensor, torch.Tensor]:
    """Digits (n, levels) of letters' addresses, and their probabilities."""
    import torch

    mixer, x = read(gpt, tokens)
    with torch.no_grad():
        made = mixer.split(getattr(mixer, which)(x)).unflatten(-1, (mixer.digits, mixer.base))
    p, digit = made.softmax(-1).max(-1)
    return digit[0, 0], p[0, 0]


def tree(base: int, levels: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Places (nodes, 3) and edges (edges, 2) of a tree whose leaves lie on a circle; and the digits of each node."""
    places, edges, names, first = [(0.0, 0.0, 0.0)], [], ["the root"], 0
    for level in range(1, levels + 1):
        begin = len(places)
        for code in range(base**level):
            turn = 2 * np.pi * (code + 0.5) / base**level
            radius = level / levels
            places.append((radius * np.cos(turn), radius * np.sin(turn), float(level)))
            edges.append((first + code // base, begin + code))
            names.append("digits " + np.base_repr(code, base).zfill(level) if base <= 36 else f"node {code}")
        first = begin
    return np.array(places), np.array(edges), tuple(names)


def tropical_parts(gpt: GPT, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values (n, e)."""
    import torch

    from workbench.numerics.geometry.mechanism import normalized

    mixer, x = read(gpt, tokens)
    with torch.no_grad():
        q, k = (normalized(mixer.split(p(x)))[0, 0] for p in (mixer.q_proj, mixer.k_proj))
        return q, k, mixer.split(mixer.v_proj(x))[0, 0]


def winners(gpt: GPT, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, e): the letter that answers, and by how much it leads."""
    from workbench.numerics.attention import tropical

    of = tropical_parts(gpt, tokens)
    return tropical.winners(*of)[0], tropical.margins(*of)


def staying(
    gpt: GPT, tokens: torch.Tensor, sizes: int, draws: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sizes of changes; the share of winners whose lead says that they stay, and that stayed whatever the signs drawn."""
    import torch

    from workbench.numerics.attention import tropical

    of, own = tropical_parts(gpt, tokens), torch.Generator().manual_seed(0)
    winner, lead = (
        tropical.winners(*of)[0][1:],
        tropical.margins(*of)[1:],
    )  # the first letter sees itself alone
    tried = np.linspace(0, float(lead.quantile(0.9)), sizes)
    certain, stayed = [], []
    for size in tried:
        same = torch.ones_like(winner, dtype=torch.bool)
        for _ in range(draws):
            moved = (part + size * (2 * torch.randint(2, part.shape, generator=own) - 1) for part in of)
            same &= tropical.winners(*moved)[0][1:] == winner
        # two sums meet, each of which moves by at most five times as much
        certain.append(float((lead > 2 * tropical.JOINTLY * size).double().mean()))
        stayed.append(float(same.double().mean()))
    return tried, np.array(certain), np.array(stayed)


def numbers(gpt: GPT, tokens: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys (of norm 1) and values of the first head, (n, blocks, size), float64, as they are multiplied."""
    import torch

    from workbench.numerics.attention import octonion, quaternion
    from workbench.numerics.geometry.mechanism import normalized
    from workbench.numerics.geometry.quaternions import product, unit

    mixer, x = read(gpt, tokens)
    at = torch.arange(x.shape[1])
    with torch.no_grad():
        q, k = (normalized(mixer.split(p(x)))[0, 0].double() for p in (mixer.q_proj, mixer.k_proj))
        v = mixer.split(mixer.v_proj(x))[0, 0].double().unflatten(-1, (-1, size))
    if size == 4:
        turn = quaternion.factors(at, q.shape[-1] // 4)
        q, k = (product(part.unflatten(-1, (-1, 4)), turn) for part in (q, k))
    else:
        q, k = (octonion.placed(part, at).unflatten(-1, (-1, 8)) for part in (q, k))
    return unit(q), unit(k), v


def sizes_of_products(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, kind: str) -> Curve:
    """Norms of q (k* v) over those of v, in order; beside them those of numbers multiplied one by one."""
    from workbench.numerics.geometry import octonions, quaternions

    algebra: Any = quaternions if kind == "quaternion" else octonions
    product, conjugate = algebra.product, algebra.conjugate
    keys = conjugate(k)
    found = product(q, product(keys, v))
    plain = q * keys * v * v.shape[-1]  # of the same size on average, were all numbers of one
    ratios = [(y.norm(dim=-1) / v.norm(dim=-1)).flatten().sort().values.numpy() for y in (found, plain)]
    return Curve(
        title=f"Sizes of products of {kind}s, over the value's, in order",
        x=np.linspace(0, 1, len(ratios[0])),
        y=np.stack(ratios, 1),
        names=(f"{kind}s", "the same numbers one by one"),
        x_title="share of letters and blocks",
        y_title="size",
    )


def words(gpt: GPT, tokens: torch.Tensor, which: str = "k_proj") -> torch.Tensor:
    """(n, levels, maps): how likely each letter of a word is."""
    import torch

    mixer, x = read(gpt, tokens)
    with torch.no_grad():
        return (
            mixer.split(getattr(mixer, which)(x))[0, 0].unflatten(-1, (mixer.levels, mixer.maps)).softmax(-1)
        )


def turns(gpt: GPT, tokens: torch.Tensor) -> torch.Tensor:
    """(n, strands, strands): the first head's orthogonal matrix of each letter."""
    import torch

    from workbench.numerics.attention.braid import polar

    mixer, x = read(gpt, tokens)
    with torch.no_grad():
        made = mixer.split(mixer.p_proj(x)).unflatten(-1, (mixer.strands, mixer.strands))
        return polar(made + mixer.start[:, None])[0, 0]


def states(gpt: GPT, tokens: torch.Tensor) -> np.ndarray:
    """(n, strands, e / strands): the first head's state after each letter."""
    import torch

    mixer, x = read(gpt, tokens)
    with torch.no_grad():
        added = mixer.split(mixer.b_proj(x)).unflatten(-1, (mixer.strands, -1))[0, 0]
        h, reached = torch.zeros_like(added[0]), []
        for turn, more in zip(turns(gpt, tokens), added, strict=True):
            h = turn @ h + more
            reached.append(h)
    return torch.stack(reached).numpy()


def relations(along: Mapping[int, GPT], tokens: torch.Tensor) -> tuple[np.ndarray, dict[str, float]]:
    """By how much letters break the relations of exchanges at each step; and what exchanges and random rotations do."""
    import torch

    from workbench.numerics.attention.braid import broken_relations, polar

    n = last(along).layers[0].mixer.strands
    letters, own = n - 1, torch.Generator().manual_seed(0)
    at = torch.randn(64, n, generator=own)
    at = at / at.square().mean(-1, keepdim=True).sqrt()
    first = torch.tensor([list(dict.fromkeys(tokens[0].tolist()))[:letters]])
    letters = first.shape[1]

    def broken(t: torch.Tensor) -> float:
        return float(broken_relations(lambda i, x: x @ t[i].mT, at, letters))

    true = torch.eye(n).repeat(letters, 1, 1)
    for i in range(letters):
        true[i, [i, i + 1]] = true[i, [i + 1, i]]
    drawn = np.mean([broken(polar(torch.randn(letters, n, n, generator=own))) for _ in range(20)])
    found = np.array([broken(turns(gpt, first)) for gpt in along.values()])
    return found, {"exchanges": broken(true), "random rotations, mean of 20": float(drawn)}


def kilobytes_kept(config: GeometryConfig, kind: str, depth: int, tokens: torch.Tensor) -> float:
    """What the tape keeps for the backward pass of so many layers, weights left out."""
    return kept_bytes(_drawn(config, kind, depth), tokens) / 1e3


def undoing(config: GeometryConfig, depth: int, tokens: torch.Tensor, bits: int) -> float:
    """How far the streams that come back from so many layers, drawn anew, are from the first, relative."""
    import torch

    from workbench.numerics.attention.reversible import stored, through, undone

    gpt = _drawn(config, "reversible", depth, grid_bits=bits)
    layers: Any = list(gpt.layers)
    _, x = read(gpt, tokens)
    with torch.no_grad():
        start = stored(layers, x)
        back = undone(layers, through(layers, (start, start)))
    return max(float((part - start).double().norm() / start.double().norm()) for part in back)


def _drawn(config: GeometryConfig, kind: str, depth: int, **options: int) -> GPT:
    from dataclasses import replace

    import torch

    from workbench.numerics.geometry.gpt import GPT

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GPT(replace(config, mechanism=kind, layers=depth, options=options)).eval()


def triples(gpt: GPT, tokens: torch.Tensor) -> np.ndarray:
    """(n, pairs, near): the first head's weights of each two keys, both windows the oldest first."""
    import torch
    from torch.nn import functional as F

    from workbench.numerics.attention.simplicial import trilinear
    from workbench.numerics.geometry.mechanism import normalized

    mixer, x = read(gpt, tokens)
    n, sizes = x.shape[1], (mixer.near, mixer.pairs)

    def windows(part: torch.Tensor, size: int) -> torch.Tensor:
        return F.pad(part, (0, 0, size - 1, 0)).unfold(-2, size, 1).mT

    with torch.no_grad():
        q, k, k2 = (normalized(mixer.split(p(x))) for p in (mixer.q_proj, mixer.k_proj, mixer.k2_proj))
        scores = trilinear(q, windows(k, sizes[0]), windows(k2, sizes[1]))[0, 0] / mixer.size**0.5
        scores = scores + mixer.near_bias[0] + mixer.pairs_bias[0][:, None]
        near, pairs = (torch.arange(n)[:, None] >= torch.arange(size - 1, -1, -1) for size in sizes)
        seen = pairs[:, :, None] & near[:, None, :]
        scores = scores.masked_fill(~seen, -torch.inf)
        return scores.flatten(-2).softmax(-1).unflatten(-1, scores.shape[-2:]).numpy()


def shared_information(weights: np.ndarray) -> float:
    """Mutual information of the two keys in bits, the mean over letters (n, pairs, near)."""
    p = weights.astype(np.float64)
    apart = p.sum(1, keepdims=True) * p.sum(2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(p > 0, p * np.log2(p / apart), 0.0)
    return float(parts.sum((1, 2)).mean())


def row_sizes(gpt: GPT) -> dict[str, np.ndarray]:
    """The size of each row of each map, by the map's name."""
    import torch

    from workbench.numerics.attention.surreal import SurrealLinear

    with torch.no_grad():
        return {
            name: (m.size + m.row_size).exp().numpy()
            for name, m in gpt.named_modules()
            if isinstance(m, SurrealLinear)
        }


def at_shares(values: np.ndarray) -> np.ndarray:
    """Quantiles, the least first: maps of different sizes on one axis."""
    return np.quantile(values, np.linspace(0, 1, QUANTILES))
