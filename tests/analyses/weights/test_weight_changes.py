"""Weight changes: planted kinds of change are told apart, each from a broken twin; and their numbers are right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_calibrated
from safetensors.numpy import save_file

import workbench as wb
from workbench.core.errors import DataError
from workbench.numerics.floats import decode, encode
from workbench.numerics.noise_spectra import largest_of_noise
from workbench.results.weight_changes import VERDICTS, WeightChanges

SHAPES = {"a.weight": (96, 64), "a.bias": (96,), "b.weight": (48, 96), "b.bias": (48,)}
Weights = dict[str, np.ndarray]


def weights(seed: int) -> Weights:
    rng = np.random.default_rng(seed)
    return {n: (rng.standard_normal(s) / 8).astype(np.float32) for n, s in SHAPES.items()}


def matrices(
    w: Weights, change: Callable[[np.ndarray, np.random.Generator], np.ndarray], seed: int
) -> Weights:
    rng = np.random.default_rng([seed, 1])
    return {n: change(x, rng).astype(np.float32) if x.ndim == 2 else x for n, x in w.items()}


def bf16(w: Weights) -> Weights:
    return {n: decode(encode(x, "BF16"), "BF16") for n, x in w.items()}


def add_factors(x: np.ndarray, rng: np.random.Generator, size: float = 0.1, rank: int = 3) -> np.ndarray:
    d = rng.standard_normal((len(x), rank)) @ rng.standard_normal((rank, x.shape[1]))
    return x + d * (size * np.linalg.norm(x) / np.linalg.norm(d))


def add_noise(x: np.ndarray, rng: np.random.Generator, size: float = 0.1) -> np.ndarray:
    d = rng.standard_normal(x.shape)
    return x + d * (size * np.linalg.norm(x) / np.linalg.norm(d))


def a_little_noise(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return add_noise(x, rng, 0.05)


def change_some(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(x.shape) < 0.02, x + 0.1 * rng.standard_normal(x.shape), x)


def int8(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    step = np.abs(x).max(axis=1, keepdims=True) / np.float32(127)
    return np.rint(x / step).astype(np.float32) * step.astype(np.float32)


def int4_groups(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    groups = x.reshape(-1, 32)
    step = np.abs(groups).max(axis=1, keepdims=True) / 7
    return (np.rint(groups / step) * step).reshape(x.shape)


def swapped(w: Weights, seed: int) -> Weights:
    p = np.random.default_rng([seed, 2]).permutation(96)
    return {
        "a.weight": w["a.weight"][p],
        "a.bias": w["a.bias"][p],
        "b.weight": w["b.weight"][:, p],
        "b.bias": w["b.bias"],
    }


def retouched(w: Weights) -> Weights:
    return {n: x * np.float32(1.01) if x.ndim == 2 else x for n, x in w.items()}


# of each verdict some ways to come to it, and twins that look alike and aren't
PLANTED: list[tuple[str, str, Callable[[Weights, int], tuple[Weights, Weights]]]] = [
    ("the same", "identical", lambda w, s: (w, {n: x.copy() for n, x in w.items()})),
    ("one bit", "sparse", lambda w, s: (w, {**w, "a.weight": one_entry(w["a.weight"])})),
    ("an adapter", "low-rank", lambda w, s: (w, matrices(w, add_factors, s))),
    ("a small adapter in bfloat16", "low-rank", lambda w, s: (bf16(w), bf16(matrices(bf16(w), add_factors, s)))),
    ("noise of its norm", "trained on", lambda w, s: (w, matrices(w, add_noise, s))),
    ("noise in bfloat16", "trained on", lambda w, s: (bf16(w), bf16(matrices(bf16(w), lambda x, r: add_noise(x, r, 4e-4), s)))),
    ("a few entries", "sparse", lambda w, s: (w, matrices(w, change_some, s))),
    ("cast to bfloat16", "requantized", lambda w, s: (w, bf16(w))),
    ("cast to halves", "requantized", lambda w, s: (w, {n: x.astype(np.float16).astype(np.float32) for n, x in w.items()})),
    ("8 bits a row", "requantized", lambda w, s: (w, matrices(w, int8, s))),
    ("4 bits a group", "requantized", lambda w, s: (w, matrices(w, int4_groups, s))),
    ("noise of rounding's norm", "trained on", lambda w, s: (w, matrices(w, lambda x, r: add_noise(x, r, 2e-3), s))),
    ("neurons in another order", "permuted", lambda w, s: (w, swapped(w, s))),
    ("that, and larger", "permuted and trained on", lambda w, s: (w, retouched(swapped(w, s)))),
    ("that, and noise of a twentieth", "permuted and trained on", lambda w, s: (w, matrices(swapped(w, s), a_little_noise, s))),
    ("that, and an adapter", "permuted and trained on", lambda w, s: (w, matrices(swapped(w, s), add_factors, s))),
    ("that, of another seed", "unrelated", lambda w, s: (w, swapped(weights(s + 1000), s))),
    ("its entries in any order", "unrelated", lambda w, s: (w, matrices(w, lambda x, r: r.permuted(x.ravel()).reshape(x.shape), s))),
    ("another seed", "unrelated", lambda w, s: (w, weights(s + 1000))),
    ("half of another seed", "trained on", lambda w, s: (w, {n: x + 0.7 * weights(s + 1000)[n] for n, x in w.items()})),
]  # fmt: skip


def one_entry(x: np.ndarray) -> np.ndarray:
    out = x.copy()
    out[3, 5] += 1
    return out


def opened(w: Weights, path: Path):
    save_file({n: np.ascontiguousarray(x) for n, x in w.items()}, path)
    return wb.open(path)


def compare(before: Weights, after: Weights, folder: Path, **parameters) -> WeightChanges:
    asked = {"n_null": 0, **parameters}
    return wb.weight_changes.function(
        opened(before, folder / "before.safetensors"), opened(after, folder / "after.safetensors"), **asked
    )


def test_known_answer_confusion_table(tmp_path: Path) -> None:
    """What each way to change a network is called, of four seeds; -s prints it."""
    counts = np.zeros((len(VERDICTS), len(VERDICTS)), np.int64)
    wrong = []
    for seed in range(4):
        for name, verdict, make in PLANTED:
            result = compare(*make(weights(seed), seed), tmp_path)
            counts[VERDICTS.index(verdict), VERDICTS.index(result.verdict)] += 1
            if result.verdict != verdict:
                wrong.append((name, seed, verdict, result.verdict, result.reasons))
    print(f"\n{'planted':>24} {' '.join(f'{v[:12]:>12}' for v in VERDICTS)}")
    for verdict, line in zip(VERDICTS, counts, strict=True):
        print(f"{verdict:>24} {' '.join(f'{c:>12}' for c in line)}")
    assert not wrong and (counts.sum(axis=1) > 0).all()


def test_peer_numpy_norm_rank_spectrum_and_angles(tmp_path: Path) -> None:
    w = weights(0)
    after = matrices(w, add_factors, 0)
    result = compare(w, after, tmp_path, n_components=5)
    for i, name in enumerate(result.names[:2]):
        d = after[name].astype(float) - w[name]
        s = np.linalg.svd(d, compute_uv=False)
        assert result.norms[i] == pytest.approx(np.linalg.norm(d), rel=1e-6)
        assert result.relative[i] == pytest.approx(np.linalg.norm(d) / np.linalg.norm(w[name]), rel=1e-6)
        assert result.spectra[i, :3] == pytest.approx(s[:3], rel=1e-6)
        assert result.ranks[i] == 3
        assert result.verdicts[2] == "identical" and result.ranks[2] == 0


def test_angle_of_a_change_along_the_weights_own_direction_is_none(tmp_path: Path) -> None:
    w = weights(0)
    u, s, v = np.linalg.svd(w["a.weight"].astype(float), full_matrices=False)
    s[0] *= 3  # so that the leading direction stands out
    along = {**w, "a.weight": ((u * s) @ v).astype(np.float32)}
    further = {
        **along,
        "a.weight": (along["a.weight"] + s[0] * 0.1 * np.outer(u[:, 0], v[0])).astype(np.float32),
    }
    aside = {
        **along,
        "a.weight": (along["a.weight"] + s[0] * 0.1 * np.outer(u[:, -1], v[-1])).astype(np.float32),
    }
    assert compare(along, further, tmp_path).angles[0].max() < 1
    assert compare(along, aside, tmp_path).angles[0].min() > 80


def test_missing_extra_and_reshaped_tensors_are_named(tmp_path: Path) -> None:
    w = weights(0)
    other = {**w, "b.bias": np.ones(7, np.float32), "more": np.ones(3, np.float32)}
    del other["a.bias"]
    result = compare(w, other, tmp_path)
    assert (result.missing, result.extra, result.reshaped) == (("a.bias",), ("more",), ("b.bias",))


def test_untouched_is_told_from_a_change_without_directions(tmp_path: Path) -> None:
    """Minus zero is another bit pattern, of which the change has norm and rank 0."""
    w = {"w": np.zeros((8, 8), np.float32), "v": np.ones((8, 8), np.float32)}
    result = compare(w, {**w, "w": -w["w"]}, tmp_path)
    told = dict(zip(result.names, result.verdicts, strict=True))
    assert told["v"] == "identical" != told["w"]


def test_stacked_experts_are_compared_each_by_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stacked = rng.standard_normal((4, 60, 40)).astype(np.float32)
    tuned = stacked.copy()
    tuned[1] = add_factors(stacked[1], rng)
    name = "layers.0.mlp.experts.down_proj"
    for at, values in (("a", stacked), ("b", tuned)):
        save_file({name: values}, tmp_path / f"{at}.safetensors")
    changes = wb.weight_changes(
        wb.open(tmp_path / "a.safetensors"), wb.open(tmp_path / "b.safetensors"), n_null=0
    )
    of = dict(zip(changes.names, changes.verdicts, strict=True))
    assert of == {f"{name}.{e}": "low-rank" if e == 1 else "identical" for e in range(4)}
    assert changes.ranks[changes.names.index(f"{name}.1")] == 3


def test_not_finite_and_nothing_in_common_are_refused(tmp_path: Path) -> None:
    w = weights(0)
    broken = w["a.weight"].copy()
    broken[2, 3] = np.nan
    with pytest.raises(DataError, match=r"a\.weight of after holds nan at row 2, column 3"):
        compare(w, {**w, "a.weight": broken}, tmp_path)
    with pytest.raises(DataError, match="no tensor of one name and shape"):
        compare(w, {"z": w["a.bias"]}, tmp_path)


@pytest.mark.parametrize("shape", [(40, 24), (24, 40), (300, 7)])
def test_noise_is_drawn_in_its_law(shape: tuple[int, int]) -> None:
    """The bidiagonal short cut against whole matrices, by the two-sample test of Kolmogorov and Smirnov."""
    from scipy.stats import ks_2samp

    from workbench.numerics.noise_spectra import edge_of_entries
    from workbench.numerics.spectra import edge_of_noise

    rng = np.random.default_rng(0)
    fast = largest_of_noise(shape, rng, 400)
    slow = []
    for _ in range(400):
        x = rng.standard_normal(shape)
        level = np.sqrt(np.square(x).mean())
        slow.append(
            (
                np.linalg.norm(x, 2) / edge_of_noise(level, shape),
                np.abs(x).max() / (level * edge_of_entries(x.size)),
            )
        )
    for i in range(2):
        assert ks_2samp(fast[:, i], np.array(slow)[:, i]).pvalue > 1e-3


def test_is_calibrated_where_the_change_is_noise(tmp_path: Path) -> None:
    w = weights(0)

    def p_value(seed: int) -> float | None:
        result = compare(w, matrices(w, add_noise, seed), tmp_path, n_null=19, random_state=seed)
        return result.evidence_of("direction_over_noise").p_value

    assert_calibrated(p_value, runs=100)


def test_large_tensors_streamed_and_sketched_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done beyond the caps, asked of small tensors: rows read in blocks again, the largest values alone."""
    from workbench.analyses.weights import weight_changes as module
    from workbench.core import lazy
    from workbench.numerics import weight_changes as numerics

    w = weights(0)
    after = matrices(w, add_factors, 0)
    whole = compare(w, after, tmp_path, n_components=4)
    monkeypatch.setattr(module, "HELD", 0)
    monkeypatch.setattr(lazy, "BLOCK", 1000)
    streamed = compare(w, after, tmp_path, n_components=4)
    monkeypatch.setattr(numerics, "WORK", 0)
    sketched = compare(w, after, tmp_path, n_components=4)
    for other in (streamed, sketched):
        assert other.names == whole.names and other.verdicts == whole.verdicts
        assert other.ranks.tolist() == whole.ranks.tolist()
        assert other.spectra[:2, :3] == pytest.approx(whole.spectra[:2, :3], rel=1e-5)
    assert any("randomised" in r for r in sketched.reasons) and not any(
        "randomised" in r for r in streamed.reasons
    )
