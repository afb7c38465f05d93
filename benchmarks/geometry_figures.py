"""Errors, margins and memory of the geometry lab that its tests bound: the numbers themselves.

python benchmarks/geometry_figures.py
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch.nn import functional as F

from workbench.numerics.attention.gauge import Gauge
from workbench.numerics.attention.octonion import maps_of, mixed
from workbench.numerics.attention.reversible import read, run, stored, through, undone
from workbench.numerics.attention.ultrametric import Ultrametric, sums_until
from workbench.numerics.geometry.addresses import Maps
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT
from workbench.numerics.geometry.mechanism import causal_weights, normalized
from workbench.numerics.geometry.octonions import conjugate, product
from workbench.numerics.geometry.quaternions import turned, unit
from workbench.numerics.optimization.hoss import flow, step_of
from workbench.numerics.optimization.muon import JORDANS, polar_express
from workbench.numerics.schedules.ordinal import Schedule


def gauge() -> None:
    for scale in (1.0, 10.0):
        torch.manual_seed(0)
        mixer = Gauge(64, 4)
        with torch.no_grad():
            mixer.angles.mul_(scale)
            left, right = mixer.transports(normalized(torch.randn(1, 4096, 64)))
            basis = torch.eye(4).expand(*left.shape[:-1], 4, 4)
            t = turned(basis, left[..., None, :], right[..., None, :]).mT
            worst = (t.mT @ t - torch.eye(4)).flatten(-2).norm(dim=-1).max()
        print(f"gauge, angles times {scale:g}: largest ‖TᵀT - I‖ at 4,096 positions {float(worst):.1e}")


def reversible() -> None:
    torch.manual_seed(0)
    layers = list(GPT(GeometryConfig(mechanism="reversible", width=128, layers=32, heads=4)).layers)
    x = torch.randn(2, 64, 128)
    with torch.no_grad():
        y = through(layers, (x, x))
        errors = [float((back - x).norm() / x.norm()) for back in undone(layers, y)]
    print(f"reversible, 32 layers: undone to {max(errors):.1e} relative")
    x.requires_grad_()
    weights = [p for layer in layers for p in layer.parameters()]
    first, second = through(layers, (x, x))
    theirs = torch.autograd.grad((first + second).square().sum(), [x, *weights])
    ours = torch.autograd.grad(run(layers, x, None).square().sum(), [x, *weights])
    apart = [a - b for a, b in zip(ours, theirs, strict=True)]
    gap, size = (sum(float(p.square().sum()) for p in parts) ** 0.5 for parts in (apart, theirs))
    print(f"reversible, 32 layers: slopes differ by {gap / size:.1e} relative from the tape's")
    torch.manual_seed(0)
    config = GeometryConfig(mechanism="reversible", width=128, layers=32, heads=4, options={"grid_bits": 20})
    layers = list(GPT(config).layers)
    with torch.no_grad():
        start = stored(layers, x)
        y = through(layers, (start, start))
        same = all(torch.equal(back, start) for back in undone(layers, y))
    print(
        f"reversible on a grid, 32 layers: bit for bit {same}; sizes up to {float(read(layers, y[0]).abs().max()):.1f}"
    )


def kept(mechanism: str, layers: int) -> float:
    torch.manual_seed(0)
    stack = GPT(GeometryConfig(mechanism=mechanism, width=128, layers=layers, heads=4))
    weights, held = {p.untyped_storage().data_ptr() for p in stack.parameters()}, {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        if t.untyped_storage().data_ptr() not in weights:
            held[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    x = torch.randn(8, 256, 128, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = stack.mechanism.run(list(stack.layers), x, None)
    del y
    return sum(held.values()) / 1e6


def peak(mechanism: str, layers: int) -> float:
    """Megabytes at the top of a training step of 8 × 256 bytes, above the parameters and their gradients."""
    torch.manual_seed(0)
    gpt = GPT(GeometryConfig(mechanism=mechanism, width=128, layers=layers, heads=4))
    x = torch.randint(256, (8, 256))
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as seen:
        F.cross_entropy(gpt(x)[:, :-1].flatten(0, 1), x[:, 1:].flatten()).backward()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())])
    return float(held.max() - sum(p.grad.nbytes for p in gpt.parameters())) / 1e6


def ultrametric() -> None:
    torch.manual_seed(0)
    mixer, seconds = Ultrametric(64, 4), []
    for n in (4096, 16384, 65536):
        x, takes = torch.randn(1, n, 64), []
        with torch.no_grad():
            for _ in range(3):
                begin = time.process_time()
                mixer(x)
                takes.append(time.process_time() - begin)
        seconds.append(min(takes))
    print(f"ultrametric: {', '.join(f'{s:.3f}' for s in seconds)} s of 4,096, 16,384 and 65,536 positions")


def scans() -> None:
    """How often a sum moves when what comes later changes bucket: blocks cut in memory, and blocks that begin with buckets."""
    own = torch.Generator().manual_seed(0)
    n, moved = 1024, {"in memory": [], "at buckets": []}
    for _ in range(20):
        codes, values = torch.randint(16, (1, n), generator=own), torch.randn(1, n, 8, generator=own)
        other = codes.clone()
        other[:, n // 2 :] = torch.randint(16, (1, n - n // 2), generator=own)
        for name, sums in (("in memory", cut_in_memory), ("at buckets", lambda c, v: sums_until(c, v, c))):
            before, after = (sums(c, values)[:, : n // 2] for c in (codes, other))
            moved[name].append(float((before != after).double().mean()))
    for name, shares in moved.items():
        print(
            f"sums in sorted order, blocks cut {name}: {np.mean(shares):.1%} of the earlier ones change with later codes"
        )


def cut_in_memory(codes: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """As `sums_until` of the own codes, in blocks of 64 rows of the sorted order as masked products, whose ends are carried on."""
    place, order = codes.sort(dim=-1, stable=True)
    rows, found, carried, last = (
        values[0, order[0]],
        torch.empty_like(values),
        torch.zeros(values.shape[-1]),
        -1,
    )
    for s in range(0, codes.shape[1], 64):
        of = place[0, s : s + 64]
        sums = torch.tril(of[:, None] == of).float() @ rows[s : s + 64] + (of == last)[:, None] * carried
        found[0, order[0, s : s + 64]] = sums
        carried, last = sums[-1], int(of[-1])
    return found


def octonion() -> None:
    q, k, v = torch.randn(3, 64, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    a, b, c = (x.unflatten(-1, (-1, 8)) for x in (q, k, v))
    a, b, p = unit(a)[:, None], conjugate(unit(b))[None], causal_weights(q, k)
    found = mixed(q, k, maps_of(k, v))
    for name, products in (
        ("this", product(product(a, b), c[None])),
        ("the other", product(a, product(b, c[None]))),
    ):
        pairwise = (p[..., None, None] * products).sum(1).flatten(-2)
        print(f"octonion, {name} grouping: {float((found - pairwise).norm() / pairwise.norm()):.1e} relative")


def addresses() -> None:
    for maps, length, size in ((8, 4, 32), (4, 6, 32), (4, 4, 2), (2, 8, 2)):
        shares = []
        for seed in range(10):
            drawn = Maps.drawn(maps, size, 0.5, seed)
            words = drawn.words(length)
            read_back = drawn.decoded(drawn.fixed_points(words), length)
            shares.append(float((read_back == words).all(-1).double().mean()))
        print(
            f"addresses, {maps}^{length} words in {size} dimensions, 10 draws: {min(shares):.1%} to {max(shares):.1%}, "
            f"mean {np.mean(shares):.1%}"
        )


def optimizers() -> None:
    x = torch.logspace(0, -3, 100_000, dtype=torch.float64)
    for name, quintics in (("Polar Express", polar_express()), ("Jordan's quintic", JORDANS)):
        y = x
        for a, b, c in quintics:
            y = a * y + b * y**3 + c * y**5
        print(f"{name}: singular values from 1e-3 end in [{float(y.min()):.4f}, {float(y.max()):.4f}]")
    own = torch.Generator().manual_seed(0)
    q = torch.linalg.qr(torch.randn(400, 400, generator=own, dtype=torch.float64)).Q
    g = torch.randn(400, generator=own, dtype=torch.float64)
    values = torch.linspace(0, 1, 400, dtype=torch.float64)
    h = q @ torch.diag(values) @ q.T
    for delta in (10.0, 100.0, 500.0):
        expected = -q @ (torch.from_numpy(flow(values.numpy(), delta)) * (q.T @ g))
        errors = [
            float((step_of(lambda v: h @ v, g, delta, rank=r).moved - expected).norm() / expected.norm())
            for r in (20, 40, 80)
        ]
        print(f"HOSS, δ‖H‖ = {delta:g}: {', '.join(f'{e:.1e}' for e in errors)} at 20, 40 and 80 products")
    rises = 0
    for seed in range(1000):
        schedule = Schedule(400)
        for loss in np.random.default_rng(seed).normal(size=400).cumsum():
            before, best = schedule.ordinal, schedule.best
            schedule.observe(loss)
            if schedule.best < best:
                schedule.c = schedule.patience
            if schedule.ordinal > before:
                rises += 1
                break
    print(
        f"ordinal schedule, patience reset at an improvement: it rises in {rises / 10:.1f} % of 1,000 random walks"
    )


def main() -> None:
    torch.set_num_threads(1)
    gauge()
    reversible()
    for mechanism in ("standard", "reversible"):
        print(
            f"{mechanism}: {kept(mechanism, 4):.1f} and {kept(mechanism, 32):.1f} MB kept by 4 and 32 layers, 8 × 256 positions of 128"
        )
        tops = ", ".join(f"{peak(mechanism, layers):.1f}" for layers in (4, 8, 16, 32))
        print(f"{mechanism}: {tops} MB at the top of a step of 4, 8, 16 and 32 layers")
    ultrametric()
    scans()
    octonion()
    addresses()
    optimizers()


if __name__ == "__main__":
    main()
