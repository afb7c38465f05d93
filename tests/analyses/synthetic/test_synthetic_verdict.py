"""One call gives a data set and what the four methods say of it; a series that is given is judged in its place."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from workbench.calibrating.worlds.two_series import SWING, bootstrapped, linear
from workbench.core.errors import DataError

QUICK = {"n_null": 19, "n_boot": 0}


def swing(steps: int = 600) -> wb.TimeSeries:
    return wb.TimeSeries(linear(SWING)(np.random.default_rng(0), steps), name="mine", channels=["a"])


def test_known_answer_a_bootstrap_is_found_to_copy_and_a_run_of_the_process_is_not() -> None:
    real = swing(900)
    rng = np.random.default_rng(1)
    copy = wb.synthetic_verdict(
        real, wb.TimeSeries(bootstrapped(real.values[:600], 600, rng), channels=["a"]), **QUICK
    )
    run = wb.synthetic_verdict(real, wb.TimeSeries(linear(SWING)(rng, 600), channels=["a"]), **QUICK)
    assert copy.evidence_of("copied").value > 0.4 and copy.evidence_of("copied").p_value <= 0.05
    assert run.evidence_of("copied").value == 0 and run.evidence_of("told_apart").p_value > 0.05
    assert "0% of its windows are copies" in run.caveat and "may be chance" in run.caveat


def test_peer_the_four_methods_say_the_same() -> None:
    """What is made here is what `synthetic_series` makes of the same part, and each answer is that of its own method."""
    real = swing()
    found = wb.synthetic_verdict(real, n_null=0, n_boot=0)
    made = wb.synthetic_series(real, held_out=1 / 3)
    assert np.array_equal(found.y, np.column_stack([real.values, made.values]))
    assert found.names == ("a, real", "a, synthetic") and found.panels == ("a", "a")
    apart = [
        e
        for one in (wb.usefulness, wb.copying, wb.discriminator, wb.likeness)
        for e in one(real, made, n_null=0, **({"n_boot": 0} if one is wb.usefulness else {})).evidence
    ]
    assert [(e.name, e.value) for e in found.evidence] == [(e.name, pytest.approx(e.value)) for e in apart]


def test_refuses_a_series_that_is_too_short() -> None:
    with pytest.raises(DataError, match="mine before what is held out has 40 steps; from 50"):
        wb.synthetic_verdict(swing(60))
