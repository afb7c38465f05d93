"""The correction for the number of questions."""

from __future__ import annotations

import numpy as np

import workbench as wb
from workbench.core.evidence import Evidence
from workbench.results.estimate import Estimate


def questions(values: list[float]) -> Estimate:
    draws = tuple(np.linspace(-2, 2, 99))
    return Estimate(
        title="many",
        evidence=tuple(
            Evidence(question="?", id=f"s{i}", label=f"s{i}", value=v, n=10, null="noise", null_values=draws)
            for i, v in enumerate(values)
        ),
    )


def test_correction_is_benjamini_hochberg_by_its_definition() -> None:
    result = questions([3.0, 2.5, 1.9, 0.1, -1.0])
    p = np.array([e.p_value for e in result.evidence])
    expected = [min(1.0, *(pj * len(p) / (p <= pj).sum() for pj in p[p >= pi])) for pi in p]
    assert np.allclose([f.q_value for f in wb.correct([result])], expected)


def test_correction_keeps_the_false_discovery_rate() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(100):
        values = np.r_[np.full(5, 9.0), rng.standard_normal(20)]
        null = [tuple(rng.standard_normal(199)) for _ in values]
        evidence = tuple(
            Evidence(question="?", id=f"s{i}", label=str(i), value=v, n=1, null="noise", null_values=d)
            for i, (v, d) in enumerate(zip(values, null, strict=True))
        )
        found = [f.found for f in wb.correct([Estimate(evidence=evidence)], level=0.1)]
        shares.append(sum(found[5:]) / max(1, sum(found)))
    assert np.mean(shares) < 0.1 + 3 * np.std(shares) / 10


def test_what_has_no_null_is_never_found() -> None:
    lone = Estimate(evidence=(Evidence(question="?", id="s", label="s", value=3.0, n=4),))
    (finding,) = wb.correct([lone])
    assert finding.q_value is None and not finding.found
