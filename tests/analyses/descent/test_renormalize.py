"""Renormalizations are compared with an untouched control, with chance and with mere restarts, and what is known comes out."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers import assert_calibrated
from workbench.analyses.descent import _arms
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError
from workbench.core.evidence import monte_carlo_p
from workbench.numerics.objectives import Probe
from workbench.numerics.optimizers import optimizer_of
from workbench.numerics.paired import sign_flips
from workbench.numerics.renormalizing import OPERATORS, PRESERVED, Settings
from workbench.numerics.stacked_training import batches
from workbench.results.ranking import Ranking
from workbench.subjects.descents.trajectory import Descent, Trajectory

QUICK = {"budget": 20, "repeats": 4, "n_null": 19, "device": "cpu"}


@pytest.fixture(scope="module")
def digits() -> Trajectory:
    return wb.digits_descent(width=12, depth=1, steps=80)


@pytest.fixture(scope="module")
def answer(digits: Trajectory) -> Ranking:
    return wb.renormalize(digits, **QUICK)


def table(result: Ranking) -> pd.DataFrame:
    return result.table().set_index("name")


def plan(**changes: Any) -> _arms.Plan:
    usual = {
        "operators": (),
        "budget": 10,
        "repeats": 3,
        "batch_size": 16,
        "settings": Settings(),
        "rate": 0.01,
        "factors": (),
        "arm_factor": 1.0,
        "make": partial(optimizer_of, "adam"),
        "state": None,
        "random_state": 0,
        "device": "cpu",
    }
    return _arms.Plan(**{**usual, **changes})


def test_known_answer_whitening_evens_out_a_bowl() -> None:
    """Gradient descent shrinks each error by 1 - rate · curvature; whitened, all by 1 - rate · mean curvature."""
    rate, budget = 0.05, 100
    bowl = wb.quadratic_descent(dimensions=8, condition=60, steps=30, learning_rate=rate)
    how = {
        **QUICK,
        "budget": budget,
        "batch_size": 4096,
        "rate_factors": (1.0,),
    }  # batches that all are nearly the whole
    found = table(wb.renormalize(bowl, **how, arm="whitening"))
    x, y = bowl.probe.x, bowl.probe.y
    _, s, directions = np.linalg.svd(x)
    fork = bowl.weights(int(bowl.weight_steps[-2]))["weight"].ravel()
    error, curvature = directions @ (fork - np.linalg.solve(x, y).ravel()), s**2 / len(x)
    control, whitened = (
        0.5 * (curvature * error**2 * (1 - rate * c) ** (2 * budget)).sum()
        for c in (curvature, curvature.mean())
    )
    assert found.loc["whitening"].iloc[0] == pytest.approx(control - whitened, rel=0.03)
    assert (
        found.loc["whitening", "low"] > 0 and found.loc["whitening", "outputs moved by"] < 1e-10
    )  # in float64
    # SGD has no state, so that a restart at the same rate is the control itself
    assert abs(found.loc["learning rate ×1"].iloc[0]) < 1e-12 and "restart" not in found.index


def test_known_answer_whitening_of_no_strength_is_a_mere_restart(digits: Trajectory) -> None:
    found = table(wb.renormalize(digits, **QUICK, arm="whitening", strength=0.0))
    assert found.loc["whitening"].iloc[0] == pytest.approx(found.loc["restart"].iloc[0], abs=1e-6)
    assert found.loc["restart"].iloc[0] != 0


def test_known_answer_whitening_of_no_strength_with_a_restart_of_its_own_is_that_restart(
    digits: Trajectory,
) -> None:
    found = table(
        wb.renormalize(digits, **QUICK, arm="whitening", strength=0.0, arm_rate=3.0, rate_factors=(3.0,))
    )
    assert found.loc["whitening"].iloc[0] == pytest.approx(found.loc["learning rate ×3"].iloc[0], abs=1e-5)


def test_peer_a_plain_loop_ends_at_the_same_losses(digits: Trajectory) -> None:
    network, training, held = digits.network(80), digits.training, digits.probe
    how = plan(operators=("weight_norm",))
    found = _arms.run(network, training, held, how)
    x, y = training.tensors(network)
    for seed in range(3):
        net = copy.deepcopy(network)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        for at in batches(len(training), 16, 10, (0, seed)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[at]), y[at]).backward()
            optimizer.step()
        assert found.control.losses[-1, seed] == pytest.approx(held.evaluate(net).item(), rel=1e-4)
        assert found.control.losses[0, seed] == pytest.approx(held.evaluate(network).item(), rel=1e-5)


@pytest.mark.slow
def test_null_a_control_with_other_batches_is_rejected_at_the_level(digits: Trajectory) -> None:
    runs, seeds = 200, 6
    small = wb.digits_descent(width=4, depth=1, steps=30)
    found = _arms.run(
        small.network(30), small.training, small.probe, plan(repeats=runs * seeds, budget=8, batch_size=8)
    )
    (other,) = (a for a in found.arms if a.name == _arms.OTHER)
    differences = (found.control.losses - other.losses)[-1].reshape(runs, seeds)
    assert np.abs(differences).min() > 0

    def p(seed: int) -> float:
        d = differences[seed]
        return monte_carlo_p(float(d.mean()), sign_flips(d, 199, seed), "two-sided")

    assert_calibrated(p, runs=runs)
    from workbench.numerics.paired import paired_interval

    low, high = paired_interval(differences.T)
    misses = int(((low > 0) | (high < 0)).sum())
    assert misses <= 22  # 99.9 % of a binomial with 0.05; Student's interval is no test of its own


def test_pairing_is_what_makes_small_differences_seen(digits: Trajectory) -> None:
    found = _arms.run(
        digits.network(80),
        digits.training,
        digits.probe,
        plan(repeats=16, factors=(1.2,), state=digits.optimizer_state(80)),
    )
    other, restart = found.arms[0], found.arms[1]
    paired = (found.control.losses - restart.losses)[-1].std()
    unpaired = (found.control.losses - other.losses)[-1].std()
    assert restart.name == "restart" and paired < unpaired


def test_invariants_are_checked_at_the_moment_of_acting(answer: Ranking) -> None:
    moved = table(answer)["outputs moved by"]
    for name, operator in OPERATORS.items():
        change = moved[_arms.NAMES.get(name, name.replace("_", " "))]
        assert (change <= PRESERVED) == operator.preserves, name
    assert moved["restart"] == 0
    start = answer.paths[:, 0]
    for name, path in zip(answer.names, start, strict=True):
        if moved[name] <= PRESERVED:
            assert abs(path) < 1e-5, name


def test_the_table_says_what_was_asked(answer: Ranking) -> None:
    found = table(answer)
    reference = answer.reference
    against = f"lower than {reference}"
    assert found.loc[reference, against] == 0
    restarts = [n for n in found.index if n == "restart" or n.startswith("learning rate")]
    assert found.iloc[:, 0][restarts].idxmax() == reference
    np.testing.assert_allclose(found[against], found.iloc[:, 0] - found.iloc[:, 0][reference], atol=1e-12)
    wide = found.loc["widening"]
    assert wide["operations"] > 1.1 and wide["parameters"] > found.loc["restart", "parameters"]
    assert wide["at equal operations"] != wide.iloc[0]
    assert found.loc["weight norm", "at equal operations"] == found.loc["weight norm"].iloc[0]
    raw = {e.of: e.p_value for e in answer.evidence if e.id == "below_control"}
    assert all(found["p (Holm)"][n] >= p for n, p in raw.items()) and set(raw) == set(answer.names)
    assert (found["rank at fork"] > 1).all() and (found["rank at end"] <= 12).all()
    assert "Batch norm left out" in answer.caveat and "gives the answer" in answer.caveat
    assert len(answer.paths) == len(answer.names) and answer.path_x[0] == 72


def test_same_batches_for_every_arm_but_the_other_s(digits: Trajectory) -> None:
    same = table(
        wb.renormalize(
            digits, **QUICK, arm="flattening", optimizer="sgd", learning_rate=1e-3, rate_factors=(1.0,)
        )
    )
    assert abs(same.loc["learning rate ×1"].iloc[0]) < 1e-9 < abs(same.loc["other batches"].iloc[0])


def test_too_few_seeds_to_find_anything_are_told(answer: Ranking, digits: Trajectory) -> None:
    assert answer.outcome.status == "stopped"  # 4 seeds, 12 arms
    assert "raise repeats to 9 and n_null to 480" in answer.outcome.advice
    enough = wb.renormalize(digits, **{**QUICK, "budget": 2, "repeats": 9, "n_null": 480}, arm="weight_norm")
    assert enough.outcome.status == "converged"


def test_figures_are_of_every_arm(answer: Ranking) -> None:
    drawn = answer.figure(paths=True)
    lines = [t for t in drawn.data if t.name]
    assert len(lines) == len(answer.names)
    titles = {a.text for a in drawn.layout.annotations}
    assert set(answer.names) <= titles
    assert len(answer.figure().data[0].y) == len(answer.names)


def test_an_arm_that_diverges_is_told_and_the_others_go_on() -> None:
    bowl = wb.quadratic_descent(dimensions=6, condition=5, steps=20, learning_rate=0.3)
    found = wb.renormalize(bowl, **{**QUICK, "budget": 400}, arm="flattening", rate_factors=(1.0, 100.0))
    assert "learning rate ×100: diverged with 4 of 4 seeds" in found.caveat
    assert "learning rate ×100" not in found.names and "other batches" in found.names
    with pytest.raises(DataError, match="The control itself diverged"):
        wb.renormalize(bowl, **{**QUICK, "budget": 400}, arm="flattening", learning_rate=50.0)


def test_without_training_data_the_probe_is_split(digits: Trajectory) -> None:
    bare = Trajectory(digits.table, copy.copy(digits.record), name="bare")
    object.__setattr__(bare.record, "training", None)
    found = wb.renormalize(bare, **QUICK, arm="weight_norm")
    assert "one half of the probe, 128 samples" in found.caveat
    training, held, _ = _arms.data_of(bare.view(Descent), 0)
    rows = {tuple(r) for r in training.x}
    assert not rows & {tuple(r) for r in held.x} and len(training) == len(held) == 128


def test_known_answer_it_forks_on_the_planted_plateau(digits: Trajectory) -> None:
    # between two modes as far apart as these, a deep linear network waits
    slow = wb.linear_descent(modes=(4.0, 0.3), initial=1e-3, steps=350, learning_rate=0.02, dimensions=4)
    (start, end), *_ = wb.plateaus(slow).spans[::-1]
    found = wb.renormalize(slow, **{**QUICK, "budget": 4}, arm="flattening", fork="plateau")
    forked = found.path_x[0]
    assert start <= forked <= end and forked == slow.weight_steps[slow.weight_steps >= start][0]
    with pytest.raises(DataError, match="no plateau"):  # it still falls
        wb.renormalize(digits, **QUICK, arm="flattening", fork="plateau")


def test_refusals_teach(digits: Trajectory) -> None:
    with pytest.raises(MissingError, match="no weights at step 81"):
        wb.renormalize(digits, step=81)
    with pytest.raises(ParameterError, match="matches no layer"):
        wb.renormalize(digits, **QUICK, layers="encoder.*")
    with pytest.raises(DataError, match="batch_norm acts on no layer"):
        wb.renormalize(digits, **QUICK, arm="batch_norm", layers="2")
    with pytest.raises(DataError, match="raise batch_size"):
        wb.renormalize(digits, **QUICK, arm="batch_norm", batch_size=1)
    record = copy.copy(digits.record)
    object.__setattr__(record, "model", None)
    with pytest.raises(ViewError, match="with_model"):
        wb.renormalize(Trajectory(digits.table, record, name="no network"))
    object.__setattr__(record, "model", digits.model)
    object.__setattr__(record, "about", {})
    with pytest.raises(ParameterError, match=r"optimizer='adam'"):
        wb.renormalize(Trajectory(digits.table, record, name="nothing said"), **QUICK)
    with pytest.raises(ParameterError, match=r"learning_rate="):
        wb.renormalize(
            Trajectory(digits.table.drop(columns="lr"), record, name="no rate"), **QUICK, optimizer="sgd"
        )


def test_convolutions_with_groups_and_tied_weights_are_left_out_by_name() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((64, 2, 4, 4)).astype(np.float32), rng.integers(0, 3, 64)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with wb.record(
        net, optimizer, weights_at=5, probe=(x[:32], y[:32]), loss="cross_entropy", training=(x, y)
    ) as run:
        for _ in range(10):
            optimizer.zero_grad()
            Probe.of(x, y, "cross_entropy").evaluate(net).backward()
            optimizer.step()
    found = wb.renormalize(run.trajectory, **QUICK)
    assert (
        "convolution in 2 groups" in found.caveat and "groups=2" in found.caveat
    )  # left out by factors, and by widening
    assert "whitening" in found.names and "widening" not in found.names
    assert "restart: nothing to forget" in found.caveat  # no optimizer state was recorded
