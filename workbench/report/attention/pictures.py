"""Pictures of what a GPT's kind of attention does, of one text, along its training.

`pictures` finds the function of the model's kind in `PICTURES`. Each gets the same network at several steps, the last of them
trained longest, and draws what is particular to the kind. All look at the first layer, whose input is a letter's alone, and its
first head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.report.attention import drawn as d
from workbench.results.curve import Curve
from workbench.results.matrix_slices import MatrixSlices
from workbench.results.panels import Panels
from workbench.results.plotted import Plotted
from workbench.results.slices import Slices

if TYPE_CHECKING:
    import torch

    from workbench.numerics.geometry.gpt import GPT

    Along = Mapping[int, GPT]
    """A network at steps of its training, the first ones first."""

SCALE, SPACE = 0.5, 3  # of the maps of the fractal that is drawn: how far each contracts, and the dimensions
DEPTHS = (1, 2, 4, 8, 16, 32)
SIZES = 24  # of perturbations
DRAWS = 8  # of each size


def pictures(along: Along, tokens: torch.Tensor) -> list[Plotted]:
    """What is particular to the network's kind of attention; the first has a slider where the kind changes with training.

    Parameters
    ----------
    along : one network at steps of its training. tokens : (1, n), the text that it reads, n ≥ 4.

    Raises
    ------
    KeyError
        There are no pictures of this kind.
    """
    kind = next(iter(along.values())).config.mechanism
    return PICTURES[kind](along, tokens)


def standard(along: Along, tokens: torch.Tensor) -> list[Plotted]:
    return [d.over_training("How much each letter looks at each", along, tokens, d.weights, "weight")]


def gauge(along: Along, tokens: torch.Tensor) -> list[Plotted]:
    """How far a vector is turned between two positions, and where a frame's first vector goes."""

    def turned_by(gpt: GPT, tokens: torch.Tensor) -> np.ndarray:
        t = d.transports(gpt, tokens)
        cosine = (t[:, None].mT @ t[None]).diagonal(dim1=-2, dim2=-1).mean(-1).clamp(-1, 1)
        return d.causal(np.degrees(np.arccos(cosine.numpy())))

    last = d.last(along)
    path = d.transports(last, tokens)[:, :3, 0].numpy()
    return [
        d.over_training(
            "How far a vector is turned between two letters", along, tokens, turned_by, "degrees"
        ),
        d.path(
            "Where the first vector of a frame is carried, coloured by what each letter takes from there",
            path,
            tokens,
            np.nan_to_num(d.weights(last, tokens)),
            "weight",
        ),
    ]


def ultrametric(along: Along, tokens: torch.Tensor) -> list[Plotted]:
    """The tree of digits with the letters of the text on it, and how near to each other letters are in it."""
    import torch

    mixer = d.last(along).layers[0].mixer
    base, levels = int(mixer.base), min(int(mixer.digits), 3)
    places, edges, names = d.tree(base, levels)
    shares = []
    for gpt in along.values():
        digits, _ = d.digits(gpt, tokens)
        code, counts = torch.zeros_like(digits[:, 0]), [np.ones(1)]
        for level in range(levels):
            code = code * base + digits[:, level]
            counts.append(np.bincount(code.numpy(), minlength=base ** (level + 1)) / len(code))
        shares.append(np.concatenate(counts))

    def shared(gpt: GPT, tokens: torch.Tensor) -> np.ndarray:
        digits, _ = d.digits(gpt, tokens)
        same = (digits[:, None] == digits[None]).long().cumprod(-1).sum(-1)
        return d.causal(same.numpy().astype(float))

    return [
        Slices(
            title=f"The first {levels} digits as a tree: the share of letters under each node",
            positions=places,
            edges=edges,
            ids=np.arange(len(places)),
            frames=np.array(shares),
            frame_names=d.steps(along),
            quantity="share",
            words=names,
            axes=("", "", "digits"),
        ),
        d.over_training("How many leading digits two letters share", along, tokens, shared, "digits"),
    ]


