"""Planted edges are found by the sources that can see them, and by magnitude where it is right; nulls are calibrated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import assert_calibrated
from planted_for_tests import (
    HIDDEN,
    INPUTS,
    MATTER,
    trajectory,
    where_magnitude_fails,
    where_magnitude_is_right,
)
from torch import nn

import workbench as wb
from workbench.core.errors import DataError, ParameterError, ViewError
from workbench.core.evidence import Evidence, monte_carlo_p
from workbench.numerics.ablation import differing_choices, sample_losses, sign_flips
from workbench.numerics.tethers import tether, top
from workbench.subjects.descents.places import at_step
from workbench.subjects.descents.trajectory import Descent

FOUR = (MATTER / (INPUTS * HIDDEN),)  # of the first layer; rounds to none of the second
SEEING = ("fisher_weight", "gradient_weight", "dropout")


def test_known_answer_planted_edges_are_found_where_magnitude_fails() -> None:
    descent, matters = where_magnitude_fails()
    place = at_step(descent.view(Descent))
    for source in SEEING:
        np.testing.assert_array_equal(
            top(tether(place, source), FOUR[0])["0.weight"], matters, err_msg=source
        )
    # Fisher information itself doesn't know how large a weight is: it finds the inputs and units that matter, not the edges
    block = np.zeros_like(matters)
    block[:MATTER, :MATTER] = True
    np.testing.assert_array_equal(top(tether(place, "fisher"), 16 / 96)["0.weight"], block)
    assert not (top(tether(place, "magnitude"), FOUR[0])["0.weight"] & matters).any()
    result = wb.tether_ablation(descent, sources=SEEING, fractions=FOUR)
    without = dict(place.weights, **{"0.weight": np.where(matters, 0, place.weights["0.weight"])})
    base, ablated = sample_losses(place, [place.weights, without], np.arange(len(place.probe)))
    for source in SEEING:
        assert result.evidence_of("rise", source).value == pytest.approx((ablated - base).mean(), rel=1e-5)
        gain = result.evidence_of("advantage_over_magnitude", source)
        assert gain.interval[0] > 0.5 and gain.p_value <= 0.02
        assert f"{source} better" in result.caveat
    alone = wb.tether_ablation(descent, sources=("magnitude",), fractions=FOUR)
    removed = alone.evidence_of("rise", "magnitude")
    assert removed.value == pytest.approx(0, abs=1e-6) and removed.p_value > 0.5


def test_known_answer_magnitude_wins_where_it_is_right() -> None:
    result = wb.tether_ablation(
        where_magnitude_is_right(), sources=("magnitude", "fisher_true", "fisher_weight"), fractions=(0.25,)
    )
    gain = result.evidence_of("advantage_over_magnitude", "fisher_true")
    assert gain.interval[1] < 0 and gain.p_value <= 0.02 and "fisher_true worse" in result.caveat
    assert result.evidence_of("rise", "magnitude").p_value == pytest.approx(0.01)
    descent = where_magnitude_is_right()
    w = descent.weights(10)["weight"].ravel().astype(float)
    gone = np.where(w >= np.sort(w)[-5], w, 0)
    residual = descent.probe.y[:, 0] - descent.probe.x @ w
    rise = 0.5 * (np.square(residual + descent.probe.x @ gone) - np.square(residual)).mean()
    assert result.evidence_of("rise", "magnitude").value == pytest.approx(rise, rel=1e-4)


def test_known_answer_keeping_is_the_other_side() -> None:
    descent, _ = where_magnitude_fails()
    kept = (20 / 96,)  # all that matter, and room for others
    result = wb.tether_ablation(
        descent, sources=("fisher_weight",), mode="keep", fractions=kept, scope="network"
    )
    assert result.evidence_of("rise", "fisher_weight").value < 0.1
    gain = result.evidence_of("advantage_over_magnitude", "fisher_weight")
    assert gain.value > 1 and gain.p_value <= 0.02


@pytest.mark.parametrize("amount", [0.1, 0.3])
def test_peer_torch_prunes_the_same_by_magnitude(amount: float) -> None:
    from torch.nn.utils import prune

    descent = where_magnitude_is_right()
    found = wb.tether_ablation(
        descent, sources=("magnitude",), mode="keep", fractions=(1 - amount,), n_null=0, n_boot=0
    )
    net = descent.network(10)
    base = descent.probe.evaluate(net).item()
    prune.l1_unstructured(net, "weight", amount)
    assert found.y[0, 0] == pytest.approx(descent.probe.evaluate(net).item() - base, rel=1e-4)


@pytest.mark.slow
def test_random_edges_are_no_finding_at_the_level() -> None:
    def p_value(seed: int) -> float:
        descent = where_magnitude_is_right(seed, n=24)
        result = wb.tether_ablation(
            descent, sources=("random",), fractions=(0.2,), n_null=19, n_boot=0, random_state=seed
        )
        return result.evidence_of("rise", "random").p_value

    assert_calibrated(p_value)


@pytest.mark.slow
def test_two_edges_that_matter_alike_are_no_finding_at_the_level() -> None:
    def p_value(seed: int) -> float:
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((60, 2))
        first, second = (
            0.5 * np.square(x[:, i]) for i in (0, 1)
        )  # what y = x₁ + x₂ loses without either edge
        gain = first - second
        null = tuple(sign_flips(gain, 99, seed))
        return Evidence(
            id="gain",
            question="",
            label="",
            value=gain.mean(),
            n=60,
            null="signs",
            null_values=null,
            alternative="two-sided",
        ).p_value

    assert_calibrated(p_value)


def test_two_random_choices_of_edges_are_no_finding_however_many_samples() -> None:
    """They do differ for good: signs of samples alone find it, more often than the level says."""
    rng = np.random.default_rng(0)
    alone = both = 0
    for seed in range(200):
        rises = 1 + 0.1 * rng.standard_normal(42)[:, None] + 0.3 * rng.standard_normal((42, 200))
        gain, others = rises[0] - rises[1], rises[2:].mean(axis=1)
        draws = differing_choices(gain, others, 99, seed), sign_flips(gain, 99, seed)
        p = [monte_carlo_p(float(gain.mean()), d.tolist(), "two-sided") for d in draws]
        both, alone = both + (p[0] <= 0.05), alone + (p[1] <= 0.05)
    assert alone > 60
    assert both <= 20


def test_edges_are_chosen_on_other_samples_than_they_are_judged_on() -> None:
    """With labels that are noise, edges chosen on the judged samples would seem to help; held out, they don't."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(30, 10), nn.ReLU(), nn.Linear(10, 1))
    descent = trajectory(
        net,
        rng.standard_normal((40, 30)).astype(np.float32),
        rng.standard_normal((40, 1)).astype(np.float32),
        "mse",
    )
    place = at_step(descent.view(Descent))
    result = wb.tether_ablation(descent, sources=("dropout",), fractions=(0.2,), n_null=0)
    seen = top(tether(place, "dropout"), 0.2)
    without = {n: np.where(m, 0, place.weights[n]) for n, m in seen.items()}
    base, ablated = sample_losses(place, [place.weights, without], np.arange(40))
    assert result.evidence[0].value < 0.5 * (ablated - base).mean()


