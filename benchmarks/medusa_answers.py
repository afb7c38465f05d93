"""Measure what stands in LOG_medusa.md: ``python benchmarks/medusa_answers.py [orders|wave|hopfield|boxes|back|speed ...]``."""

from __future__ import annotations

import importlib.util
import sys
import time

import numpy as np
import torch

from workbench.numerics.box_covering import boxes, distances, natural_lengths, scaling
from workbench.numerics.fractal_graphs import Grown, cross, flower, gasket, hierarchical
from workbench.numerics.medusa import hopfield, reversing, waves
from workbench.numerics.medusa.counters import normals
from workbench.numerics.medusa.integrators import SCHEMES, Equation, integrate
from workbench.numerics.medusa.noise import Wiener, coarser
from workbench.numerics.medusa.system import Settings, System


def orders() -> None:
    """Strong orders on geometric Brownian motion, 8,000 shared paths, steps of 1/64 to 1/8."""
    mu, sigma, steps, worlds = 0.8, 0.6, 512, 8000
    equation = Equation(lambda t, x: mu * x, lambda t, x: sigma * x)
    fine = Wiener().start(0, range(worlds), 1, 1 / steps).take(steps)
    exact = np.exp(mu - sigma**2 / 2 + sigma * fine.dw.sum(axis=0))
    for scheme in SCHEMES:
        error = []
        for by in (8, 16, 32, 64):
            noise = coarser(fine, 1 / steps, by)
            start = torch.ones(1, worlds, dtype=torch.float64)
            dw, dz = torch.from_numpy(noise.dw), torch.from_numpy(noise.dz)
            end = integrate(equation, start, by / steps, dw, dz, scheme=scheme).states[-1].numpy()
            error.append(np.abs(end - exact).mean())
        print(f"{scheme}: {np.polyfit(np.log([8, 16, 32, 64]), np.log(error), 1)[0]:.3f}")


def wave() -> None:
    """Energy in 20,000 steps on the (2, 2)-flower of 172 nodes."""
    made = flower(2, 2, 4)
    matrix = waves.laplacian(made.edges, np.ones(len(made.edges)), made.n)
    rng = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.95):
        h = share * waves.largest_step(matrix, 1.0)
        q, p, own, naive = rng.standard_normal(made.n), rng.standard_normal(made.n), [], []
        for _ in range(20_000):
            after, p = waves.leapfrog(q, p, h, matrix, 1.0)
            own.append(waves.energy(q, p, after, matrix, 1.0))
            naive.append(waves.energy(q, p, q, matrix, 1.0))
            q = after
        print(
            f"{share} of the largest step: {np.ptp(own) / own[0]:.1e}, naive {np.ptp(naive) / np.mean(naive):.2f}"
        )


def hopfields() -> None:
    """Rises of the energy, and overlaps of 150 patterns of 1,500 with where they come to rest, over three draws."""
    for scale in (0.8, 3.0, 10.0):
        rng = np.random.default_rng(0)
        w = scale * rng.standard_normal((100, 100)) / 10
        w, given = (w + w.T) / np.sqrt(2), rng.standard_normal(100)
        most = hopfield.largest_falling_step(w)
        for h in (most, 0.5, 1.0):
            r, rises = np.tanh(rng.standard_normal((100, 100))), 0
            before = hopfield.energy(r, w, given)
            for _ in range(200):
                r = hopfield.step(r, w, h, given)
                after = hopfield.energy(r, w, given)
                rises += int((after > before + 1e-10 * (1 + np.abs(before))).sum())
                before = after
            print(f"weights of scale {scale}, h = {h:.3f} (proven {most:.3f}): {rises} rises of 20,000")
    for load in (0.138, 0.15, 0.18):
        found = []
        for seed in range(3):
            stored = np.random.default_rng(seed).choice([-1.0, 1.0], (round(load * 1500), 1500))
            found.append((hopfield.settle(stored[:150], hopfield.hebb(stored))[0] * stored[:150]).mean())
        print(f"Hebb, load {load}: {np.round(found, 3).tolist()}")
    for load in (0.1, 0.3, 0.5, 0.7):
        rng = np.random.default_rng(0)
        stored = rng.choice([-1.0, 1.0], (round(load * 500), 500))
        damaged = np.where(rng.random(stored.shape) < 0.05, -stored, stored)
        back = hopfield.settle(damaged, hopfield.pseudo_inverse(stored))[0]
        print(f"pseudo-inverse, load {load}: {(back == stored).all(axis=1).mean():.3f} mended of 5 % damage")


