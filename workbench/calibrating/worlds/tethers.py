"""Weights that drift, sources without regard to each other, and networks without a relation: tethers whose null is true."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.calibrating.world import World
from workbench.subjects.descents.siblings import Siblings
from workbench.subjects.descents.trajectory import Trajectory

KEPT = 30  # steps
SHAPES = ((24, 16), (10, 24))
SAMPLES = 40

Draw = Callable[[np.random.Generator], np.ndarray]


def descent(weights: Sequence[Sequence[np.ndarray]]) -> tuple[Trajectory, ...]:
    """A descent of which weights alone were kept: at each step the layers'."""
    import pandas as pd

    held = {t: {f"{i}.weight": w for i, w in enumerate(layers)} for t, layers in enumerate(weights)}
    return (Trajectory(pd.DataFrame({"loss": np.ones(len(held))}), weights=held, name="world"),)


def drifting(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    """Weights whose magnitudes walk at random, every edge alike."""
    paths = [50 + np.cumsum(rng.standard_normal((KEPT, *s)), axis=0) for s in SHAPES]
    return descent(list(zip(*paths, strict=True)))


def fresh(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    """Weights that are drawn anew at each step."""
    return descent([[rng.standard_normal(s) for s in SHAPES] for _ in range(KEPT)])


def staying(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    """Weights that stay, seen with noise of a tenth of them that is another at each step."""
    first = [rng.standard_normal(s) for s in SHAPES]
    return descent([[w + 0.1 * rng.standard_normal(w.shape) for w in first] for t in range(KEPT)])


def _even(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(shape)


def _uneven(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Rows and columns of different scale: some neurons have all edges strong."""
    rows, columns = (np.exp(0.7 * rng.standard_normal(k)) for k in shape)
    return rows[:, None] * rng.standard_normal(shape) * columns


def unlike(of: Callable[[tuple[int, int], np.random.Generator], np.ndarray], shared: float = 0.0) -> Callable:
    """A descent whose last weights and whose movement since the first have nothing to do with each other, or something."""

    def make(rng: np.random.Generator) -> tuple[Trajectory, ...]:
        last = [of(s, rng) for s in SHAPES]
        moves = [
            np.sqrt(1 - shared) * of(s, rng) + np.sqrt(shared) * w for s, w in zip(SHAPES, last, strict=True)
        ]
        return descent([[w - m for w, m in zip(last, moves, strict=True)], last])

    return make


def _probed(
    steps: dict[int, list[np.ndarray]], x: np.ndarray, y: np.ndarray | None = None
) -> tuple[Trajectory, ...]:
    """A network of linear layers, rectified between; ``y`` None: the answers of its last weights."""
    import torch
    from torch import nn

    from workbench.calibrating.worlds.networks import descent as recorded
    from workbench.numerics.objectives import Probe

    held = {
        t: {f"{2 * i}.weight": w.astype(np.float32) for i, w in enumerate(layers)}
        for t, layers in steps.items()
    }
    layers: list[nn.Module] = []
    for w in steps[max(steps)]:
        layers += [nn.Linear(w.shape[1], w.shape[0], bias=False), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    x = x.astype(np.float32)
    if y is None:
        with torch.no_grad():
            network.load_state_dict({n: torch.from_numpy(w) for n, w in held[max(held)].items()})
            y = network(torch.from_numpy(x)).numpy()
    return recorded(network, held, Probe.of(x, y.astype(np.float32), "mse"))


def _samples_alone(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    """One layer whose every input and output is noise of one size: which unit has large gradients is chance, but units have them."""
    x, y = rng.standard_normal((SAMPLES, 12)), rng.standard_normal((SAMPLES, 10))
    return _probed({9: [np.zeros((10, 12))]}, x, y)


def _inputs_of_sizes(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    """The same before a smaller layer, with inputs of sizes from a half to two."""
    x, y = rng.standard_normal((SAMPLES, 12)) * np.geomspace(0.5, 2, 12), rng.standard_normal((SAMPLES, 4))
    return _probed({9: [rng.standard_normal((10, 12)), 0.1 * rng.standard_normal((4, 10))]}, x, y)


def _moved(told: bool) -> Callable[[np.random.Generator], tuple[Trajectory, ...]]:
    """Weights of one size that moved by chance; ``told``: half of the inputs are always zero, and their edges moved less."""

    def make(rng: np.random.Generator) -> tuple[Trajectory, ...]:
        shapes = ((40, 48), (20, 40))
        last = [rng.choice([-1.0, 1.0], s) * (1 + 1e-3 * rng.standard_normal(s)) for s in shapes]
        moves = [rng.standard_normal(s) for s in shapes]
        x = rng.standard_normal((SAMPLES, 48))
        if told:
            idle = rng.permutation(48)[:24]
            x[:, idle] = 0
            moves[0][:, idle] *= 0.1
        return _probed({0: [w - m for w, m in zip(last, moves, strict=True)], 9: last}, x)

    return make


def _networks(draw: Callable[[np.random.Generator, int], list[np.ndarray]]) -> Callable:
    """Three small classifiers at one step, with a probe of noise."""

    def make(rng: np.random.Generator) -> tuple[Siblings, ...]:
        import pandas as pd
        import torch
        from torch import nn

        from workbench.numerics.objectives import Probe
        from workbench.subjects.descents.record import Record
        from workbench.subjects.descents.step_weights import ArrayWeights

        x = torch.from_numpy(rng.standard_normal((60, 20)).astype(np.float32))
        probe = Probe.of(x, torch.from_numpy(rng.integers(0, 5, 60)), "cross_entropy")
        members = []
        for i in range(3):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(rng.integers(2**31)))
                network = nn.Sequential(
                    nn.Linear(20, 14), nn.ReLU(), nn.Linear(14, 11), nn.ReLU(), nn.Linear(11, 5)
                )
            names = [n for n, _ in network.named_parameters()]
            state = {n: t.detach().numpy().copy() for n, t in network.state_dict().items()}
            drawn = draw(rng, i)
            for n, w in zip((n for n in names if n.endswith("weight")), drawn, strict=True) if drawn else ():
                state[n] = w.astype(np.float32)
                network.get_parameter(n).data = torch.from_numpy(state[n])
            record = Record(ArrayWeights({0: state}, names), probe=probe, model=network)
            members.append(Trajectory(pd.DataFrame({"loss": np.ones(1)}), record, name=f"world {i}"))
        return (Siblings(members, name="world"),)

    return make


WIDTHS = ((14, 20), (11, 14), (5, 11))
TETHERS, ABLATION = "tethers", "tether_ablation"
FISHER = {TETHERS: {"source": "fisher", "layer": "0.weight", "n_boot": 10}}
MOVED = {ABLATION: {"sources": ("movement",), "fractions": (0.2, 0.4)}}
WORLDS = (
    World(
        "samples alone",
        "a layer whose inputs and answers are noise of one size",
        ("Descent",),
        _samples_alone,
        holds={TETHERS: ("explained_by_units",)},
        parameters=FISHER,
        own=(TETHERS,),
    ),
    World(
        "inputs of sizes",
        "inputs of sizes from a half to two, before layers of which the first has the smaller gradients",
        ("Descent",),
        _inputs_of_sizes,
        holds={TETHERS: ("share_in_layer", "explained_by_units", "repeatability")},
        parameters=FISHER,
        own=(TETHERS,),
    ),
    World(
        "moved by chance",
        "weights of one size that moved by chance",
        ("Descent",),
        _moved(told=False),
        only=(ABLATION,),
        parameters=MOVED,
    ),
    World(
        "moved where it matters",
        "weights of one size that moved least where inputs are always zero",
        ("Descent",),
        _moved(told=True),
        holds={ABLATION: ("rise", "advantage_over_magnitude")},
        parameters=MOVED,
    ),
    World(
        "drifting weights",
        "weights whose magnitudes walk at random, every edge alike",
        ("Descent",),
        drifting,
        only=("bookmark_stability",),
        holds={"bookmark_stability": ("last_with_first",)},
    ),
    World(
        "fresh weights",
        "weights that are drawn anew at each step",
        ("Descent",),
        fresh,
        only=("bookmark_stability", TETHERS),
        parameters={TETHERS: {"source": "magnitude"}},
    ),
    World(
        "staying weights",
        "weights that stay, with a tenth that is noise at each step",
        ("Descent",),
        staying,
        holds={"bookmark_stability": ("last_with_first",)},
    ),
    World(
        "unlike sources",
        "weights and movement that have nothing to do with each other",
        ("Descent",),
        unlike(_even),
        only=("tether_agreement",),
        parameters={"tether_agreement": {"sources": ("magnitude", "movement")}},
    ),
    World(
        "unlike sources, uneven neurons",
        "weights and movement that have nothing to do with each other, each with neurons of its own that are strong",
        ("Descent",),
        unlike(_uneven),
        only=("tether_agreement",),
        parameters={"tether_agreement": {"sources": ("magnitude", "movement")}},
    ),
    World(
        "alike sources",
        "a tenth of the movement's variance is along the weights",
        ("Descent",),
        unlike(_even, 0.1),
        holds={"tether_agreement": ("agreement",)},
        parameters={"tether_agreement": {"sources": ("magnitude", "movement")}},
    ),
    World(
        "unrelated networks",
        "three networks as they were initialized, each from a seed of its own",
        ("Models",),
        _networks(lambda rng, i: []),
        only=("tether_compatibility",),
    ),
    World(
        "unrelated networks, uneven neurons",
        "three networks without a relation, each with neurons of its own that are strong",
        ("Models",),
        _networks(lambda rng, i: [0.2 * _uneven(s, rng) for s in WIDTHS]),
        only=("tether_compatibility",),
    ),
)
