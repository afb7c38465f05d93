"""Descents whose law is known, in noise from white to a random walk, and updates that have a direction or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from workbench.calibrating.world import World
from workbench.numerics.descent_laws import LAWS, special_cases
from workbench.subjects.descents.trajectory import Trajectory

N = 240
SIZE = 0.1  # of the noise, on the logarithm

Noise = Callable[[np.random.Generator, int], np.ndarray]


def curve(log_loss: np.ndarray) -> tuple[Trajectory, ...]:
    """A descent of which the loss alone was recorded."""
    import pandas as pd

    return (Trajectory(pd.DataFrame({"loss": np.exp(log_loss)}), name="world"),)


def autoregressive(phi: float) -> Noise:
    """Noise that keeps ``phi`` of itself from step to step, of unit variance."""

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        from scipy.signal import lfilter

        new = rng.standard_normal(n)
        new[1:] *= np.sqrt(1 - phi**2)
        return np.asarray(lfilter([1.0], [1.0, -phi], new))

    return draw


def walk(rng: np.random.Generator, n: int) -> np.ndarray:
    """A random walk of about unit variance."""
    return np.asarray(np.cumsum(rng.standard_normal(n)) / np.sqrt(n / 6))


def smoothed(rng: np.random.Generator, n: int) -> np.ndarray:
    """White noise, each ten steps averaged, as logs are."""
    return np.asarray(np.convolve(rng.standard_normal(n + 9), np.ones(10), "valid") / np.sqrt(10))


def batches_and_wander(rng: np.random.Generator, n: int) -> np.ndarray:
    """White noise of batches, on a slow one."""
    return np.sqrt(0.5) * rng.standard_normal(n) + np.sqrt(0.5) * autoregressive(0.95)(rng, n)


def heavy(rng: np.random.Generator, n: int) -> np.ndarray:
    """Independent noise with heavy tails."""
    return rng.standard_t(3, n) / np.sqrt(3)


NOISES: Mapping[str, tuple[str, Noise]] = {
    "white noise": ("independent noise", autoregressive(0.0)),
    "phi 0.9": ("noise that keeps nine tenths of itself from step to step", autoregressive(0.9)),
    "phi 0.97": ("noise that keeps 97 % of itself from step to step", autoregressive(0.97)),
    "random walk": ("a random walk for noise", walk),
    "smoothed": ("noise averaged over ten steps", smoothed),
    "two speeds": ("independent noise on a slow one", batches_and_wander),
    "heavy noise": ("independent noise with heavy tails", heavy),
}


def steady(noise: Noise) -> Callable[[np.random.Generator], tuple[Trajectory, ...]]:
    """A descent that falls by the same share a step all along."""
    return lambda rng: curve(1 - 2 * np.arange(N) / N + SIZE * noise(rng, N))


def rests(noise: Noise, fall: float) -> Callable[[np.random.Generator], tuple[Trajectory, ...]]:
    """A descent that falls, rests for the third quarter and more, and falls again."""
    t = np.arange(N) / N
    moved = np.minimum(t, 0.4) + np.maximum(t - 0.75, 0)
    return lambda rng: curve(1 - fall * moved + SIZE * noise(rng, N))


def lawful(name: str, noise: Noise) -> Callable[[np.random.Generator], tuple[Trajectory, ...]]:
    """A descent from 2, or to a floor of 0.1, along one of the laws."""
    law = LAWS[name]
    shape = law.shape(np.arange(float(N)), *(OWN[p] for p in law.own))
    floor = 0.1 if law.floor else 0.0
    return lambda rng: curve(np.log(floor + (2 - floor) * shape) + 0.05 * noise(rng, N))


def updated(kept: float) -> Callable[[np.random.Generator], tuple[Trajectory, ...]]:
    """Weights that move in five directions, each update keeping ``kept`` of the one before."""

    def make(rng: np.random.Generator) -> tuple[Trajectory, ...]:
        import pandas as pd

        directions = rng.standard_normal((5, WEIGHTS))
        moves = rng.standard_normal((UPDATES, 5))
        for t in range(1, UPDATES):
            moves[t] = kept * moves[t - 1] + np.sqrt(1 - kept**2) * moves[t]
        path = np.vstack([np.zeros(WEIGHTS), np.cumsum(moves @ directions, axis=0)])
        table = pd.DataFrame({"loss": np.ones(len(path))})
        return (Trajectory(table, weights={t: {"a.w": w} for t, w in enumerate(path)}, name="world"),)

    return make


def told_from(name: str) -> tuple[str, ...]:
    """The questions whose answer is yes where a law holds: the curve is told from all that don't have it for a special case."""
    return tuple(f"misfit@{n}" for n in LAWS if n != name and name not in _cases(n))


def _cases(name: str) -> set[str]:
    cases = set(special_cases(name))
    return cases.union(*(_cases(c) for c in cases)) if cases else cases


OWN = {"time scale": 60.0, "exponent": 0.5, "stretch": 0.6}
UPDATES, WEIGHTS = 24, 60
LAW_NOISES = ("white noise", "phi 0.9")
DESCENT = ("Descent",)
PLATEAUS = ("plateaus",)
FOUND = {"plateaus": ("f_of_change@1", "f_of_change@2")}  # where the rest begins, and where it ends
WORLDS = (
    World(
        "few directions",
        "independent updates in five directions",
        DESCENT,
        updated(0.0),
        only=("update_alignment",),
    ),
    World(
        "kept direction",
        "updates in five directions, each with three tenths of the one before",
        DESCENT,
        updated(0.3),
        holds={"update_alignment": ("mean_cosine",)},
        parameters={"update_alignment": {"beside": "previous"}},
    ),
    *(
        World(name, f"one pace, and {says}", DESCENT, steady(noise), only=PLATEAUS, covers=name in LAW_NOISES)
        for name, (says, noise) in NOISES.items()
    ),
    World(
        "rest",
        "a rest, in independent noise",
        DESCENT,
        rests(autoregressive(0.0), 0.6),
        holds=FOUND,
        covers=True,
    ),
    World(
        "rest, phi 0.9",
        "a rest, in noise with φ = 0.9",
        DESCENT,
        rests(autoregressive(0.9), 3.0),
        holds=FOUND,
        covers=True,
    ),
    *(
        World(
            f"{law}, {noise}",
            f"{law}, in {NOISES[noise][0]}",
            DESCENT,
            lawful(law, NOISES[noise][1]),
            holds={"descent_law": told_from(law)},
            covers=True,
        )
        for law in LAWS
        for noise in LAW_NOISES
    ),
)