def tropical(along: Along, tokens: torch.Tensor) -> list[Plotted]:
    """Which letter answers for each number, and how many winners stay when everything moves by so much."""

    def back(gpt: GPT, tokens: torch.Tensor) -> np.ndarray:
        winner, _ = d.winners(gpt, tokens)
        return (np.arange(len(winner))[:, None] - winner.numpy()).astype(float)

    frames = np.stack([back(gpt, tokens) for gpt in along.values()])
    sizes, certain, stay = d.staying(d.last(along), tokens, SIZES, DRAWS)
    return [
        MatrixSlices(
            title="How far back the letter lies that answers",
            frames=frames,
            frame_names=d.steps(along),
            row_names=d.spelled(tokens),
            column_names=tuple(str(i) for i in range(frames.shape[2])),
            row_title="letter",
            column_title="number of the first head",
            quantity="letters back",
            shown=len(frames) - 1,
        ),
        Curve(
            title="Winners that stay when queries, keys and values move",
            x=sizes,
            y=np.stack([certain, stay], 1),
            names=("certain by their lead", f"stayed in {DRAWS} draws of signs"),
            x_title="change of each number",
            y_title="share of winners",
        ),
    ]


def quaternion(along: Along, tokens: torch.Tensor) -> list[Plotted]:
    """Queries as points of a sphere, coloured by weights, and sizes of products."""
    last = d.last(along)
    q, k, v = d.numbers(last, tokens, 4)
    return [
        d.path(
            "Imaginary parts of the letters' unit quaternions, coloured by what each letter takes from there",
            k[:, 0, 1:].numpy(),
            tokens,
            np.nan_to_num(d.weights(last, tokens)),
            "weight",
        ),
        d.sizes_of_products(q, k, v, "quaternion"),
    ]


def octonion(along: Along, tokens: torch.Tensor) -> list[Plotted]:
    """How much the grouping of three factors matters, and sizes of products."""
    from workbench.numerics.geometry.octonions import conjugate, product

    def associator(gpt: GPT, tokens: torch.Tensor) -> np.ndarray:
        q, k, v = (part[:, 0] for part in d.numbers(gpt, tokens, 8))
        a, b = q[:, None], conjugate(k)[None]
        apart = product(product(a, b), v[None]) - product(a, product(b, v[None]))
        return d.causal((apart.norm(dim=-1) / v.norm(dim=-1)[None]).numpy())

    return [
        d.over_training(
            "How much the grouping matters: ‖(q k*) v - q (k* v)‖ over ‖v‖",
            along,
            tokens,
            associator,
            "relative",
        ),
        d.sizes_of_products(*d.numbers(d.last(along), tokens, 8), "octonion"),
    ]


def fractal(along: Along, tokens: torch.Tensor) -> list[Plotted]:
    """Points of the fractal that words are addresses of, and the kernel of two letters' words."""
    from workbench.numerics.attention.fractal import path_kernel
    from workbench.numerics.geometry.addresses import Maps

    letters = d.words(d.last(along), tokens)
    words = Maps.drawn(letters.shape[2], SPACE, SCALE, 0)
    listed = words.words(letters.shape[1])
    p = letters[:, np.arange(letters.shape[1]), listed].prod(-1)  # (n, words)
    names = tuple("word " + "".join(map(str, w)) for w in listed.tolist())

    def kernel(gpt: GPT, tokens: torch.Tensor) -> np.ndarray:
        q = d.words(gpt, tokens, "q_proj")
        found = d.causal(path_kernel(q, d.words(gpt, tokens)).numpy())
        return found / np.nansum(found, -1, keepdims=True)

    return [
        Slices(
            title=f"{len(listed)} words as points of a fractal: how likely each is where the slider reads",
            positions=words.fixed_points(listed).numpy(),
            edges=np.empty((0, 2), np.int64),
            ids=np.arange(len(listed)),
            frames=p.numpy(),
            frame_names=d.spelled(tokens),
            quantity="probability",
            words=names,
        ),
        d.over_training("How much each letter looks at each", along, tokens, kernel, "weight"),
    ]