def dimensions() -> None:
    """Box dimensions at natural lengths, at those plus one, and at all."""
    made = {
        "(2, 2), 172": flower(2, 2, 4), "(3, 3), 174": flower(3, 3, 3), "(3, 3), 1,038": flower(3, 3, 4),
        "(2, 3), 470": flower(2, 3, 4), "hierarchical, 626": hierarchical(2, 4), "gasket, 1,095": gasket(6),
        "cross, 501": cross(3), "(1, 3), 684": flower(1, 3, 5),
    }  # fmt: skip
    for name, graph in made.items():
        apart = distances(graph.edges, graph.n)
        far = int(apart.max())
        own = natural_lengths(max(graph.scale, 2), far)
        said = []
        for lengths in (own, np.concatenate([[2], own + 1]), np.unique(np.geomspace(1, far, 20).astype(int))):
            if graph.scale > 1:
                lengths = np.unique(lengths[lengths <= far])
            s = scaling(lengths, np.array([boxes(apart, int(k), orders=10).max() + 1 for k in lengths]))
            said.append(f"{s.dimension:.2f} ({s.power:.2f}, {s.exponential:.2f}: {s.verdict})")
        print(f"{name}: known {graph.dimension}; " + "; ".join(said))


def back() -> None:
    """Distances of round trips, three seeds."""
    matrix, sources = np.array([[-0.5, 1.0], [-1.0, -0.3]]), np.array([[0.5, 0.0], [0.2, 0.4]])
    mean, covariance = np.array([1.0, 0.0]), np.array([[0.5, 0.1], [0.1, 0.3]])
    one, turn, well = np.array([[0.5]]), lambda x: matrix @ x, lambda x: x - x**3
    for seed in range(3):
        z = normals(seed, 99, range(1), 2, range(40_000))[0]
        slices = reversing.forward(
            turn, sources, mean[:, None] + np.linalg.cholesky(covariance) @ z, 0.01, 100, seed=seed
        )
        exact = reversing.linear_scores(matrix, sources, mean, covariance, 0.01, 100)
        said = [
            reversing.backward(turn, sources, slices, s, 0.01, seed=seed).distance.round(4)
            for s in (exact, None)
        ]
        print("linear: exact score, none", *said)
        slices = reversing.forward(well, one, 0.5 * z[:1, :20_000], 0.02, 100, seed=seed)
        scores = (reversing.matched_scores(slices, features=30), reversing.gaussian_scores(slices), None)
        said = [reversing.backward(well, one, slices, s, 0.02, seed=seed).distance.round(4) for s in scores]
        print("double well: matched, Gaussian, none", *said)


def speed() -> None:
    """Node-steps a processor second, noise and all, of 684 nodes and 64 worlds, ours and torchsde's where it is installed."""
    made = flower(2, 2, 5)
    weights = np.random.default_rng(0).standard_normal(len(made.edges))
    settings = {
        "plain": Settings(),
        "noise that grows": Settings(growing=True),
        "adapters": Settings(adapting=0.5),
        "adapters and four heads": Settings(adapting=0.5, heads=4),
        "plain, by tensors (derivative-free Milstein)": Settings(
            growing=True, scheme="derivative_free_milstein"
        ),
    }
    for name, chosen in settings.items():
        system = System(made.edges, weights, np.ones(len(weights)), made.n, chosen)
        steps = 20 if "tensors" in name else 200
        system.run(system.rest(64), 2)  # compiled
        start = time.process_time()
        system.run(system.rest(64), steps, every=steps)
        print(f"{name}: {made.n * 64 * steps / (time.process_time() - start):.2e} node-steps a second")
    for worlds in (4, 64):
        start = time.process_time()
        normals(0, 0, range(100), 1000, range(worlds))
        print(f"normals, {worlds} worlds: {1e5 * worlds / (time.process_time() - start):.2e} a second")
    if importlib.util.find_spec("torchsde") is None:
        print("torchsde isn't installed")
        return
    for name in ("sparse", "dense"):
        print(
            f"torchsde, Euler, {name} matrices: {_torchsde(made, weights, name == 'sparse'):.2e} node-steps a second"
        )


def _torchsde(made: Grown, weights: np.ndarray, sparse: bool) -> float:
    """The plain system by torchsde, Euler in all three parts; node-steps a processor second, the best of three runs."""
    import torchsde

    n, s = made.n, Settings()
    system = System(made.edges, weights, np.ones(len(weights)), n, s)
    eye = torch.eye(n, dtype=torch.float64)
    rates, near = system.rates(eye), system.wave(eye)
    pull = near - torch.diag(near.sum(dim=1))
    if sparse:
        rates, pull = rates.to_sparse_csr(), pull.to_sparse_csr()

    class Sde(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            r, q, p = (part.T for part in y.split(n, dim=1))
            dr = torch.tanh(rates @ r + s.from_wave * q) - r
            dp = s.speed**2 * (pull @ q) - s.damping * p + s.to_wave * r
            return torch.cat([dr, p, dp]).T

        def g(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            out = torch.zeros_like(y)
            out[:, :n] = s.rate_noise
            return out

    steps, found = 50, []
    for _ in range(3):
        y = torch.zeros(64, 3 * n, dtype=torch.float64)
        start = time.process_time()
        with torch.no_grad():
            torchsde.sdeint(Sde(), y, torch.tensor([0.0, steps * s.h]), method="euler", dt=s.h)
        found.append(n * 64 * steps / (time.process_time() - start))
    return max(found)


PARTS = {
    "orders": orders,
    "wave": wave,
    "hopfield": hopfields,
    "boxes": dimensions,
    "back": back,
    "speed": speed,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        print(f"## {part}")
        PARTS[part]()
