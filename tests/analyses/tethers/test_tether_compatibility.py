"""Tether compatibility: planted sameness found, a peer for its numbers, nulls, what stands behind a line, and refusals."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

import workbench as wb
from tests.helpers import hand_made_descent
from workbench.core.errors import DataError, ParameterError, ViewError
from workbench.models.digits_descent import perceptron
from workbench.numerics.neuron_alignment import permuted
from workbench.numerics.neuron_chain import chain_of

FEW = {"n_null": 39, "steps": 1, "device": "cpu"}


@cache
def siblings(**how: object) -> wb.Siblings:
    return wb.digits_siblings(models=3, width=12, depth=2, steps=60, **how)


@cache
def twins() -> wb.Siblings:
    """A network, the same with its neurons in another order, and one that shares nothing with them."""
    torch.manual_seed(0)
    x, y = torch.randn(60, 20), torch.randint(0, 5, (60,))
    network = perceptron(20, [14, 11], 5)
    chain = chain_of(network)
    rng = np.random.default_rng(0)
    state = {n: t.detach().numpy() for n, t in network.state_dict().items()}
    other = permuted(chain, state, [rng.permutation(14), rng.permutation(11)])
    copy = perceptron(20, [14, 11], 5)
    copy.load_state_dict({n: torch.from_numpy(w.copy()) for n, w in other.items()})
    made = [hand_made_descent(n, x, y) for n in (network, copy, perceptron(20, [14, 11], 5))]
    return wb.siblings(made, name="twins")


@pytest.mark.parametrize("measure", ["cka", "procrustes", "cosine"])
@pytest.mark.parametrize("source", ["magnitude", "fisher", "weights", "activations"])
def test_known_answer_a_permuted_twin_is_the_same(measure: str, source: str) -> None:
    table = wb.tether_compatibility(twins(), sources=(source,), measure=measure, **FEW).table()
    pair = table[(table["from"].str.endswith("0")) & (table["to"].str.endswith("1"))]
    assert len(pair) == (2 if source == "activations" else 3)
    assert pair.compatibility.to_numpy() == pytest.approx(1, abs=1e-5)
    assert pair.above.all()
    others = table[table["to"].str.endswith("2") & ~table["from"].str.endswith("2")]
    assert (others.compatibility < 0.999).all()


def test_peer_of_the_first_layer_is_linear_cka() -> None:
    from workbench.numerics.similarity import alignment, centred, gram

    found = wb.tether_compatibility(siblings(), sources=("magnitude",), **FEW).table()
    a, b = (np.abs(t.weights(60)["0.weight"]).T.astype(float) for t in siblings().trajectories[:2])
    peer = alignment([centred(gram(v, "linear"), debiased=False) for v in (a, b)])[0, 1]
    assert found.compatibility.iloc[0] == pytest.approx(peer)


def test_trained_siblings_are_found_and_scrambled_ones_are_not() -> None:
    """The same images tie first layers together; what each network has in an order of its own doesn't."""
    for images, found in (("shared", True), ("scrambled", False)):
        result = wb.tether_compatibility(siblings(images=images), sources=("movement",), **FEW)
        first = result.evidence_of("between_networks", "movement")
        assert (first.p_value <= 0.05) == found, (images, first.p_value)


def test_what_samples_have_alike_counts_only_without_networks_on_the_same_samples() -> None:
    """Any two networks' Fisher information is large where pixels are: scrambled ones show it, and the other null allows for it."""
    above = {}
    for null in ("order", "networks", "auto"):
        table = wb.tether_compatibility(
            siblings(images="scrambled"), sources=("fisher",), null=null, **FEW
        ).table()
        first = table[table["from"].str.startswith("0 ")]
        above[null] = first[first["to"].str.startswith("0 ")].above
    assert len(above["order"]) == 3 and above["order"].all() and not above["networks"].all()
    assert above["auto"].tolist() == above["networks"].tolist()


def test_each_source_has_the_null_that_holds_for_it_and_says_which() -> None:
    result = wb.tether_compatibility(siblings(), sources=("magnitude", "fisher", "activations"), **FEW)
    nulls = {e.of: e.null for e in result.evidence}
    assert nulls == {
        "magnitude": "inputs in a random order",
        "fisher": "independent networks of the same statistics a neuron",
        "activations": "independent networks of the same statistics a neuron",
    }


def test_lines_have_edges_and_samples_behind_them() -> None:
    result = wb.tether_compatibility(siblings(), sources=("magnitude", "fisher"), n_null=19, steps=2)
    assert result.lines.shape == result.strong.shape == result.thresholds.shape == (2, 2 * (9 + 6))
    ids = set(siblings().ids.tolist())
    rows = result.behind(1, 0)
    assert 2 <= len(rows) < 40 and set(rows.tolist()) <= ids
    table = result.table()
    assert len(table) == 60 and table.behind.str.contains("tethered in both|neurons through").all()
    assert (result.strong == (result.lines > result.thresholds)).all()


def test_a_selection_of_samples_is_asked_about() -> None:
    threes = siblings().select("target == 3")
    result = wb.tether_compatibility(threes, sources=("fisher",), **FEW)
    assert set(result.behind(0, 0).tolist()) <= set(threes.ids.tolist())
    assert result.space == siblings().space


def test_too_few_draws_for_a_rate_are_said() -> None:
    result = wb.tether_compatibility(twins(), sources=("magnitude",), n_null=9, steps=1)
    assert not result.strong.any() and "n_null of at least 19" in result.caveat


def test_figure_has_a_slider_lines_and_rows() -> None:
    result = wb.tether_compatibility(siblings(), sources=("magnitude", "fisher"), n_null=19, steps=2)
    figure = result.figure()
    (slider,) = figure.layout.sliders
    assert [s.label for s in slider.steps] == list(result.frame_names)
    for step in slider.steps:
        shown = step.args[0]["visible"]
        assert len(shown) == len(figure.data) and 0 < sum(shown) < len(shown)
    lines = [t for t in figure.data if t.mode == "lines" and t.customdata is not None]
    assert any(t.line.dash == "dot" for t in lines) or result.strong.all()
    assert max(t.line.width for t in lines) > min(t.line.width for t in lines)


def test_refusals() -> None:
    with pytest.raises(ParameterError, match=r"'attention' is none of them.*fisher"):
        wb.tether_compatibility(siblings(), sources=("attention",))
    with pytest.raises(ParameterError, match="named twice"):
        wb.tether_compatibility(siblings(), sources=("fisher", "fisher"))
    with pytest.raises(ParameterError, match="names nothing"):
        wb.tether_compatibility(siblings(), sources=())
    with pytest.raises(ViewError, match="several descents"):
        wb.tether_compatibility(siblings()[0])

    class Residual(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = torch.nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.one(x)

    x, y = torch.randn(9, 4), torch.randint(0, 4, (9,))
    made = [hand_made_descent(Residual(), x, y) for _ in range(2)]
    with pytest.raises(DataError, match="residual"):
        wb.tether_compatibility(wb.siblings(made), sources=("magnitude",))
