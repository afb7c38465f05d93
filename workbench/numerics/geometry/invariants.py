"""What each kind of attention promises, measured on a model as it is: trained or not.

`checks` measures what all kinds promise and what the model's own kind does. Each figure stands beside a control, the same figure
of something that needn't keep the promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch

from workbench.numerics.attention import braid, fractal, octonion, quaternion, reversible, surreal, tropical
from workbench.numerics.attention import ultrametric as leaves
from workbench.numerics.geometry import octonions, quaternions
from workbench.numerics.geometry.gpt import GPT, GPTState
from workbench.numerics.geometry.mechanism import added, causal_weights, normalized, rotated, rotation

EXACT = 1e-12  # of double precision
DRAWS = 10  # changes of each layer
STEP = 1e-3
LEAST = 0.03  # see `braid.polar`
LONG = 4096  # positions over which a rotation is carried on


class Check(NamedTuple):
    """A promise and what was measured of it.

    Attributes
    ----------
    claim : in words. measured : the largest error. bound : what it may be. control : the same figure of what ``beside`` says, which
    needn't keep the promise; NaN where there is none.
    """

    claim: str
    measured: float
    bound: float
    control: float
    beside: str

    @property
    def holds(self) -> bool:
        return self.measured <= self.bound


def checks(gpt: GPT, tokens: torch.Tensor) -> list[Check]:
    """Measure what a model's kind of attention promises, on what the model makes of tokens (b, n), n ≥ 4.

    Draws are of fixed seeds: equal models and tokens give equal figures.
    """
    gpt, tokens = deepcopy(gpt).cpu().eval(), tokens.cpu()
    found = [causality(gpt, tokens)]
    if not gpt.mechanism.mixer.NO_CACHE:
        found.append(decoding(gpt, tokens))
    return [*found, *OF_KIND[gpt.config.mechanism](gpt, tokens)]


@torch.no_grad()
def causality(gpt: GPT, tokens: torch.Tensor) -> Check:
    """Change each of some tokens, and look at the logits before it."""
    before, found = gpt(tokens), []
    for t in {1, tokens.shape[1] // 2, tokens.shape[1] - 1}:
        other = tokens.clone()
        other[:, t] = (other[:, t] + 1) % gpt.config.vocabulary
        apart = (gpt(other) - before).abs()
        found.append((float(apart[:, :t].max()), float(apart[:, t:].max())))
    moved, later = _largest(found)
    return Check("a token changes no logits before it", moved, 0.0, later, "logits from it on")


@torch.no_grad()
def decoding(gpt: GPT, tokens: torch.Tensor) -> Check:
    """Read tokens one by one with what was read before them kept, beside the whole text at once."""
    whole, state = gpt(tokens), GPTState()
    parts = [tokens[:, t : t + 1] for t in range(tokens.shape[1])]
    cached = torch.cat([gpt(part, state) for part in parts], 1)
    alone = torch.cat([gpt(part) for part in parts], 1)
    return Check(
        "decoding with a cache equals the full pass",
        _relative(cached, whole),
        1e-4,
        _relative(alone, whole),
        "each token read alone",
    )


@torch.no_grad()
def standard(gpt: GPT, tokens: torch.Tensor) -> list[Check]:
    found = []
    for mixer, x in _reads(gpt, tokens):
        turn = rotation(torch.arange(x.shape[1]), mixer.size)
        q, k = (
            normalized(mixer.split(p(x), h))
            for p, h in ((mixer.q_proj, mixer.heads), (mixer.k_proj, mixer.key_heads))
        )
        k, v = (
            part.repeat_interleave(mixer.heads // mixer.key_heads, 1)
            for part in (k, mixer.split(mixer.v_proj(x), mixer.key_heads))
        )
        y, turned, plain = (
            mixer(x),
            *(
                mixer.o_proj((causal_weights(a, b) @ v).transpose(1, 2).flatten(-2))
                for a, b in ((rotated(q, turn), rotated(k, turn)), (q, k))
            ),
        )
        found.append((_relative(y, turned), _relative(y, plain)))
    worst, control = _largest(found)
    return [
        Check("attention is its definition", worst, EXACT, control, "the definition without rotary embedding")
    ]


def surreal_(gpt: GPT, tokens: torch.Tensor) -> list[Check]:
    double = gpt.double()
    double.zero_grad()
    _loss(double, tokens).backward()
    maps = [m for m in double.modules() if isinstance(m, surreal.SurrealLinear)]
    (slanted,) = _largest([(_cosines(m.direction, m.direction.grad),) for m in maps])
    head = double.lm_head.weight
    right = Check(
        "slopes by a direction are at right angles to it",
        slanted,
        EXACT,
        _cosines(head, head.grad),
        "the rows of the head, which have no direction of their own",
    )
    return [*standard(gpt, tokens), right]


@torch.no_grad()
def gauge(gpt: GPT, tokens: torch.Tensor) -> list[Check]:
    found = []
    for mixer, x in _reads(gpt, tokens):
        single, long = deepcopy(mixer).float(), x[:1].repeat(1, -(-LONG // x.shape[1]), 1)[:, :LONG].float()
        changed, n = x.clone(), x.shape[1]
        changed[:, : n // 2] = changed[:, : n // 2].flip(1)
        a, b = (_matrices(*mixer.transports(of)) for of in (x, changed))
        late = (slice(None), n - 1), (slice(None), n // 2)
        between = [t[late[0]].mT @ t[late[1]] for t in (a, b)]
        wrong = [t[late[0]] @ t[late[1]].mT for t in (a, b)]
        apart = [float((of[0] - of[1]).abs().max()) for of in (between, wrong)]
        found.append((_unlike(_matrices(*single.transports(long))), _drift(mixer, long), *apart))
    turns, drift, leak, other = _largest(found)
    return [
        Check(
            f"‖TᵀT - I‖ after {LONG:,} positions, single precision",
            turns,
            2e-6,
            drift,
            "the same rotations as 4 × 4 matrices, multiplied one after the other",
        ),
        Check(
            "TᵢᵀTⱼ depends on what lies between",
            leak,
            EXACT,
            other,
            "TᵢTⱼᵀ, the other order",
        ),
    ]


def _matrices(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The (..., 4, 4) matrices of rotations that are pairs of unit quaternions."""
    basis = torch.eye(4, dtype=left.dtype).expand(*left.shape[:-1], 4, 4)
    return quaternions.turned(basis, left[..., None, :], right[..., None, :]).mT


