"""Equivalence: equal twins are proven, twins that one rounding broke are refuted by an input, and what is neither is untold."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from nets_of_units_for_tests import broken, net, of, twin
from torch import nn

import workbench as wb
from workbench.calibrating.planted.rectifiers import KINDS
from workbench.core.errors import DataError, ParameterError
from workbench.numerics.exact.equality import decide
from workbench.numerics.exact.evaluation import exact
from workbench.numerics.exact.reading import program_of
from workbench.numerics.exact.sampling import domain


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")


def asked(a: Any, b: Any, **parameters: Any) -> Any:
    return wb.equivalence(
        wb.open(a, name="a"), wb.open(b, name="b"), **{"n_samples": 2000, "effort": 2, **parameters}
    )


def by_fractions(module: nn.Sequential, x: np.ndarray) -> list[Fraction]:
    """The plain definition, in fractions: the oracle of counterexamples."""
    values = [Fraction(float(v)) for v in x]
    for m in module:
        if isinstance(m, nn.Linear):
            w, b = m.weight.tolist(), m.bias.tolist()
            values = [
                sum((Fraction(c) * v for c, v in zip(row, values, strict=True)), Fraction(s))
                for row, s in zip(w, b, strict=True)
            ]
        else:
            values = [max(v, Fraction(0)) for v in values]
    return values


RELU = [(6, 9, 3), (5, 8, 8, 2), (4, 6, 6, 6, 1)]


@pytest.mark.parametrize("widths", RELU, ids=str)
def test_known_answer_of_twins(widths: tuple[int, ...]) -> None:
    a = net(*widths)
    proven = asked(a, twin(a))
    assert proven.verdict == "proven" and not len(proven.counterexample)
    assert proven.evidence_of("shared_units").value == 1
    for layer in range(0, 2 * len(widths) - 2, 2):
        b = broken(twin(a), layer)
        refuted = asked(a, b)
        assert refuted.verdict == "refuted"
        x = refuted.counterexample
        assert by_fractions(a, x) != by_fractions(b, x)  # a real one
        assert refuted.first.shape == refuted.second.shape == (widths[-1],)


def test_known_answer_of_split_and_dead_units() -> None:
    a = net(5, 6, 2)
    w, b, v, c = (p.detach().numpy() for p in a.parameters())
    quarter = np.stack([v[:, 0] / 4, v[:, 0] * 3 / 4], 1)  # one unit split in two, exactly
    halves = quarter.astype(np.float32).astype(np.float64).sum(axis=1) == v[:, 0]
    quarter[~halves] = np.stack([v[:, 0] / 2, v[:, 0] / 2], 1)[~halves]
    more_w = np.vstack([w, w[:1], np.zeros((1, 5)), w[1:2], -w[1:2]])
    more_b = np.concatenate([b, b[:1], [-1.0], b[1:2], -b[1:2]])
    more_v = np.hstack([quarter[:, :1], v[:, 1:], quarter[:, 1:], np.ones((2, 1)), np.zeros((2, 2))])
    assert asked(a, of(more_w, more_b, more_v, c)).verdict == "proven"
    more_v[0, -1] = 2.0**-20
    assert asked(a, of(more_w, more_b, more_v, c)).verdict == "refuted"


def test_known_answer_of_a_linear_part() -> None:
    """relu(z) - relu(-z) = z, whichever z carries a linear part."""
    a = of([[1, 2], [-1, -2], [3, 1], [-3, -1]], [0.5, -0.5, 0, 0], [[1, -1, 2, -2]], [0])
    b = of([[7, 4], [-7, -4]], [0.5, -0.5], [[1, -1]], [0])
    assert asked(a, b).verdict == "proven"
    assert asked(a, of([[7, 4], [-7, -4]], [0.5, -0.5], [[1, -1]], [2.0**-30])).verdict == "refuted"


def test_a_difference_that_no_sample_meets_is_refuted_beside_its_hyperplane() -> None:
    a = of([[1, 0], [1, 1]], [-1e6, 0], [[1, 1]], [0])
    b = of([[1, 0], [1, 1]], [-1e6, 0], [[2.5, 1]], [0])
    refuted = asked(a, b)
    assert refuted.verdict == "refuted" and refuted.counterexample[0] > 1e6
    assert refuted.evidence_of("largest_difference").value == 0
    proven = asked(a, b, low=-100.0, high=100.0)  # where that unit is dead
    assert proven.verdict == "proven" and proven.domain == "inputs from -100 to 100"
    assert asked(a, b, low=-100.0, high=1.5e6).verdict == "refuted"


def test_a_solver_proves_what_coefficients_leave_open() -> None:
    """relu(relu(x) + relu(-x) - 1) is relu(|x| - 1); as relu(x - 1) + relu(-x - 1) it has other units."""
    a = of([[1], [-1]], [0, 0], [[1, 1]], [-1], [[1]], [0])
    b = of([[1], [-1]], [-1, -1], [[1, 0], [0, 1]], [0, 0], [[1, 1]], [0])
    proven = asked(a, b)
    assert proven.verdict == "proven" and "z3" in proven.how
    refuted = decide(
        program_of(a), program_of(of([[1], [-1]], [-1, -1], [[1, 0], [0, 1]], [0, 0], [[1, 1.5]], [0]))
    )
    assert refuted.verdict == "refuted" and refuted.point[0] < -1
    untold = asked(a, b, effort=0)
    assert untold.verdict == "untold" and "within 0" in untold.how and "2,000 inputs" in untold.how


@pytest.mark.parametrize("widths", [(4, 16, 16, 1), (3, 8, 8, 8, 2)], ids=str)
@pytest.mark.parametrize("kind", ["twins", "ordered", "seldom"])
def test_planted_pairs_are_decided_without_an_input_that_was_drawn_beforehand(
    kind: str, widths: tuple[int, ...]
) -> None:
    """A search finds where the unequal differ, also where no draw meets it; z3 proves which units are off."""
    for equal, verdict in ((True, "proven"), (False, "refuted")):
        pair = KINDS[kind](np.random.default_rng(1), widths, equal=equal)
        programs = [program_of(m) for m in (pair.first, pair.second)]
        told = decide(programs[0], programs[1], **domain(pair.low, pair.high))
        assert told.verdict == verdict, (kind, equal, told.how)
        if not equal:
            assert by_fractions(pair.first, told.point) != by_fractions(pair.second, told.point)


def test_a_unit_that_z3_proves_off_needs_that_proof() -> None:
    """The broken twin of settling: with the sign of a unit that does act, nothing is taken out."""
    from workbench.numerics.exact.expansion import Basis, difference, expand
    from workbench.numerics.exact.hunting import hunt
    from workbench.numerics.exact.settling import settled

    for equal in (True, False):
        pair = KINDS["ordered"](np.random.default_rng(1), (3, 8, 8, 1), equal=equal)
        basis = Basis(3)
        rest = difference(*(expand(program_of(m), basis)[-1] for m in (pair.first, pair.second)))
        signs = hunt(rest, basis, 0).signs if equal else dict.fromkeys(range(4, 4 + len(basis.functions)), -1)
        left, _, gone = settled(rest, basis, signs, 20)
        assert (gone > 0, any(left.rows)) == ((True, False) if equal else (False, True))


@pytest.mark.parametrize("act", [nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid])
def test_smooth_units_are_matched_or_refuted_by_a_proven_ball(act: type[nn.Module]) -> None:
    a = net(4, 6, 6, 2, act=act)
    b = twin(a, rescaled=False)
    assert asked(a, b).verdict == "proven"
    refuted = asked(a, broken(b))
    assert refuted.verdict == "refuted" and "+/-" in refuted.apart


@torch.no_grad()
def test_smooth_units_are_matched_up_to_sign() -> None:
    a = net(3, 4, 2, act=nn.Tanh)
    b = copy.deepcopy(a)
    for tensor in (b[0].weight, b[0].bias):
        tensor[1] *= -1
    b[2].weight[:, 1] *= -1
    assert asked(a, b).verdict == "proven"


class Residual(nn.Module):
    def __init__(self, order: list[int]) -> None:
        super().__init__()
        made = net(4, 8, 4, seed=5)
        self.norm, self.up, self.down, self.act = nn.LayerNorm(4), made[0], made[2], nn.GELU()
        with torch.no_grad():
            self.up.weight[:], self.up.bias[:] = self.up.weight[order], self.up.bias[order]
            self.down.weight[:] = self.down.weight[:, order]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(self.act(self.up(self.norm(x))))


def test_a_residual_block_with_a_norm() -> None:
    order = [3, 1, 0, 2, 7, 6, 5, 4]
    a, b = Residual(list(range(8))).eval(), Residual(order).eval()
    assert asked(a, b).verdict == "proven"
    with torch.no_grad():
        b.norm.weight[2] += 1e-6
    assert asked(a, b).verdict == "refuted"


def test_peer_z3_agrees_on_one_layer() -> None:
    """The solver, which knows nothing of hyperplanes, decides small pairs as coefficients do."""
    from workbench.numerics.exact.expansion import Basis, Rows, expand
    from workbench.numerics.exact.solving import nonzero_somewhere

    for seed in range(3):
        a = net(2, 3, 1, seed=seed)
        for b in (twin(a), broken(twin(a))):
            one, other = program_of(a), program_of(b)
            separate = [Basis(2), Basis(2)]
            value = expand(one, separate[0])[-1], expand(other, separate[1])[-1]
            pooled = Basis(2)  # the second network's functions under numbers of their own: nothing is matched
            shift = len(separate[0].functions)
            pooled.functions += [*separate[0].functions, *separate[1].functions]
            moved = {(k + shift if k > 2 else k): -c for k, c in value[1].rows[0].items()}
            power = min(v.power for v in value)
            row = {k: c << (value[0].power - power) for k, c in value[0].rows[0].items()}
            for k, c in moved.items():
                row[k] = row.get(k, 0) + (c << (value[1].power - power))
            answer, _ = nonzero_somewhere(Rows((row,), power), pooled, 20)
            assert {"nowhere": "proven", "somewhere": "refuted"}[answer] == decide(one, other).verdict


def test_exact_evaluation_agrees_with_fractions_and_torch() -> None:
    module = net(5, 7, 4, 2)
    x = np.random.default_rng(0).standard_normal(5)
    given = exact(program_of(module), [Fraction(float(v)) for v in x])
    assert given == by_fractions(module, x)
    with torch.no_grad():
        run = copy.deepcopy(module).double()(torch.as_tensor(x[None]))[0].numpy()
    np.testing.assert_allclose([float(v) for v in given], run, rtol=1e-12)


def test_rounding_is_within_its_bound() -> None:
    rounding = asked(net(30, 50, 5), net(30, 50, 5, seed=1)).evidence_of("rounding")
    assert rounding.interval is not None and 0 < rounding.value < rounding.interval[1] < 1e-3


def relu(x: torch.Tensor) -> torch.Tensor:
    """Another function of a known name."""
    return torch.relu(x) + 1


torch.fx.wrap("relu")


class Calls(nn.Module):
    def __init__(self, act: Any) -> None:
        super().__init__()
        self.one, self.act = nn.Linear(3, 3), act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return relu(self.one(x)) if self.act is None else self.act(self.one(x))


def test_functions_are_known_by_themselves_and_not_by_name() -> None:
    assert program_of(Calls(torch.nn.functional.relu).eval())[-1].kind == "relu"
    with pytest.raises(DataError, match="relu is a function that can't be read"):
        program_of(Calls(None).eval())


def test_what_cannot_be_read_is_named() -> None:
    plain = net(4, 6, 2)
    hooked = copy.deepcopy(plain)
    hooked[1].register_forward_hook(lambda m, i, o: o * 2)
    training = nn.Sequential(nn.Linear(4, 2), nn.Dropout())
    unread = nn.Sequential(nn.Linear(4, 6), nn.Softshrink(), nn.Linear(6, 2))
    for module, named in (
        (hooked, "1 has a hook"),
        (unread, "1 is a Softshrink"),
        (nn.Sequential(nn.Conv1d(4, 4, 1), nn.Linear(4, 2)), "0 is a Conv1d"),
    ):
        with pytest.raises(DataError, match=named) as refusal:
            asked(plain, module)
        assert "What can be read: Linear, ReLU" in str(refusal.value)
    with pytest.raises(DataError, match="training mode"):
        program_of(training.train())
    with pytest.raises(DataError, match="takes 4 numbers and gives 2"):
        asked(plain, net(5, 6, 2))
    with pytest.raises(ParameterError, match="low must be smaller"):
        asked(plain, plain, low=1.0, high=1.0)
    with torch.no_grad():
        plain[0].weight[0, 0] = float("nan")
    with pytest.raises(DataError, match=r"0\.weight has NaN"):
        asked(plain, net(4, 6, 2))


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_transformers_with_feed_forward_units_in_another_order(kind: str) -> None:
    from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel

    small = {
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vocab_size": 20,
    }
    torch.manual_seed(0)
    made: Any = BertModel(BertConfig(**small)) if kind == "bert" else LlamaModel(LlamaConfig(**small))
    a, b = made.eval(), copy.deepcopy(made)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        if kind == "bert":
            up, down = b.encoder.layer[1].intermediate.dense, b.encoder.layer[1].output.dense
            up.bias[:] = up.bias[order]
            rows = [up]
        else:
            rows, down = [b.layers[1].mlp.gate_proj, b.layers[1].mlp.up_proj], b.layers[1].mlp.down_proj
        for layer in rows:
            layer.weight[:] = layer.weight[order]
        down.weight[:] = down.weight[:, order]
    proven = asked(a, b)
    assert proven.verdict == "proven" and "hidden units lie in another order" in proven.how
    assert proven.evidence_of("tensors_alike").value < 1
    tokens = torch.arange(10)[None]
    with torch.no_grad():
        torch.testing.assert_close(
            a(tokens).last_hidden_state, b(tokens).last_hidden_state, rtol=1e-4, atol=1e-5
        )
        down.weight[0, 0] = torch.nextafter(down.weight[0, 0], torch.tensor(9.0))
    broken = asked(a, b)
    assert broken.verdict == "untold" and "1 of" in broken.how
    made.extra = nn.Linear(2, 2)
    with pytest.raises(DataError, match="Nor are the two of one shape"):
        asked(a.eval(), b)
