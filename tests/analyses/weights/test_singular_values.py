"""Singular values: planted directions are counted, scattered entries have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import assert_calibrated
from safetensors.numpy import save_file

import workbench as wb
from workbench.analyses.weights import singular_values as module
from workbench.core.errors import DataError
from workbench.numerics.spectra import edge_of_noise, effective_rank, noise_level, spectrum, stable_rank
from workbench.subjects.checkpoint import Matrix


def matrix(values: np.ndarray) -> Matrix:
    return Matrix("w", "w", "w", values)


def ask(values: np.ndarray, **parameters: int):
    return wb.singular_values.function(matrix(values), **{"n_null": 19, **parameters})


def planted(shape: tuple[int, int], strengths: list[float], seed: int = 0) -> np.ndarray:
    """Noise and directions whose strength is given in units of the noise's upper edge."""
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.standard_normal((n, len(strengths))))[0] for n in shape)
    edge = np.sqrt(shape[0]) + np.sqrt(shape[1])
    return rng.standard_normal(shape) + u * (np.array(strengths) * edge) @ v.T


def test_the_caveat_says_what_quantization_did() -> None:
    quantized = Matrix(
        "w", "w", "w", planted((40, 30), [3.0]), "4-bit blocks: values carry quantization noise"
    )
    said = wb.singular_values.function(quantized, n_null=0).caveat
    assert said.endswith("The matrix is stored in 4-bit blocks: values carry quantization noise.")


@pytest.mark.parametrize("strengths", [[3.0, 2.5, 2.0], [30.0, 1.4, 1.2], [1.2]])
def test_known_answer_planted_directions_are_counted(strengths: list[float]) -> None:
    """A weak direction is seen beside one that holds most of the matrix."""
    result = ask(planted((200, 120), strengths))
    ratio, count, _, _ = result.evidence
    assert count.value == len(strengths)
    assert result.caveat.startswith(f"{len(strengths)} of 120 singular values")
    assert ratio.p_value == 0.05
    assert ratio.value > strengths[0] * 0.9


def test_the_twin_with_signs_turned_has_no_direction() -> None:
    w = planted((200, 120), [3.0, 2.5, 2.0])
    twin = w * np.random.default_rng(5).choice([-1.0, 1.0], w.shape)
    assert ask(w).evidence[0].p_value == 0.05
    assert min(e.p_value for e in ask(twin).evidence) > 0.05


def test_known_answer_a_direction_below_the_transition_is_not_seen() -> None:
    """Under (n m)^(1/4) a direction moves no singular value out of the noise (Baik, Ben Arous and Peche)."""
    weak = 0.8 * (200 * 120) ** 0.25 / (np.sqrt(200) + np.sqrt(120))
    seen = [ask(planted((200, 120), [weak], seed), n_null=0).evidence[1].value for seed in range(20)]
    assert sum(seen) <= 4


def test_known_answer_the_null_band_is_marchenko_and_pasturs() -> None:
    rng = np.random.default_rng(1)
    result = ask(rng.standard_normal((400, 100)))
    assert abs(result.null_high[0] / (np.sqrt(400) + np.sqrt(100)) - 1) < 0.05
    assert abs(result.null_low[-1] / (np.sqrt(400) - np.sqrt(100)) - 1) < 0.1


def test_known_answer_ranks_of_equal_and_of_one_singular_value() -> None:
    assert np.isclose(stable_rank(np.ones(7)), 7)
    assert np.isclose(effective_rank(np.ones(7)), 7)
    one = np.array([3.0, 0, 0])
    assert (stable_rank(one), effective_rank(one)) == (1, 1)


