"""Questions that are kept on disk: what other sessions asked of the same data counts, once each, until it is set aside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from workbench.core import history, kept_questions
from workbench.core.evidence import Evidence
from workbench.core.lineage import roots
from workbench.core.run import Given, Run

SESSION = """
import os, signal, sys, numpy as np, workbench as wb
cloud = wb.PointCloud(np.random.default_rng(0).standard_normal((60, 5)))
wb.pca(cloud, n_null=19, n_boot=0)
wb.pca(cloud.sample(50), n_null=19, n_boot=0, whiten=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def cloud() -> wb.PointCloud:
    return wb.PointCloud(np.random.default_rng(0).standard_normal((60, 5)))


def run_of(parameter: int, digest: str = "d0") -> Run:
    return Run(
        method="mine", inputs=(Given("points", "rows", "PointCloud", digest),), parameters={"k": parameter}
    )


def answer(value: float = 0.0, draws: int = 9) -> tuple[Evidence, ...]:
    null = tuple(np.linspace(-1, 1, draws))
    return (
        Evidence(id="share", question="?", label="share", value=value, n=9, null="noise", null_values=null),
    )


def test_a_session_that_was_killed_counts_in_the_next_until_it_is_set_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = subprocess.run([sys.executable, "-c", SESSION], env={**os.environ}, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    history.forget()
    monkeypatch.setattr(history, "_forgotten", "")
    result = wb.pca(cloud(), n_null=19, n_boot=0)
    before = history.earlier()
    assert [(t.method, t.id) for t in before.tests] == [
        ("pca", "variance_explained")
    ]  # and not what is asked again
    assert "1 tests that earlier sessions made" in before.said
    findings = wb.Findings()
    (finding,) = findings.all
    p = result.evidence[0].p_value
    assert finding.q_value is not None and p is not None
    assert (
        finding.q_value == min(1.0, max(p, min(2 * p, before.tests[0].p)))
        and "earlier sessions" in findings.counted
    )
    history.forget()
    wb.pca(cloud(), n_null=19, n_boot=0)
    assert not history.earlier().tests and "set aside" in wb.Findings().to_json()["counted"]


def test_a_question_counts_once_and_the_answer_from_the_most_draws() -> None:
    for draws in (9, 99, 19):
        run = run_of(1)
        kept_questions.keep(
            replace(run, parameters={**run.parameters, "n_null": draws}), answer(2, draws), ["d0"]
        )
    kept_questions.keep(run_of(2), answer(), ["d0", "d1"])
    assert [t.draws for t in kept_questions.kept(["d0"])] == [99, 9]
    assert len(kept_questions.kept(["d0", "d1"])) == 2 and len(kept_questions.kept(["d1"])) == 1
    assert kept_questions.kept(["d2"]) == []


def test_nothing_is_kept_without_a_cache_nor_shared_between_families(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    kept_questions.keep(run_of(1), answer(), ["d0"])
    monkeypatch.setenv("WORKBENCH_FAMILY", "../other study")
    assert kept_questions.kept(["d0"]) == []
    kept_questions.keep(run_of(1), answer(), ["d0"])
    assert {p.parent.parent for p in cache.rglob("*.jsonl")} == {cache / "asked"}
    monkeypatch.delenv("WORKBENCH_FAMILY")
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    kept_questions.keep(run_of(2), answer(), ["d0"])
    assert kept_questions.kept(["d0"]) == []
    monkeypatch.delenv("WORKBENCH_NO_CACHE")
    assert len(kept_questions.kept(["d0"])) == 1


def test_a_torn_or_foreign_line_costs_itself_alone(cache: Path) -> None:
    kept_questions.keep(run_of(1), answer(), ["d0"])
    (file,) = cache.rglob("*.jsonl")
    line = file.read_bytes()
    file.write_bytes(line + b"[1]\n{\n" + line[: len(line) // 2])
    kept_questions.keep(run_of(2), answer(), ["d0"])
    assert len(kept_questions.kept(["d0"])) == 2
    file.write_bytes(b"\xff" * 10)
    assert kept_questions.kept(["d0"]) == []
    file.unlink()
    file.mkdir()
    kept_questions.keep(run_of(3), answer(), ["d0"])  # which costs the count, not the answer
    assert kept_questions.kept(["d0"]) == []


def test_a_file_stays_bounded_and_keeps_what_is_newest(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(kept_questions, "MOST_BYTES", 4000)
    for i in range(100):
        kept_questions.keep(run_of(i), answer(), ["d0"])
        (file,) = cache.rglob("*.jsonl")
        assert file.stat().st_size <= 4000
    tests = kept_questions.kept(["d0"])
    assert 5 < len(tests) < 100
    assert tests[-1].question == run_of(99).question


def test_the_subject_is_what_was_opened_or_made_whatever_was_taken_of_it() -> None:
    whole = cloud()
    history.forget()
    for asked in (whole, whole.sample(40), whole.sample(40).select(whole.sample(40).ids[:20])):
        wb.pca(asked, n_null=0, n_boot=0)
    assert {tuple(roots(a.run)) for a in history.asked()} == {(whole.digest,)}


@pytest.mark.slow
def test_a_kernel_counts_earlier_sessions_where_somebody_is_there_and_not_where_a_program_runs_it() -> None:
    from jupyter_client.manager import start_new_kernel

    kept_questions.keep(run_of(1), answer(), [cloud().digest])
    manager, client = start_new_kernel(kernel_name="python3", env={**os.environ})
    code = (
        "import numpy as np, workbench as wb\nfrom workbench.core import history\n"
        "cloud = wb.PointCloud(np.random.default_rng(0).standard_normal((60, 5)))\n"
        "wb.pca(cloud, n_null=19, n_boot=0)\n"
        "print(len(history.earlier().tests), history.earlier().counted)"
    )
    try:
        said: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            said.append(message["content"].get("text", ""))

        for there in (True, False):
            client.execute_interactive(code, allow_stdin=there, output_hook=hear, timeout=120)
        assert "".join(said).split("\n")[:2] == ["1 True", "0 False"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