def braid(along: Along, tokens: torch.Tensor) -> list[Plotted]:
    """The path of the state, and how far letters are from keeping the relations of exchanges."""
    reached = d.states(d.last(along), tokens)  # (n, strands, e / strands)
    strands = np.linalg.norm(reached, axis=-1)
    flat = reached.reshape(len(reached), -1)
    flat = flat - flat.mean(0)
    axes = np.linalg.svd(flat, full_matrices=False)[2][:3]
    places = np.zeros((len(flat), 3))
    places[:, : len(axes)] = flat @ axes.T
    letters, controls = d.relations(along, tokens)
    return [
        d.path(
            "The path of the state in its three leading directions, coloured by how much of it is on each strand",
            places,
            tokens,
            (strands / strands.sum(1, keepdims=True)).T,
            "share",
            tuple(f"strand {i + 1}" for i in range(strands.shape[1])),
        ),
        Curve(
            title="How much the relations of exchanges are broken",
            x=np.array(list(along), float),
            y=np.column_stack([letters, *(np.full(len(letters), c) for c in controls.values())]),
            names=("the first letters, as learned", *controls),
            x_title="step of training",
            y_title="mean square",
        ),
    ]


def reversible(along: Along, tokens: torch.Tensor) -> list[Plotted]:
    """Bytes kept and the error of undoing, by depth; its attention is the standard one."""
    config = d.last(along).config
    kept = {
        name: [d.kilobytes_kept(config, name, depth, tokens) for depth in DEPTHS]
        for name in ("standard", "reversible")
    }
    free, grid = (np.array([d.undoing(config, depth, tokens, bits) for depth in DEPTHS]) for bits in (0, 20))
    return [
        Panels(
            title="By depth: bytes that the tape keeps, and how far an undone stream is from the first one",
            x=np.array(DEPTHS, float),
            y=np.column_stack([kept["standard"], kept["reversible"], free, np.where(grid > 0, grid, np.nan)]),
            names=("standard", "reversible", "reversible, undone", "undone on a grid"),
            alike=("standard", "reversible", "reversible", "on a grid of 2⁻²⁰"),
            panels=(
                "kB kept for the backward pass",
                *("kB kept for the backward pass", "relative error of undoing", "relative error of undoing"),
            ),
            x_title="layers",
            log=True,
        ),
        *standard(along, tokens),
    ]


def simplicial(along: Along, tokens: torch.Tensor) -> list[Plotted]:
    """Weights of pairs for each letter that reads, and how much the second key says."""
    last = d.last(along)
    weights = d.triples(last, tokens)  # (n, pairs, near), both windows the oldest first
    n, pairs, near = weights.shape
    weights = weights[:, ::-1, ::-1][:, :, : min(near, n)]
    entropy = [d.shared_information(d.triples(gpt, tokens)) for gpt in along.values()]
    return [
        MatrixSlices(
            title="How much a letter takes from each pair of letters before it",
            frames=weights,
            frame_names=d.spelled(tokens),
            row_names=tuple(str(i) for i in range(pairs)),
            column_names=tuple(str(i) for i in range(weights.shape[2])),
            row_title="second key, letters back",
            column_title="first key, letters back",
            quantity="weight",
            shown=n - 1,
        ),
        Curve(
            title="How much the choice of one key says of the other",
            x=np.array(list(along), float),
            y=np.array(entropy)[:, None],
            names=("mutual information",),
            x_title="step of training",
            y_title="bits",
        ),
    ]


def surreal(along: Along, tokens: torch.Tensor) -> list[Plotted]:
    """Sizes of rows of each map, along training; its attention is the standard one."""
    frames, names = [], []
    for gpt in along.values():
        rows = {n: s for n, s in d.row_sizes(gpt).items() if n.startswith("layers.0.")}
        names = [n.removeprefix("layers.0.").removeprefix("mixer.").removesuffix("_proj") for n in rows]
        frames.append(np.column_stack([d.at_shares(s) for s in rows.values()]))
    return [
        Panels(
            title="Sizes of the rows of each map in the first layer, in order",
            x=np.linspace(0, 1, len(frames[-1])),
            y=frames[-1],
            names=tuple(names),
            panels=tuple("attention" if n in ("q", "k", "v", "o") else "what follows it" for n in names),
            frames=np.stack(frames),
            frame_names=d.steps(along),
            x_title="share of rows",
            y_title="size",
        ),
        *standard(along, tokens),
    ]


PICTURES: Mapping[str, Callable[[Any, Any], list[Plotted]]] = {
    f.__name__: f
    for f in (
        standard,
        braid,
        fractal,
        gauge,
        octonion,
        quaternion,
        reversible,
        simplicial,
        surreal,
        tropical,
        ultrametric,
    )
}
