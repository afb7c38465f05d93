"""Simplification: what was planted is left out, what is called proven is, and a wrong step is caught."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nets_of_units_for_tests import net, of
from torch import nn

import workbench as wb
from workbench.core.errors import DataError, FormatError, StorageError, ViewError
from workbench.numerics.exact import simplifying
from workbench.numerics.exact.reading import program_of
from workbench.numerics.exact.simplifying import module_of, multiply_adds, same_function, simplify


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")


def planted(seed: int = 0) -> nn.Sequential:
    """12 units over 5 inputs, of which 5 are needed: the next weights are eighths, so that every sum of two is a float."""
    rng = np.random.default_rng(seed)
    w, b = rng.standard_normal((12, 5)), rng.standard_normal(12)
    w[5], b[5] = 2 * w[0], 2 * b[0]  # a multiple
    w[6], b[6] = w[1], b[1]  # a repetition
    w[7] = w[8] = 0  # constants, one of them 0
    b[7], b[8] = -1, 0.5
    w[9:], b[9:] = rng.uniform(0, 1, (3, 5)), -50  # dead for inputs up to 1
    v = rng.integers(-16, 17, (3, 12)) / 8
    made = of(w, b, v, np.zeros(3))
    with torch.no_grad():  # exact multiples of what was rounded
        made[0].weight[5], made[0].bias[5] = 2 * made[0].weight[0], 2 * made[0].bias[0]
    return made


def test_known_answer_of_planted_units() -> None:
    a = wb.open(planted())
    everywhere = wb.simplification(a, n_samples=500)
    assert everywhere.proof == ("proven", "proven") and everywhere.units.tolist() == [2, 2]
    boxed = wb.simplification(a, low=-1.0, high=1.0, n_samples=500)
    assert boxed.units.tolist() == [5, 2] and boxed.domain == "inputs from -1 to 1"
    assert boxed.size.tolist() == [96, 56, 40]
    small = a.simplified(low=-1.0, high=1.0)
    assert small.module[0].out_features == 5
    proven = wb.equivalence(a, small, low=-1.0, high=1.0, n_samples=500)
    assert proven.verdict == "proven"
    assert (
        wb.equivalence(a, small, n_samples=500).verdict == "refuted"
    )  # beyond the box those units weren't dead
    assert wb.equivalence(a, a.simplified(), n_samples=500).verdict == "proven"


def test_peer_torch_gives_the_same_outputs() -> None:
    a = planted()
    small = wb.open(a).simplified(low=-1.0, high=1.0).module
    x = torch.rand(200, 5) * 2 - 1
    torch.testing.assert_close(small(x), a(x), rtol=1e-5, atol=1e-5)


def test_a_wrong_step_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken twin: a unit taken out as if it were constant."""
    monkeypatch.setattr(
        simplifying, "_constants", lambda rows: [simplifying._Move(0, None, simplifying.Fraction(0))]
    )
    with pytest.raises(DataError, match="its check failed"):
        wb.simplification(wb.open(planted()), n_samples=10)


def test_a_merge_that_rounds_is_not_called_proven() -> None:
    a = planted()
    with torch.no_grad():
        a[2].weight.normal_(generator=torch.Generator().manual_seed(0))
    told = wb.simplification(wb.open(a), n_samples=500)
    assert "rounded" in told.proof and 0 < told.effect[-1] < 1e-5
    assert "rounded" not in wb.simplification(wb.open(a), rounding=False, n_samples=500).proof
    assert wb.equivalence(wb.open(a), wb.open(a).simplified(), n_samples=500).verdict == "refuted"