def _unlike(t: torch.Tensor) -> float:
    """The largest ‖TᵀT - I‖ of matrices; NaN of none."""
    apart = (t.mT @ t - torch.eye(t.shape[-1], dtype=t.dtype)).flatten(-2).norm(dim=-1)
    return float(apart.max()) if apart.numel() else float("nan")


def _drift(mixer: Any, x: torch.Tensor) -> float:
    """How far from a rotation a product of 4 × 4 matrices comes in single precision."""
    angles = torch.einsum("bnci,cio->bnco", x.double().unflatten(-1, (-1, 4)), mixer.angles) + mixer.constant
    steps = _matrices(*(quaternions.exponential(part) for part in angles.chunk(2, -1))).float()
    t = torch.eye(4).expand(steps.shape[2], 4, 4)
    for step in steps[0]:
        t = t @ step
    return _unlike(t)


@torch.no_grad()
def ultrametric(gpt: GPT, tokens: torch.Tensor) -> list[Check]:
    found = []
    for mixer, x in _reads(gpt, tokens):
        (q, of_q), (k, of_k) = (_address(mixer, p(x)) for p in (mixer.q_proj, mixer.k_proj))
        v = mixer.split(mixer.v_proj(x))
        y = leaves.mixed(q, of_q, k, of_k, v, mixer.base)
        gated, free = (_dense(q, g, k, h, v, mixer.base) for g, h in ((of_q, of_k), (None, None)))
        apart = float(mixer.base) ** -_shared(k, k).double()
        found.append((_relative(y, gated), _relative(y, free), _unequal(apart), _unequal(torch.cdist(v, v))))
    worst, control, broken, plain = _largest(found)
    return [
        Check(
            "attention is the average over all pairs", worst, EXACT, control, "the average without its gates"
        ),
        Check(
            "share of triangles whose longest side has no equal",
            broken,
            0.0,
            plain,
            "Euclidean distances of values",
        ),
    ]


