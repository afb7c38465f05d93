"""Barriers that are known: none under a convex loss, and none to a permuted copy once its neurons are matched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.analyses.descent.interpolation_barrier import barriers
from workbench.core.errors import DataError
from workbench.numerics.neuron_alignment import permuted
from workbench.numerics.neuron_chain import chain_of
from workbench.subjects.descents.siblings import Siblings
from workbench.subjects.descents.step_weights import ArrayWeights
from workbench.subjects.descents.trajectory import Trajectory


@pytest.fixture(scope="module")
def siblings() -> Siblings:
    return wb.digits_siblings(models=3, width=16, depth=2, steps=60)


def with_weights(descent: Trajectory, change: object) -> Trajectory:
    """The same descent with the neurons of every step in another order."""
    states = {int(s): change(dict(descent.state(s))) for s in descent.weight_steps}  # type: ignore[operator]
    source = ArrayWeights(states, descent.parameter_names)
    return Trajectory(descent.table, replace(descent.record, weights=source, folder=None), name="permuted")


def test_known_answer_a_permuted_copy_has_a_barrier_that_matching_takes_away_exactly(
    siblings: Siblings,
) -> None:
    one = siblings[0]
    chain = chain_of(one.model)
    rng = np.random.default_rng(0)
    order = [rng.permutation(layer.width) for layer in chain[:-1]]
    copy = with_weights(one, lambda state: permuted(chain, state, order))
    for match in ("weights", "activations"):
        found = wb.interpolation_barrier(wb.siblings([one, copy]), match=match, n_null=19, n_boot=20)
        before, after, taken = found.evidence
        assert before.value > 0.1
        assert after.value == pytest.approx(0, abs=1e-9)
        assert after.p_value == 0.05
        assert taken.value == pytest.approx(before.value, abs=1e-9)


def test_known_answer_no_barrier_under_a_convex_loss() -> None:
    one, other = (wb.digits_descent(depth=0, steps=40, random_state=s) for s in (0, 1))
    other = other.with_probe(one.probe.x, one.probe.y, "cross_entropy")
    found = wb.interpolation_barrier(wb.siblings([one, other]), n_null=3, n_boot=3)
    assert found.evidence[0].value == found.evidence[1].value == 0
    line = found.y[:1] + found.x[:, None] * (found.y[-1:] - found.y[:1])
    assert (found.y <= line + 1e-9).all()


def test_peer_is_the_plain_loop_over_loaded_weights(siblings: Siblings) -> None:
    found = wb.interpolation_barrier(siblings, points=5, n_null=0, n_boot=0)
    step = int(siblings.weight_steps[-1])
    heights = []
    for i, j in ((0, 1), (0, 2), (1, 2)):
        a, b = (torch.from_numpy(siblings[k].weights(step).vector()) for k in (i, j))
        network = siblings[0].network(step)
        losses = []
        for t in np.linspace(0, 1, 5):
            torch.nn.utils.vector_to_parameters((1 - t) * a + t * b, network.parameters())
            losses.append(siblings.probe.evaluate(network).item())
        line = np.linspace(losses[0], losses[-1], 5)
        heights.append(max(losses - line))
    assert found.evidence[0].value == pytest.approx(np.mean(heights), rel=1e-4)


def test_matching_lowers_the_barrier_and_one_run_has_none(siblings: Siblings) -> None:
    before, after, taken = wb.interpolation_barrier(siblings, n_null=19, n_boot=40).evidence
    assert before.p_value == 0.1  # of the nine moments that there are in the second halves
    assert after.p_value == 0.05
    assert max(before.null_values) < 0.3 * before.value
    assert taken.interval[0] > 0


@pytest.mark.slow
def test_random_orders_are_no_better_than_each_other(siblings: Siblings) -> None:
    from helpers import assert_calibrated

    from workbench.analyses.descent.interpolation_barrier import Ways
    from workbench.core.evidence import monte_carlo_p
    from workbench.subjects.descents.siblings import Models

    view = siblings.view(Models)
    ways = Ways(view, chain_of(siblings[0].model), int(view.weight_steps[-1]), np.linspace(0, 1, 3), "cpu")

    def height(rng: np.random.Generator) -> float:
        return float(barriers(ways.losses(ways.states[0], ways.shuffled(1, rng)), ways.at))

    def p_value(seed: int) -> float:
        rng = np.random.default_rng(seed)
        return monte_carlo_p(height(rng), [height(rng) for _ in range(9)], "less")

    assert_calibrated(p_value, runs=40, level=0.1)


def test_barriers_are_heights_over_the_line_between_the_ends() -> None:
    at = np.linspace(0, 1, 5)
    assert barriers(np.array([1.0, 2.0, 4.0, 2.0, 3.0]), at) == 2
    assert barriers(np.array([3.0, 1.0, 0.0, 1.0, 3.0]), at) == 0


def test_a_network_that_is_no_chain_is_refused() -> None:
    class Residual(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.out = torch.nn.Linear(64, 64), torch.nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(x + self.inner(x).relu())

    probe = wb.digits_descent(width=4, depth=1, steps=5).probe
    made = []
    for seed in range(2):
        torch.manual_seed(seed)
        network = Residual()
        weights = {s: {n: p.detach().numpy() for n, p in network.named_parameters()} for s in range(2)}
        import pandas as pd

        one = Trajectory(pd.DataFrame({"loss": [1.0, 1.0]}), weights=weights, name=f"residual {seed}")
        made.append(one.with_model(network).with_probe(probe.x, probe.y, "cross_entropy"))
    with pytest.raises(DataError, match="Supported are chains"):
        wb.interpolation_barrier(wb.siblings(made))