def test_every_way_of_removing_and_measuring_answers() -> None:
    descent = wb.digits_descent(width=6, depth=1, steps=30)
    base = wb.tether_ablation(descent, sources=("magnitude",), fractions=(0.2,), n_null=3, n_boot=3)
    for change in ({"rest": "flatten"}, {"rest": "shuffle"}, {"measure": "error"}, {"scope": "network"}):
        other = wb.tether_ablation(
            descent, sources=("magnitude",), fractions=(0.2,), n_null=3, n_boot=3, **change
        )
        assert other.y[0, 0] != base.y[0, 0], change
    wrong = wb.tether_ablation(descent, sources=("magnitude",), measure="error", fractions=(0.99,), n_null=3)
    with torch.no_grad():
        x, y = descent.probe.tensors()
        error = (descent.network(30)(x).argmax(1) != y).double().mean().item()
    assert -error <= wrong.y[0, 0] <= 1 - error


def test_refuses_by_name() -> None:
    descent, _ = where_magnitude_fails(n=12)
    with pytest.raises(DataError, match="12 samples"):
        wb.tether_ablation(descent)
    descent, _ = where_magnitude_fails()
    with pytest.raises(ParameterError, match="'fishy' is no source"):
        wb.tether_ablation(descent, sources=("fishy",))
    with pytest.raises(ParameterError, match="named twice"):
        wb.tether_ablation(descent, sources=("fisher", "fisher"))
    with pytest.raises(ParameterError, match="fractions="):
        wb.tether_ablation(descent, fractions=())
    with pytest.raises(ViewError, match="without classes"):
        wb.tether_ablation(descent, measure="error")
    with pytest.raises(ViewError, match="its network"):
        wb.tether_ablation(wb.Trajectory(descent.table, weights={0: {"w": np.ones((3, 3))}}))