def _address(mixer: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Digits and their probabilities (b, heads, n, digits), the largest of each ``base`` numbers."""
    p, digit = mixer.split(x).unflatten(-1, (mixer.digits, mixer.base)).softmax(-1).max(-1)
    return digit, p


def _unequal(apart: torch.Tensor) -> float:
    """The share of triangles whose longest side has no equal, of distances (..., n, n)."""
    longest = torch.maximum(apart[..., :, :, None], apart[..., None, :, :])
    return float((apart[..., :, None, :] > longest).double().mean())


def _shared(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """How many leading digits (..., n, digits) and (..., m, digits) share."""
    return (a[..., :, None, :] == b[..., None, :, :]).long().cumprod(-1).sum(-1)


def _dense(
    q: torch.Tensor,
    of_q: torch.Tensor | None,
    k: torch.Tensor,
    of_k: torch.Tensor | None,
    v: torch.Tensor,
    base: int,
) -> torch.Tensor:
    common, weight = _shared(q, k), torch.ones(*q.shape[:3], k.shape[2], dtype=v.dtype)
    for level in range(1, q.shape[-1] + 1):
        gate: torch.Tensor | float = 1.0
        if of_q is not None and of_k is not None:
            gate = of_q[..., :level].prod(-1)[..., :, None] * of_k[..., :level].prod(-1)[..., None, :]
        weight = weight + (common >= level) * gate * float(base**level - base ** (level - 1))
    weight = weight.tril()
    return weight @ v / weight.sum(-1, keepdim=True)


@torch.no_grad()
def tropical_(gpt: GPT, tokens: torch.Tensor) -> list[Check]:
    own, found, flips = torch.Generator().manual_seed(0), [], torch.zeros(2)
    for mixer, x in _reads(gpt, tokens):
        of = tropical_parts(mixer, x)
        before, winner, lead = tropical.mixed(*of), tropical.winners(*of)[0], tropical.margins(*of)
        for _ in range(DRAWS):
            signs = [torch.randint(-1, 2, part.shape, generator=own).to(part) for part in of]
            apart = tropical.mixed(*_moved(of, signs, STEP)) - before
            found.append((float(apart.abs().max()) / STEP,))
            size = float(lead[lead.isfinite()].quantile(torch.rand((), generator=own).item())) / 10
            near, far = (tropical.winners(*_moved(of, signs, f * size))[0] != winner for f in (0.999, 10.0))
            flips += torch.stack([(changed & (lead / 10 >= size)).sum() for changed in (near, far)])
    moved, loose = flips.tolist()
    return [
        Check(
            "answers change by at most 5 times what q, k and v do",
            _largest(found)[0],
            tropical.JOINTLY + 1e-9,
            float("nan"),
            "",
        ),
        Check(
            "certain winners that change when q, k and v do by a tenth of the lead",
            moved,
            0.0,
            loose,
            "by the whole lead",
        ),
    ]


def _moved(of: Sequence[torch.Tensor], signs: Sequence[torch.Tensor], size: float) -> Iterator[torch.Tensor]:
    return (part + size * s for part, s in zip(of, signs, strict=True))


@torch.no_grad()
def tropical_radii(gpt: GPT, tokens: torch.Tensor) -> list[torch.Tensor]:
    """Of each layer, by how much each number of q, k and v may change at most while an answer's key stays (m), float64.

    Of answers that see two keys or more.
    """
    leads = [tropical.margins(*tropical_parts(mixer, x)) for mixer, x in _reads(gpt, tokens)]
    return [lead[lead.isfinite()] / 10 for lead in leads]


def tropical_parts(mixer: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values (b, heads, n, e) of a tropical mixer that reads (b, n, width)."""
    q, k = (normalized(mixer.split(p(x))) for p in (mixer.q_proj, mixer.k_proj))
    return q, k, mixer.split(mixer.v_proj(x))


@torch.no_grad()
def simplicial(gpt: GPT, tokens: torch.Tensor) -> list[Check]:
    worst, control = _largest(
        [
            tuple(_relative(mixer(x), _by_brute_force(mixer, x, pairs)) for pairs in (mixer.pairs, 1))
            for mixer, x in _reads(gpt, tokens[:1, :64])
        ]
    )
    return [
        Check("attention is the sum over pairs of keys", worst, EXACT, control, "the second key the own one")
    ]


def _by_brute_force(mixer: Any, x: torch.Tensor, pairs: int) -> torch.Tensor:
    """Of all pairs of keys, those that lie outside of the windows masked."""
    q, k, k2 = (normalized(mixer.split(p(x))) for p in (mixer.q_proj, mixer.k_proj, mixer.k2_proj))
    v, v2 = (mixer.split(p(x)) for p in (mixer.v_proj, mixer.v2_proj))
    at = torch.arange(x.shape[1])
    back = at[:, None] - at  # of i and j
    near, second = (
        bias[:, (size - 1 - back).clamp(0, size - 1)]
        for bias, size in ((mixer.near_bias, mixer.near), (mixer.pairs_bias, mixer.pairs))
    )
    scores = torch.einsum("bhie,bhje,bhme->bhijm", q, k, k2) / mixer.size**0.5
    scores = scores + near[None, :, :, :, None] + second[None, :, :, None, :]
    seen = ((back >= 0) & (back < mixer.near))[:, :, None] & ((back >= 0) & (back < pairs))[:, None, :]
    weights = scores.masked_fill(~seen, -torch.inf).flatten(-2).softmax(-1).unflatten(-1, scores.shape[-2:])
    y = torch.einsum("bhijm,bhje,bhme->bhie", weights, v, v2)
    found: torch.Tensor = mixer.o_proj(y.transpose(1, 2).flatten(-2))
    return found


@torch.no_grad()
def quaternion_(gpt: GPT, tokens: torch.Tensor) -> list[Check]:
    own, found = torch.Generator().manual_seed(0), []
    for mixer, x in _reads(gpt, tokens):
        q, k, v = (mixer.split(p(x)) for p in (mixer.q_proj, mixer.k_proj, mixer.v_proj))
        u = quaternions.unit(torch.randn(mixer.size // 4, 4, dtype=x.dtype, generator=own))
        errors = []
        for place in (_from_right, _ordinarily):
            plain, after = (
                quaternion.mixed(place(a), place(b), quaternion.turned_back(place(b), c))
                for a, b, c in ((q, k, v), [_from_left(u, part) for part in (q, k, v)])
            )
            errors.append(_relative(after, _from_left(u, plain)))
        found.append(tuple(errors))
    worst, control = _largest(found)
    return [
        Check(
            "a unit factor from the left comes out as it went in",
            worst,
            EXACT,
            control,
            "with the ordinary rotary embedding",
        )
    ]


def _from_left(u: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return quaternions.product(u, x.unflatten(-1, (-1, 4))).flatten(-2)


def _from_right(x: torch.Tensor) -> torch.Tensor:
    turn = quaternion.factors(torch.arange(x.shape[-2]), x.shape[-1] // 4)
    return quaternions.product(normalized(x).unflatten(-1, (-1, 4)), turn).flatten(-2)


def _ordinarily(x: torch.Tensor) -> torch.Tensor:
    return rotated(normalized(x), rotation(torch.arange(x.shape[-2]), x.shape[-1]))


@torch.no_grad()
def octonion_(gpt: GPT, tokens: torch.Tensor) -> list[Check]:
    found = []
    for mixer, x in _reads(gpt, tokens[:1, :64]):
        q, k = (
            octonion.placed(normalized(mixer.split(p(x))), torch.arange(x.shape[1]))
            for p in (mixer.q_proj, mixer.k_proj)
        )
        v = mixer.split(mixer.v_proj(x))
        y, p = octonion.mixed(q, k, octonion.maps_of(k, v)), causal_weights(q, k)
        a, b, c = (part.unflatten(-1, (-1, 8)) for part in (q, k, v))
        a = quaternions.unit(a)[..., :, None, :, :]
        b = octonions.conjugate(quaternions.unit(b))[..., None, :, :, :]
        c, times = c[..., None, :, :, :], octonions.product
        ours, other = (
            (p[..., None, None] * products).sum(-3).flatten(-2)
            for products in (times(times(a, b), c), times(a, times(b, c)))
        )
        found.append((_relative(y, ours), _relative(y, other)))
    worst, control = _largest(found)
    return [
        Check(
            "attention is the sum over pairs of (q k*) v",
            worst,
            EXACT,
            control,
            "q (k* v), the other grouping",
        )
    ]


def reversible_(gpt: GPT, tokens: torch.Tensor) -> list[Check]:
    layers: list[Any] = list(gpt.layers)
    with torch.no_grad():
        x = normalized(gpt.embedding(tokens))
        start = reversible.stored(layers, x)
        y = reversible.through(layers, (start, start))
        back = [
            _relative(reversible.read(layers, part), reversible.read(layers, start))
            for part in reversible.undone(layers, y)
        ]
        kept = _relative(reversible.read(layers, y[0]), reversible.read(layers, start))
    x.requires_grad_()
    weights = [p for layer in layers for p in layer.parameters()]
    ours = torch.autograd.grad(reversible.run(layers, x, None).square().sum(), [x, *weights])
    found = [
        Check(
            f"{len(layers)} layers are undone",
            float(np.max(back)),
            1e-5,
            kept,
            "not undone",
        )
    ]
    if layers[0].mixer.options["grid_bits"]:  # the tape can't follow whole numbers
        return found
    first, second = reversible.through(layers, (x, x))
    tape = torch.autograd.grad((first + second).square().sum(), [x, *weights])
    a, b = (torch.cat([d.flatten() for d in of]) for of in (ours, tape))
    other = torch.autograd.grad(added(layers, x, None).square().sum(), [x, *weights])
    c = torch.cat([d.flatten() for d in other])
    beside = "those of the same layers, not reversible"
    return [*found, Check("slopes are those of the tape", _relative(a, b), 1e-5, _relative(c, b), beside)]


@torch.no_grad()
def fractal_(gpt: GPT, tokens: torch.Tensor) -> list[Check]:
    found = []
    for mixer, x in _reads(gpt, tokens[:1, :32]):
        levels, maps = min(mixer.levels, 4), min(mixer.maps, 8)  # there are maps^levels words
        q, k = (
            mixer.split(p(x)).unflatten(-1, (mixer.levels, mixer.maps)).softmax(-1)[..., :levels, :maps]
            for p in (mixer.q_proj, mixer.k_proj)
        )
        words = torch.cartesian_prod(*[torch.arange(maps)] * levels).reshape(-1, levels)
        each = [part[..., torch.arange(levels), words].prod(-1) for part in (q, k)]
        kernel, summed = fractal.path_kernel(q, k), (each[0] @ e.mT for e in (each[1], each[1].flip(-1)))
        found.append(tuple(_relative(kernel, of) for of in summed))
    worst, control = _largest(found)
    return [Check("the kernel is the sum over all words", worst, EXACT, control, "words matched in reverse")]


@torch.no_grad()
def braid_(gpt: GPT, tokens: torch.Tensor) -> list[Check]:
    drawn = []
    for mixer, x in _reads(gpt, tokens):
        n = mixer.strands
        made = mixer.split(mixer.p_proj(x)).unflatten(-1, (n, n)) + mixer.start[:, None]
        drawn.append(made.flatten(0, 2))
    before = torch.cat(drawn)
    turns = braid.polar(before)
    clear = torch.linalg.svdvals(before)[:, -1] >= LEAST * before.flatten(1).norm(dim=-1)
    longest = float(torch.linalg.matrix_norm(turns, 2).max()) - 1
    share = float(clear.double().mean())
    return [
        Check(
            f"‖PᵀP - I‖ where no singular value is below {LEAST} of the norm ({share:.1%} of matrices)",
            _unlike(turns[clear]),
            1e-4,
            _unlike(turns[~clear]),
            "the other matrices",
        ),
        Check("no matrix lengthens a state: largest singular value less 1", longest, 1e-9, float("nan"), ""),
    ]


OF_KIND: dict[str, Callable[[GPT, torch.Tensor], list[Check]]] = {
    "standard": standard,
    "braid": braid_,
    "fractal": fractal_,
    "gauge": gauge,
    "octonion": octonion_,
    "quaternion": quaternion_,
    "reversible": reversible_,
    "simplicial": simplicial,
    "surreal": surreal_,
    "tropical": tropical_,
    "ultrametric": ultrametric,
}
"""Gives the checks of a kind's own promises, of a model and tokens."""


@torch.no_grad()
def _reads(gpt: GPT, tokens: torch.Tensor) -> list[tuple[Any, torch.Tensor]]:
    """Each layer's mixer and what it reads (b, n, width), in double precision."""
    double, found = deepcopy(gpt).double(), []
    hooks = [
        layer.mixer.register_forward_pre_hook(lambda mixer, given: found.append((mixer, given[0].detach())))
        for layer in double._layers()
    ]
    double(tokens)
    for hook in hooks:
        hook.remove()
    return found


def _loss(gpt: GPT, tokens: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(gpt(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def _largest(found: Sequence[tuple[float, ...]]) -> list[float]:
    """Of each of several figures the largest; NaN if one is."""
    return [float(x) for x in np.max(found, axis=0)]


def _relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


def _cosines(rows: torch.Tensor, slopes: torch.Tensor | None) -> float:
    """The largest |cosine| between a row and the loss's slope by it."""
    assert slopes is not None
    return float(torch.cosine_similarity(rows, slopes, dim=-1).abs().max().detach())
