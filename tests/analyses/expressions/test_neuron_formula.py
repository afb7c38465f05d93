"""Neuron formula: exact on the stored weights, ranked by what matters, refused where it can't be written out."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from workbench.core.errors import DataError, MissingError, ParameterError
from workbench.numerics.expressions.dag import Dag
from workbench.numerics.expressions.networks import layers_to, unit


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def planted() -> nn.Sequential:
    """A unit of 40 inputs that hears three of them."""
    made = nn.Sequential(nn.Linear(40, 2), nn.GELU())
    with torch.no_grad():
        made[0].weight.fill_(0.001)
        made[0].weight[1, [4, 17, 30]] = torch.tensor([2.0, -1.5, 1.0])
    return made


def test_known_answer_three_planted_terms_are_found_and_shuffled_weights_have_none() -> None:
    result = wb.neuron_formula(planted(), neuron=1, n_terms=3, n_null=99)
    assert set(result.terms[:3]) == {"x5", "x18", "x31"}
    cut, few = result.evidence
    assert cut.value < 0.01 and cut.p_value == few.p_value == 0.01
    even = wb.neuron_formula(planted(), neuron=0, n_terms=3, n_null=99)  # whose terms are all alike
    assert even.evidence[0].value > 0.5 and even.evidence[1].p_value > 0.5


def test_known_answer_the_formula_is_the_network_over_the_rationals() -> None:
    module = network()
    dag = Dag()
    root = unit(dag, layers_to(module, "2", 2), 1)
    x = [Fraction(n, 16) for n in (3, -7, 11, 2, -5, 8)]
    (w, b), (v, c) = (
        ([[Fraction(e) for e in row] for row in m.weight.tolist()], [Fraction(e) for e in m.bias.tolist()])
        for m in module[::2]
    )
    hidden = [
        max(sum(a * e for a, e in zip(row, x, strict=True)) + k, Fraction(0))
        for row, k in zip(w, b, strict=True)
    ]
    wanted = sum(a * h for a, h in zip(v[1], hidden, strict=True)) + c[1]
    assert dag.value(root, {f"x{j + 1}": e for j, e in enumerate(x)}) == wanted
    with torch.no_grad():
        module[0].weight[0, 0] = np.nextafter(module[0].weight[0, 0].item(), 9)
    broken = Dag()
    other = broken.value(
        unit(broken, layers_to(module, "2", 2), 1), {f"x{j + 1}": e for j, e in enumerate(x)}
    )
    assert hidden[0] == 0 or other != wanted


@pytest.mark.parametrize(("at", "depth"), [("0", 1), ("2", 2)])
def test_peer_is_the_module_itself(at: str, depth: int) -> None:
    module, x = network(), np.random.default_rng(1).standard_normal((50, 6))
    dag = Dag()
    root = unit(dag, layers_to(module, at, depth), 2)
    ours = dag.numeric(root, {f"x{j + 1}": x[:, j] for j in range(6)})
    with torch.no_grad():
        whole = module.double()(torch.tensor(x)) if depth == 2 else module.double()[:2](torch.tensor(x))
    assert np.allclose(ours, whole[:, 2].numpy(), atol=1e-12)


def test_the_error_is_the_cut_formulas_own_on_the_rows() -> None:
    rows = np.random.default_rng(2).standard_normal((80, 6))
    result = wb.neuron_formula(network(), rows, at="0", n_terms=2)
    layer = network()[0]
    w, b = layer.weight[0].detach().double().numpy(), float(layer.bias[0].detach())
    rows = rows.astype(np.float64)
    kept = np.argsort(-(rows.std(0) * abs(w)))[:2]
    cut = rows[:, kept] @ w[kept] + b + np.delete(rows, kept, 1).mean(0) @ np.delete(w, kept)
    whole = np.maximum(rows @ w + b, 0)
    assert result.errors[list(result.cuts).index(2)] == pytest.approx(
        np.sqrt(np.mean((np.maximum(cut, 0) - whole) ** 2)) / whole.std(), rel=1e-6
    )
    assert result.errors[-1] < 1e-12


def test_what_cannot_be_written_out_is_refused() -> None:
    for wrong, kind, said in [
        ({"at": "1"}, MissingError, "at='1' is no linear layer"),
        ({"neuron": 3}, ParameterError, "which has 3 units"),
        ({"depth": 3}, ParameterError, "Give depth=2"),
    ]:
        with pytest.raises(kind, match=said):
            wb.neuron_formula(network(), **wrong)
    with pytest.raises(DataError, match="takes 8 inputs"):
        wb.neuron_formula(network(), np.zeros((9, 7)))


def test_hostile_names_are_inert() -> None:
    module = nn.Sequential()
    module.add_module("<script>alert(1)</script>", nn.Linear(4, 2))
    shown = wb.neuron_formula(module, n_null=3).mimebundle()
    assert "<script" not in shown["text/html"] and "alert(1)</script" not in shown.get("text/latex", "")