def test_peer_is_numpys_decomposition() -> None:
    w = np.random.default_rng(2).standard_normal((30, 50)).astype(np.float32)
    assert np.allclose(ask(w).values, np.linalg.svd(w.astype(float), compute_uv=False), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("statistic", [0, 2, 3])
def test_calibrated_whatever_the_scales_of_rows_and_columns(statistic: int) -> None:
    def p(seed: int) -> float:
        rng = np.random.default_rng(seed)
        w = (
            rng.standard_t(5, (15, 10))
            * np.exp(rng.standard_normal((15, 1)))
            * np.exp(rng.standard_normal(10))
        )
        return ask(w, random_state=seed).evidence[statistic].p_value

    assert_calibrated(p)


def test_rows_of_different_scale_are_no_direction() -> None:
    """What permuted entries would have taken for one: the edge is passed, and by the drawn matrices too."""
    rng = np.random.default_rng(3)
    w = rng.standard_normal((60, 40)) * np.exp(rng.standard_normal((60, 1)))
    ratio, count, *_ = ask(w).evidence
    assert ratio.value > 1 and count.value >= 1
    assert ratio.null_name == "same_scales"
    assert min(ratio.p_value, count.p_value) > 0.1
    permuted = [spectrum(rng.permuted(w.ravel()).reshape(w.shape))[0] for _ in range(19)]
    assert spectrum(w)[0] > max(permuted)


def test_what_has_no_direction_is_refused() -> None:
    with pytest.raises(DataError, match="no direction"):
        ask(np.zeros((4, 4)))
    with pytest.raises(DataError, match="two rows"):
        ask(np.ones((1, 4)))


@pytest.mark.parametrize("shape", [(60, 60), (300, 40), (40, 300)])
def test_known_answer_noise_stays_under_its_edge_95_times_in_100(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    drawn = [spectrum(3.0 * rng.standard_normal(shape)) for _ in range(200)]
    levels = np.array([noise_level(s, shape) for s in drawn])
    assert levels.mean() == pytest.approx(3.0, rel=0.01)
    above = sum(s[0] > edge_of_noise(3.0, shape) for s in drawn)
    assert 2 <= above <= 22  # the middle 99.9 % of the binomial


def complex_noise(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


@pytest.mark.parametrize("shape", [(40, 40), (300, 40), (40, 300)])
def test_known_answer_complex_noise_stays_under_its_edge_95_times_in_100(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    drawn = [spectrum(3.0 * complex_noise(rng, shape)) for _ in range(200)]
    assert np.mean([noise_level(s, shape) for s in drawn]) == pytest.approx(3.0, rel=0.01)
    above = sum(s[0] > edge_of_noise(3.0, shape, of_complex=True) for s in drawn)
    assert 2 <= above <= 22  # the middle 99.9 % of the binomial


@pytest.mark.parametrize("large", [False, True])
def test_peer_complex_matrices_have_numpys_singular_values(
    large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(module, "WORK", 1e3)
    w = complex_noise(np.random.default_rng(7), (40, 30)).astype(np.complex64)
    w.real /= 1e3  # nearly all of it is imaginary
    save_file({"w": w}, tmp_path / "x.safetensors")
    result = wb.singular_values(wb.open(tmp_path / "x.safetensors"), n_components=9, n_null=3)
    assert np.allclose(result.values, np.linalg.svd(w, compute_uv=False)[:9], rtol=1e-5)


@pytest.mark.parametrize("shape", [(50, 20), (20, 50), (30, 30)])
def test_the_gram_matrix_gives_the_same_singular_values(shape: tuple[int, int]) -> None:
    w = np.random.default_rng(6).standard_normal(shape)
    assert np.allclose(spectrum(w), np.linalg.svd(w, compute_uv=False), rtol=1e-8)


@pytest.mark.parametrize(
    ("narrow", "off"), [(0, 1e-2), (1024, 1e-9)], ids=["at random", "by its Gram matrix"]
)
def test_a_large_matrix_is_decomposed_and_controlled_by_a_block(
    narrow: int, off: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORK", 1e5)
    monkeypatch.setattr(module, "NARROW", narrow)
    monkeypatch.setattr(module, "BLOCK", (150, 80))
    w = planted((300, 200), [6.0, 4.0, 3.0])
    result = ask(w, n_components=5)
    assert np.allclose(result.values[:3], np.linalg.svd(w, compute_uv=False)[:3], rtol=off)
    assert "150 x 80" in result.caveat
    assert result.caveat.startswith("3 of 200")
    assert result.evidence[0].n == 150
    assert result.evidence[0].p_value == 0.05
    assert not len(result.null_low)


def test_a_matrix_without_noise_answers() -> None:
    result = ask(np.outer(np.arange(1.0, 9), np.ones(5)))
    assert [e.value for e in result.evidence[1:]] == pytest.approx([1, 1, 1], rel=1e-3)
    constant = ask(np.ones((6, 4)))  # a mean is a direction that all entries share
    assert constant.evidence[2].value == pytest.approx(1)
    assert constant.evidence[2].p_value == 0.05