@pytest.mark.parametrize("act", [nn.Tanh, nn.GELU, nn.SiLU, nn.Sigmoid])
def test_smooth_units_that_repeat_are_merged(act: type[nn.Module]) -> None:
    a = net(4, 6, 2, act=act)
    with torch.no_grad():
        a[0].weight[3], a[0].bias[3] = a[0].weight[2], a[0].bias[2]
        a[2].weight[:] = (a[2].weight * 64).round() / 64
        if act is nn.Tanh:  # which knows its negative
            a[0].weight[4], a[0].bias[4] = -a[0].weight[2], -a[0].bias[2]
    told = wb.simplification(wb.open(a), n_samples=200)
    assert told.units.tolist() == [2 if act is nn.Tanh else 1] and told.proof == ("proven",)


def test_norms_are_folded_and_linear_layers_joined() -> None:
    torch.manual_seed(0)
    a: Any = nn.Sequential(
        nn.Linear(8, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Linear(16, 8),
        nn.LayerNorm(8),
        nn.Linear(8, 6),
        nn.Linear(6, 2),
    ).eval()
    with torch.no_grad():
        for tensor in (a[1].running_mean, a[1].weight, a[1].bias, a[4].weight, a[4].bias):
            tensor.normal_()
        a[1].running_var.uniform_(0.5, 2)
    told = wb.simplification(wb.open(a), n_samples=500)
    assert told.what == ("normalization folded into a neighbour",) * 2 + ("linear layers made one",)
    assert set(told.proof) == {"rounded"} and told.effect.max() < 1e-5
    small = wb.open(a).simplified().module
    assert [type(m).__name__ for m in small] == ["Linear", "ReLU", "Linear", "LayerNorm", "Linear"]
    x = torch.randn(300, 8)
    torch.testing.assert_close(small(x), a(x), rtol=1e-4, atol=1e-4)


def test_a_rectifier_without_effect_leaves() -> None:
    a = of(np.eye(3) + 1, np.ones(3), np.eye(3) + 1, np.ones(3))  # nothing negative for inputs of 0 or more
    told = wb.simplification(wb.open(a), low=0.0, n_samples=200)
    assert told.what == ("activation without effect left out", "linear layers made one")
    assert told.proof == ("proven", "proven")
    assert len(wb.open(a).simplified(low=0.0).module) == 1


def test_exact_low_rank_is_proven_and_noise_is_none() -> None:
    rng = np.random.default_rng(0)
    base = rng.standard_normal((4, 40))
    w = np.vstack([base * s for s in (1, 2, -0.5, 4, -8, 0.25)]).astype(np.float32)  # 24 x 40 of rank 4
    a = nn.Sequential(nn.Linear(40, 24))
    with torch.no_grad():
        a[0].weight[:] = torch.tensor(w)
    (step,) = simplify(program_of(a))
    assert step.what == "matrix of rank 4 in two" and step.proof == "proven"
    assert same_function(program_of(a), step.program, None, None)
    with torch.no_grad():
        a[0].weight[0, 0] = torch.nextafter(a[0].weight[0, 0], torch.tensor(9.0))
    (step,) = simplify(program_of(a))  # within rounding of rank 4, and not of it
    assert step.proof == "rounded"
    assert not simplify(program_of(net(40, 24)))


def test_what_is_smaller_is_faster() -> None:
    """Of 512 units 64 are needed: more than twice as fast, in this thread's processor time, the two in turns."""
    rng = np.random.default_rng(0)
    w, b = rng.standard_normal((512, 128)), rng.standard_normal(512)
    w[64:], b[64:] = 0, -1
    a = of(w, b, rng.integers(-8, 9, (64, 512)) / 8, np.zeros(64))
    small = module_of(simplify(program_of(a))[-1].program)
    assert small[0].out_features == 64
    assert multiply_adds(program_of(small)) * 7 < multiply_adds(program_of(a))
    x = torch.randn(4096, 128)
    spent = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # others' threads, which a process's time counts too, aren't measured then
    with torch.no_grad():
        for _ in range(9):
            turn = []
            for module in (a, small):
                start = time.thread_time()
                for _ in range(5):
                    module(x)
                turn.append(time.thread_time() - start)
            spent.append(turn)
    torch.set_num_threads(threads)
    before, after = np.min(spent, axis=0)
    assert after < before / 2


def test_what_is_no_chain_is_refused_by_name() -> None:
    class Skips(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.one(x)

    with pytest.raises(DataError, match="add joins two paths"):
        wb.simplification(wb.open(Skips().eval()))


def test_double_precision_is_refused_rather_than_rounded() -> None:
    with torch.no_grad():
        a = net(3, 4, 2).double()
        a[0].weight += 1e-12
    with pytest.raises(DataError, match="0 holds weights in double precision"):
        wb.simplification(wb.open(a))
    assert wb.equivalence(wb.open(a), wb.open(a), n_samples=10).verdict == "proven"


def test_a_large_network_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.numerics.exact import expansion

    monkeypatch.setattr(expansion, "MOST", 10)
    with pytest.raises(DataError, match="has 72 weights; up to 10"):
        wb.simplification(wb.open(net(6, 8, 3)))
    untold = wb.equivalence(wb.open(net(6, 8, 3)), wb.open(net(6, 8, 3)), n_samples=10)
    assert untold.verdict == "untold"


def test_the_steps_are_cumulative() -> None:
    steps = simplify(program_of(planted()))
    sizes = [multiply_adds(s.program) for s in steps]
    assert sizes == sorted(sizes, reverse=True) and replace(steps[0]) == steps[0]


def normed() -> nn.Sequential:
    made = planted(3)
    chain = nn.Sequential(
        *made, nn.BatchNorm1d(3), nn.LeakyReLU(0.2), nn.Linear(3, 2, bias=False), nn.LayerNorm(2)
    )
    with torch.no_grad():
        chain[3].running_mean.copy_(torch.tensor([0.5, -1.0, 2.0]))
        chain[3].running_var.copy_(torch.tensor([0.5, 2.0, 1.5]))
    return chain.eval()


@pytest.mark.parametrize("make", [planted, normed])
def test_a_smaller_network_is_saved_and_opens_as_the_network_that_it_was(make: Any, tmp_path: Path) -> None:
    before = make()
    small = wb.open(before).simplified(low=-1.0, high=1.0, rounding=make is planted)
    small.save(tmp_path / "small")
    opened = wb.open(tmp_path / "small").network()
    x = torch.rand(50, 5) * 2 - 1
    with torch.no_grad():
        assert torch.equal(opened.module(x), small.module(x)), "the same to the last bit"
        assert torch.allclose(opened.module(x), before(x), atol=1e-5)
    assert opened.module[0].out_features == 5 and not opened.module.training
    if make is planted:
        assert wb.equivalence(wb.open(before), opened, low=-1.0, high=1.0, n_samples=500).verdict == "proven"
        assert wb.simplification(opened, low=-1.0, high=1.0, n_samples=50).units.sum() == 0
    twice = wb.open(tmp_path / "small").save(tmp_path / "again")
    assert (twice / "config.json").read_bytes() == (tmp_path / "small" / "config.json").read_bytes()


def test_another_shape_a_lie_and_another_module_are_refused(tmp_path: Path) -> None:
    small = wb.open(planted()).simplified()
    with pytest.raises(ViewError, match=r"simplified\(\), which can"):
        wb.open(planted()).save(tmp_path / "none")
    small.save(tmp_path / "small")
    with pytest.raises(StorageError, match="there already"):
        small.save(tmp_path / "small")
    config = tmp_path / "small" / "config.json"
    honest = json.loads(config.read_text())
    for change, said in (
        ({"width": 1 << 19}, "takes 8 numbers"),
        ({"width": 1 << 30}, "less than or equal"),
        ({"inputs": 6}, "tensors differ"),
        ({"kind": "__import__"}, "Input should be"),
    ):
        first, *rest = honest["layers"]
        config.write_text(json.dumps({**honest, "layers": [{**first, **change}, *rest]}))
        with pytest.raises(FormatError, match=said):
            assert wb.open(tmp_path / "small").network().module
