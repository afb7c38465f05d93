"""Noise by its address: Philox's own known answers, covariances, and the same world alone, in a batch and in chunks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.medusa.counters import normals, philox
from workbench.numerics.medusa.noise import (
    Coloured,
    Correlated,
    Fractional,
    NoiseKind,
    Wiener,
    coarser,
    embedded,
    fractional_covariance,
    ou_step,
)

COVARIANCE = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.4], [0.0, -0.4, 0.5]])
KINDS = [Wiener(), Correlated(COVARIANCE), Coloured(3.0), Fractional(0.3, 100)]


def of(kind: object) -> str:
    return type(kind).__name__


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (
            (0xFFFFFFFF,) * 4,
            (0xFFFFFFFF,) * 2,
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_words_of_philox(
    counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    """Those that its authors published."""
    assert tuple(int(w) for w in philox(tuple(np.array(c) for c in counter), key)) == words


def test_the_numbers_are_normal_and_independent_of_their_neighbours() -> None:
    z = normals(7, 0, range(200), 5, range(60))
    assert kstest(z.ravel(), "norm").pvalue > 1e-3
    for one, next_one in ((z[1:], z[:-1]), (z[:, 1:], z[:, :-1]), (z[..., 1:], z[..., :-1])):
        for power in (1, 2):
            r = np.corrcoef((one**power).ravel(), (next_one**power).ravel())[0, 1]
            assert abs(r) < 4.5 / np.sqrt(one.size)
    other = normals(7, 1, range(200), 5, range(60))
    assert abs(np.corrcoef(z.ravel(), other.ravel())[0, 1]) < 4.5 / np.sqrt(z.size)


@pytest.mark.parametrize("kind", KINDS, ids=of)
def test_a_world_is_the_same_alone_in_a_batch_and_in_chunks(kind: NoiseKind) -> None:
    whole = kind.start(5, range(4), 3, 0.1).take(100)
    alone = kind.start(5, [2], 3, 0.1).take(100)
    parts = kind.start(5, [3, 2], 3, 0.1)
    chunks = [parts.take(37), parts.take(63)]
    assert np.array_equal(whole.dw[..., 2], alone.dw[..., 0])
    assert np.array_equal(whole.dw[..., 2], np.concatenate([c.dw for c in chunks])[..., 1])
    if whole.dz is not None and alone.dz is not None:
        assert np.array_equal(whole.dz[..., 2], alone.dz[..., 0])
    other = kind.start(6, [2], 3, 0.1).take(100), kind.start(5, [2], 3, 0.1, which=1).take(100)
    assert not any(np.array_equal(alone.dw, o.dw) for o in other)


def test_areas_have_their_covariance_and_longer_steps_are_the_same_path() -> None:
    fine = Wiener().start(0, range(40), 5, 0.25).take(400)
    assert fine.dz is not None
    found = np.cov(fine.dw.ravel(), fine.dz.ravel())
    h = 0.25
    np.testing.assert_allclose(found, [[h, h**2 / 2], [h**2 / 2, h**3 / 3]], rtol=0.02)
    long = coarser(fine, h, 4)
    assert long.dz is not None
    np.testing.assert_allclose(np.cov(long.dw.ravel(), long.dz.ravel()), [[1, 0.5], [0.5, 1 / 3]], rtol=0.04)
    np.testing.assert_allclose(long.dw.sum(0), fine.dw.sum(0), atol=1e-12)


def test_correlated_noise_has_its_covariance_and_may_be_singular() -> None:
    dw = Correlated(COVARIANCE).start(1, range(200), 3, 0.5).take(200).dw
    np.testing.assert_allclose(np.cov(dw.transpose(1, 0, 2).reshape(3, -1)), 0.5 * COVARIANCE, atol=0.02)
    one = np.array([[1.0, 2.0], [2.0, 4.0]])
    factor = Correlated(one).factor
    np.testing.assert_allclose(factor @ factor.T, one, atol=1e-12)
    assert factor[0, 1] == 0


@pytest.mark.parametrize("rate", [0.4, 5.0])
def test_coloured_noise_steps_exactly_however_long_the_step(rate: float) -> None:
    """Variance of ∫ξ over a time t, begun in the stationary state: t - (1 - exp(-θ t)) / θ; a long step is many short ones."""
    for h, steps in ((2.0, 1), (0.1, 20)):
        total = Coloured(rate).start(3, range(20_000), 1, h).take(steps).dw.sum(axis=0)
        expected = 2.0 + np.expm1(-rate * 2.0) / rate
        assert total.var() == pytest.approx(expected, rel=0.04)
    kept, moved, along, apart = ou_step(rate, 0.3)
    assert along**2 + apart**2 == pytest.approx(rate / 2 * (1 - kept**2))
    assert moved * along == pytest.approx(1 - kept)


@pytest.mark.parametrize("hurst", [0.2, 0.5, 0.85])
def test_fractional_noise_has_the_covariance_of_its_increments(hurst: float) -> None:
    """The circle's covariance is exact; draws agree with it."""
    circle = np.fft.ifft(embedded(hurst, 64)).real[:64]
    np.testing.assert_allclose(circle, fractional_covariance(hurst, np.arange(64)), atol=1e-12)
    h, worlds = 0.1, 6000
    dw = Fractional(hurst, 64).start(2, range(worlds), 2, h).take(64).dw
    found = np.einsum("anw,bnw->ab", dw, dw) / (2 * worlds) / h ** (2 * hurst)
    lags = np.abs(np.subtract.outer(np.arange(64), np.arange(64)))
    assert np.abs(found - fractional_covariance(hurst, lags)).max() < 6 / np.sqrt(2 * worlds)
    assert dw.sum(0).var() == pytest.approx((64 * h) ** (2 * hurst), rel=0.06)  # self-similar
    assert abs(np.corrcoef(dw[:, 0].ravel(), dw[:, 1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Fractional(1.0, 10), "hurst=1.0 .* above 0 and below 1"),
        (lambda: Fractional(0.4, 0), "steps=0"),
        (lambda: Coloured(0.0), "rate=0.0"),
        (lambda: Correlated(np.array([[1.0, 2.0], [2.0, 1.0]])), "lowest of this matrix is -1"),
        (lambda: Correlated(np.array([[1.0, 0.5], [0.2, 1.0]])), "symmetric"),
        (lambda: Correlated(np.eye(3)).start(0, [0], 4, 0.1), "3 nodes and the world has 4"),
        (lambda: Fractional(0.4, 5).start(0, [0], 1, 0.1).take(6), "5 steps, and step 6"),
    ],
)
def test_noise_that_can_not_be_is_refused(wrong, said: str) -> None:
    with pytest.raises((ParameterError, DataError), match=said):
        wrong()


def test_an_address_that_is_none_is_refused() -> None:
    for seed, steps, worlds in ((-1, range(1), [0]), (0, range(1), [-1]), (0, range(1), [2**32])):
        with pytest.raises(ValueError, match=r"seed|worlds"):
            normals(seed, 0, steps, 1, worlds)
