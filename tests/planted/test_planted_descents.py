"""Descents and siblings in which something was planted: that it is there, and that the tours say so and nothing false."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.calibrating.planted import descents, siblings
from workbench.report.touring import claims_of, count, kinds


def descent(kind: str) -> wb.Trajectory:
    made: wb.Trajectory = descents.opened(kind, 0)["descent"]
    return made


def moved(d: wb.Trajectory, a: int, b: int) -> float:
    return float(np.abs(d.weights(b).vector() - d.weights(a).vector()).max())


def test_nothing_moves_in_a_descent_that_stands_still_and_in_a_rest() -> None:
    still, rests = descent("still"), descent("rests")
    assert moved(still, *still.weight_steps[[0, -1]]) == 0
    inside = [s for s in rests.weight_steps if 0.4 * descents.STEPS <= s <= 0.75 * descents.STEPS]
    assert len(inside) > 1 and moved(rests, inside[0], inside[-1]) == 0
    assert moved(rests, *rests.weight_steps[[0, -1]]) > 0.1


def test_few_samples_with_labels_at_random_are_learned_by_heart_and_many_are_not() -> None:
    by_heart, many = (wb.memorization(descent(k), n_null=99).evidence[0] for k in ("by heart", "still"))
    assert by_heart.value > 0.7 and by_heart.p_value == 0.01
    assert many.p_value > 0.02


def test_a_descent_that_is_begun_again_loses_at_its_joint_what_it_had_learned() -> None:
    _, loss = descent("begun again").as_descent().curve("loss")
    at = descents.JOINT
    assert loss[at] > 2 > loss[at - 5 : at].mean()


def test_copies_are_one_network_and_dark_weights_change_nothing() -> None:
    one, other = siblings.KINDS["copies"].plant(0, 2, 20, "copies")
    x, _ = one.probe.tensors()
    networks = [t.network(20) for t in (one, other)]
    torch.testing.assert_close(networks[0](x), networks[1](x), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(networks[0][0].weight, networks[1][0].weight)
    dark = siblings.KINDS["dark"].plant(0, 2, 20, "dark")[0]
    x, _ = dark.probe.tensors()
    network = dark.network(20)
    before = network(x)
    large = network[0].weight.abs() == siblings.LARGE
    assert large.sum() == 16 * siblings.WIDTH
    with torch.no_grad():
        network[0].weight[large] = 0
    assert (network(x) == before).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["copies", "dark"])
def test_the_tour_of_tethers_claims_what_was_planted(kind: str) -> None:
    counted = count(kinds("tethers")[kind], [claims_of("tethers", kind, seed=1)])
    assert all(f["times"] for f in counted["found"].values()) and not counted["false"]


@pytest.mark.slow
@pytest.mark.parametrize("tour", ["descent", "tethers"])
def test_a_tour_claims_nothing_of_what_stood_still(tour: str) -> None:
    counted = count(kinds(tour)["still"], [claims_of(tour, "still", seed=s) for s in (1, 2)])
    assert counted["false"] <= 1
