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


def batches_and(slow: Noise, share: float) -> Noise:
    """White noise of batches, on a slow one that has ``share`` of the variance."""
    return lambda rng, n: np.sqrt(1 - share) * rng.standard_normal(n) + np.sqrt(share) * slow(rng, n)


def swinging(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise that swings every 12 steps or so, as with epochs."""
    from scipy.signal import lfilter

    x = np.asarray(lfilter([1.0], [1.0, -1.9 * np.cos(np.pi / 6), 0.95**2], rng.standard_normal(n + 200)))[
        200:
    ]
    return np.asarray(x / x.std())


def growing(rng: np.random.Generator, n: int) -> np.ndarray:
    """Independent noise that is five times as large at the end."""
    return np.asarray(rng.standard_normal(n) * np.geomspace(0.4, 2, n))


def growing_on_slow(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise that grows, on a slow one that doesn't."""
    return np.asarray(np.sqrt(0.5) * growing(rng, n) + np.sqrt(0.5) * autoregressive(0.95)(rng, n))


def growing_walk(rng: np.random.Generator, n: int) -> np.ndarray:
    """A random walk whose steps grow."""
    return np.asarray(np.cumsum(growing(rng, n)) / np.sqrt(n / 6))


def heavy(rng: np.random.Generator, n: int) -> np.ndarray:
    """Independent noise with heavy tails."""
    return rng.standard_t(3, n) / np.sqrt(3)


NOISES: Mapping[str, tuple[str, Noise]] = {
    "white noise": ("independent noise", autoregressive(0.0)),
    "phi 0.9": ("noise that keeps nine tenths of itself from step to step", autoregressive(0.9)),
    "phi 0.97": ("noise that keeps 97 % of itself from step to step", autoregressive(0.97)),
    "random walk": ("a random walk for noise", walk),
    "smoothed": ("noise averaged over ten steps", smoothed),
    "two speeds": ("independent noise on a slow one", batches_and(autoregressive(0.95), 0.5)),
    "slow tenth": (
        "independent noise on a tenth that keeps 97 % of itself",
        batches_and(autoregressive(0.97), 0.1),
    ),
    "walk for a quarter": ("independent noise on a quarter that is a random walk", batches_and(walk, 0.25)),
    "heavy noise": ("independent noise with heavy tails", heavy),
    "swinging noise": ("noise that swings every 12 steps or so", swinging),
    "growing noise": ("independent noise that grows fivefold", growing),
    "growing on slow": ("independent noise that grows fivefold, on a slow one that doesn't", growing_on_slow),
    "growing walk": ("a random walk whose steps grow fivefold", growing_walk),
}


def steady(noise: Noise) -> Callable[[np.random.Generator], tuple[Trajectory, ...]]:
    """A descent that falls by the same share a step all along."""
    return lambda rng: curve(1 - 2 * np.arange(N) / N + SIZE * noise(rng, N))


def rests(noise: Noise, fall: float) -> Callable[[np.random.Generator], tuple[Trajectory, ...]]:
    """A descent that falls, rests for the third quarter and more, and falls again."""
    t = np.arange(N) / N
    moved = np.minimum(t, 0.4) + np.maximum(t - 0.75, 0)
    return lambda rng: curve(1 - fall * moved + SIZE * noise(rng, N))


def bends(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    """A descent that comes to rest half-way."""
    t = np.arange(N) / N
    return curve(1 - 1.2 * np.minimum(t, 0.5) + SIZE * rng.standard_normal(N))


def lawful(name: str, noise: Noise) -> Callable[[np.random.Generator], tuple[Trajectory, ...]]:
    """A descent from 2, or to a floor of 0.1, along one of the laws."""
    law = LAWS[name]
    shape = law.shape(np.arange(float(N)), *(OWN[p] for p in law.own))
    floor = 0.1 if law.floor else 0.0
    return lambda rng: curve(np.log(floor + (2 - floor) * shape) + 0.05 * noise(rng, N))


def anew(noise: Noise) -> Callable[[np.random.Generator], tuple[Trajectory, ...]]:
    """A descent to a floor that begins anew half-way."""
    t = np.arange(float(N))
    shape = np.exp(-np.where(t < N // 2, t, t - N // 2) / (OWN["time scale"] / 2))
    return lambda rng: curve(np.log(0.1 + 1.9 * shape) + 0.05 * noise(rng, N))


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
PICTURES = "renormalization_pictures"
JOINED = {PICTURES: ("gain_of_joint", "gain_beside_other_joints")}
FEW = {PICTURES: {"positions": 2, "n_null": 19}}
LAW_NOISES = ("white noise", "phi 0.9")
DESCENT = ("Descent",)
PLATEAUS = ("plateaus",)
FOUND = {"plateaus": ("gain_of_change@1",)}  # a rest is two changes, which are asked for together
REST_AND_NOISE = {
    "rest": (0.6, "white noise"),
    "deeper rest": (1.2, "white noise"),
    "deepest rest": (2.4, "white noise"),
    "rest, phi 0.9": (3.0, "phi 0.9"),
    "rest, two speeds": (3.0, "two speeds"),
}  # how much the logarithm would fall without the rest, and in what noise
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
        World(name, f"one pace, and {says}", DESCENT, steady(noise), only=PLATEAUS)
        for name, (says, noise) in NOISES.items()
    ),
    World("bend", "one change, to rest, in independent noise", DESCENT, bends, holds=FOUND),
    *(
        World(
            name,
            f"a rest in a fall by {fall:g}, in {NOISES[noise][0]}",
            DESCENT,
            rests(NOISES[noise][1], fall),
            holds=FOUND,
        )
        for name, (fall, noise) in REST_AND_NOISE.items()
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
    *(
        World(
            f"one law, {noise}",
            f"an exponential with floor, in {NOISES[noise][0]}",
            DESCENT,
            lawful("exponential with floor", NOISES[noise][1]),
            only=(PICTURES,),
            parameters=FEW,
        )
        for noise in LAW_NOISES
    ),
    World(
        "begun anew",
        "an exponential with floor that begins anew half-way, in independent noise",
        DESCENT,
        anew(NOISES["white noise"][1]),
        holds=JOINED,
        parameters=FEW,
    ),
)
