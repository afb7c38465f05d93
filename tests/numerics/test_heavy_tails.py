"""Power laws: planted exponents come back, lognormals aren't taken for them, and another library fits the same."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from workbench.numerics.heavy_tails import (
    Tail,
    against_lognormal,
    against_truncated,
    bend,
    like,
    tail,
    verdict,
)
from workbench.numerics.kernels.tails_cpu import best_start


def power_law(alpha: float, n: int, rng: np.random.Generator) -> np.ndarray:
    return np.exp(rng.standard_exponential(n) / (alpha - 1))


def fit(x: np.ndarray, least: int = 10) -> Tail:
    fitted = tail(x, least=least)
    assert fitted is not None
    return fitted


def p_value(x: np.ndarray, fitted: Tail, rng: np.random.Generator, draws: int = 19) -> float:
    distances = [fit(like(x, fitted, rng)).distance for _ in range(draws)]
    return (1 + sum(d >= fitted.distance for d in distances)) / (1 + draws)


@pytest.mark.parametrize("alpha", [1.5, 2.0, 2.5, 3.5, 5.0])
def test_known_answer_planted_exponents_come_back(alpha: float) -> None:
    rng = np.random.default_rng(int(10 * alpha))
    off = []
    for _ in range(30):
        fitted = fit(power_law(alpha, 1000, rng))
        off.append((fitted.alpha - alpha) / fitted.error)
    assert abs(np.mean(off)) < 0.75  # choosing the beginning costs a little beyond the standard error
    assert np.mean(np.abs(off) < 3) > 0.9


def test_known_answer_the_beginning_of_the_tail_is_found() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(0, 1, 600), power_law(2.5, 600, rng)])
    fitted = fit(x)
    assert fitted.start == pytest.approx(1, rel=0.15)
    assert fitted.alpha == pytest.approx(2.5, abs=4 * fitted.error)


def test_the_best_beginning_is_the_nearest_of_all() -> None:
    x = np.exp(np.random.default_rng(1).standard_normal(300))
    logs = np.sort(np.log(x))

    def distance(at: int) -> float:
        y = logs[at:] - logs[at]
        return float(np.abs(1 - np.exp(-y / y.mean()) - np.arange(len(y)) / len(y)).max())

    every = [distance(at) for at in range(len(x) - 9)]
    fitted = fit(x)
    assert fitted.distance == pytest.approx(min(every), rel=1e-12)
    assert fitted.n == len(x) - int(np.argmin(every))


@pytest.mark.filterwarnings("ignore:Standard error for the MLE:DeprecationWarning")  # its own use of itself
@pytest.mark.parametrize("sample", ["power law", "lognormal"])
def test_peer_powerlaw_fits_and_compares_alike(sample: str) -> None:
    powerlaw = pytest.importorskip("powerlaw")
    rng = np.random.default_rng(2)
    x = power_law(3.5, 300, rng) if sample == "power law" else np.exp(rng.standard_normal(300))
    peer = powerlaw.Fit(x, parameter_ranges={"alpha": [1.01, 20]}, verbose=False)  # else it clamps alpha at 3
    ours = fit(x, least=2)
    assert (ours.alpha, ours.start, ours.distance) == pytest.approx((peer.alpha, peer.xmin, peer.D), rel=1e-9)
    ratio, p = peer.distribution_compare("power_law", "lognormal")
    curved = against_lognormal(x, ours)
    assert (curved.ratio, curved.p_value) == pytest.approx((ratio, p), rel=1e-2, abs=1e-3)
    ratio, p = peer.distribution_compare("power_law", "truncated_power_law", nested=True)
    cut = against_truncated(x, ours)
    assert (cut.ratio, cut.p_value) == pytest.approx((ratio, p), rel=1e-2, abs=1e-3)


def test_alternatives_hold_the_power_law() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        x = power_law(2.2, 200, rng)
        fitted = fit(x)
        assert against_lognormal(x, fitted).ratio <= 1e-9
        assert against_truncated(x, fitted).ratio <= 0


def verdicts(draw, n: int, runs: int, seed: int) -> Counter[str]:
    rng = np.random.default_rng(seed)
    told: Counter[str] = Counter()
    for _ in range(runs):
        x = draw(rng, n)
        fitted = fit(x)
        others = against_lognormal(x, fitted), against_truncated(x, fitted)
        told[verdict(x, fitted, p_value(x, fitted, rng), others)] += 1
    return told


@pytest.mark.parametrize("n", [384, 1000])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_a_broken_twin_a_lognormal_is_told_apart_or_untold(n: int, sigma: float) -> None:
    told = verdicts(lambda rng, n: np.exp(sigma * rng.standard_normal(n)), n, 40, 4)
    assert told["power law"] <= 4  # the middle 95 % of the binomial at 5 %
    assert told["untold"] + told["lighter tail"] >= 30


@pytest.mark.parametrize("alpha", [2.0, 3.5])
def test_power_laws_are_called_so(alpha: float) -> None:
    told = verdicts(lambda rng, n: power_law(alpha, n, rng), 1000, 40, 5)
    assert told["power law"] >= 30


def test_a_shifted_exponential_is_no_power_law() -> None:
    rng = np.random.default_rng(6)
    x = 1 + rng.standard_exponential(2000)
    fitted = Tail(1 + 1 / float(np.log(x / x.min()).mean()), 0.0, float(x.min()), len(x), 0.0)
    assert against_truncated(x, fitted).p_value < 1e-3 and against_lognormal(x, fitted).p_value < 1e-3
    assert bend(x, fitted) > 0.5


def test_what_has_no_tail_has_no_answer() -> None:
    assert tail(np.ones(50)) is None
    assert tail(np.zeros(50)) is None
    assert tail(np.arange(1.0, 6)) is None
    assert tail(np.array([1.0] * 30 + [2.0] * 30)) is not None


@pytest.mark.parametrize("seed", range(4))
def test_the_beginning_is_that_of_trying_every_one(seed: int) -> None:
    """Beginnings are given up early and in another order; the answer is the plain search's, ties included."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(12, 900))
    samples = [
        rng.pareto(2, n) + 1e-9,
        np.round(rng.lognormal(0, 1, n), 1) + 0.1,
        np.concatenate([rng.uniform(0, 1, n - n // 4), rng.pareto(2, n // 4) + 1]),
        np.square(np.linalg.svd(rng.standard_normal((n // 4 + 12, n // 4 + 12)), compute_uv=False)),
    ]
    for x in samples:
        logs = np.sort(np.log(x))
        (at, distance), (every_at, nearest) = best_start(logs, 10), _every_beginning(logs, 10)
        assert at == every_at
        assert distance == pytest.approx(nearest, rel=1e-12)


def _every_beginning(logs: np.ndarray, least: int) -> tuple[int, float]:
    sums = np.append(np.cumsum(logs[::-1])[::-1], 0.0)
    best, nearest = 0, np.inf
    for i in range(len(logs) - least + 1):
        m = len(logs) - i
        spread = sums[i] / m - logs[i]
        if (i and logs[i] == logs[i - 1]) or spread <= 0:
            continue
        distance = np.abs(1 - np.exp(-(1 / spread) * (logs[i:] - logs[i])) - np.arange(m) / m).max()
        if distance < nearest:
            best, nearest = i, distance
    return best, nearest
