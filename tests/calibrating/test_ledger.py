"""The ledger that ships: every method that can be calibrated has an entry, each rate is in its bound, and a rerun agrees."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from workbench.calibrating import ledger, running
from workbench.calibrating.ledger import Rate
from workbench.calibrating.world import worlds_for
from workbench.core.method import Method
from workbench.core.registry import methods

METHODS = [m for m in methods() if worlds_for(m)]
UNMEASURED = {"synthetic_verdict"}
"""Methods that draw a null and have no data of known truth: this one only asks others, which have."""
RUNS, SECONDS = 40, 0.5  # of a rerun, and of one run at most: a longer one has its rates from elsewhere
LONG = 0.1  # seconds of a run from which half as many are made: a rate of a half instead of 1 in 20 is seen in 94 of 100 reruns


def test_a_method_that_draws_a_null_can_be_calibrated_or_is_known_not_to_be() -> None:
    drawing = {m.name for m in methods() if m.verb == "analysis" and "n_null" in m.parameters}
    assert drawing - {m.name for m in METHODS} == UNMEASURED


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_world_that_suits_a_method_has_its_entry(method: Method) -> None:
    assert {w.name for w in worlds_for(method)} == set(ledger.read(method.name))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_rate_is_in_its_bound(method: Method) -> None:
    outside = [
        f"{e.world}: {name}, claims {a.rejected}, intervals cover {a.covered}"
        for e in ledger.read(method.name).values()
        for name, a in e.answers.items()
        if not a.in_bounds
    ]
    assert not outside


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_a_rerun_agrees_with_the_highest_rate(
    method: Method, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    cells = [
        (a.rejected.value, e, name)
        for e in ledger.read(method.name).values()
        for name, a in e.answers.items()
        if a.rejected.of and not a.holds and e.seconds <= SECONDS
    ]
    if not cells:
        pytest.skip("no false claims were counted of it, or each run takes long")
    _, entry, name = max(cells, key=lambda c: (c[0], c[1].world, c[2]))
    (world,) = worlds_for(method, (entry.world,))
    runs = RUNS if entry.seconds <= LONG else RUNS // 2
    again = {
        s: running.run_once(method, world, s) for s in range(10_000, 10_000 + runs)
    }  # seeds that weren't counted
    rate = ledger.entry_of(method, world, again).answers[name].rejected
    assert agree(rate, entry.answers[name].rejected)


def agree(a: Rate, b: Rate) -> bool:
    """Whether two rates may be of one share (Fisher's exact test, 1 in 1,000)."""
    return bool(fisher_exact(np.array([[r.count, r.of - r.count] for r in (a, b)])).pvalue > 1e-3)
