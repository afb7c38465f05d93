"""Findings, curves and tables that join answers by the run, the question and what it is of."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from workbench.core import history
from workbench.core.errors import DataError, MissingError
from workbench.core.evidence import Evidence
from workbench.core.history import Asked
from workbench.core.run import Run
from workbench.evidence import answers, ask, ask_each, comparisons, difference, helping, since
from workbench.results.estimate import Estimate


def asked(*evidence: Evidence, key: str = "k", method: str = "mine") -> Estimate:
    """A result with a run, as if this process had asked it."""
    run = Run(method=method, version="1", subject="rows", subject_digest="0", parameters={"key": key})
    result = Estimate(title="Mine of rows", evidence=evidence, run=run)
    history.remember(Asked(run, result.evidence, result.outcome, result.title, 0.0, False))
    return result


def answer(value: float = 1.0, id: str = "share", of: str = "", **more: Any) -> Evidence:
    given = {"label": f"share of {of}", "question": "?", "n": 9, "null": "noise"}
    return Evidence(id=id, of=of, value=value, **{**given, **more})


LOW = tuple(np.linspace(-1, 1, 99))


def test_findings_count_every_question_asked_and_no_question_twice() -> None:
    history.forget()
    cloud = wb.circle(n=60, dimensions=6)
    kept = wb.pca(cloud, n_null=19, n_boot=19)
    wb.pca(cloud, n_components=3, n_null=19, n_boot=19)  # asked, and never looked at
    wb.pca(cloud, n_null=19, n_boot=19)
    findings = wb.Findings()
    assert len(findings.all) == 2
    findings.say("The plane", kept, "variance_explained")
    assert "q = 0.05" in findings.sentences[0]


def test_findings_say_when_nothing_is_there() -> None:
    history.forget()
    rng = np.random.default_rng(1)
    noise = {f"layer {i}": wb.pca(rng.standard_normal((80, 6)), n_null=19, n_boot=19) for i in range(3)}
    findings = wb.Findings()
    findings.compare("Shared structure", noise, "variance_explained")
    assert "nowhere distinguishable from chance" in findings.sentences[0]


def test_findings_refuse_what_is_not_in_the_correction() -> None:
    history.forget()
    with pytest.raises(wb.WorkbenchError, match="correction"):
        wb.Findings().of(questions([1.0]), "s0")


def test_the_interval_of_a_difference_covers_it_and_is_no_wider_than_need_be() -> None:
    rng = np.random.default_rng(0)

    def estimate(truth: float, error: float) -> Evidence:
        value = truth + error * rng.standard_normal()
        half = 1.96 * error
        return Evidence(
            question="?", id="s", label="s", value=value, n=9, interval=(value - half, value + half)
        )

    found = [difference(estimate(2.0, 0.3), estimate(1.5, 0.4)) for _ in range(2000)]
    covered = np.mean([e.interval is not None and e.interval[0] <= 0.5 <= e.interval[1] for e in found])
    assert 0.935 < covered < 0.965


def test_two_sets_of_results_are_contrasted_in_one_chart_and_one_finding() -> None:
    history.forget()

    def asked(scale: float) -> dict[str, Estimate]:
        clouds = {f"layer {i}": wb.circle(n=80, noise=scale, dimensions=4, random_state=i) for i in (1, 2)}
        return {n: wb.pca(c, n_null=19, n_boot=50, whiten=scale > 1) for n, c in clouds.items()}

    sharp, blurred = asked(0.01), asked(5.0)
    chart = wb.side_by_side({"sharp": sharp, "blurred": blurred}, "variance_explained", x_title="layer")
    assert chart.names == ("sharp", "blurred")
    assert chart.y.shape == chart.low.shape == chart.null_high.shape == (2, 2)
    found = wb.Findings()
    found.contrast("Sharp is flatter", sharp, blurred, "variance_explained", meaning="As it was made.")
    assert found.sentences[0].startswith("Sharp is flatter at all 2 of them, most at layer")
    assert "a difference of" in found.sentences[0]
    assert found.statements[0].meaning == "As it was made."
