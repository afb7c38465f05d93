"""Labels are for people: whatever they say, the same answers are put together, in every place that does so."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from notebooks_for_tests import notebook

import workbench as wb
from widgets._compare import comparison
from workbench.core import history
from workbench.core.result import Result
from workbench.report import facts, manifest, page
from workbench.report.comparing import compare
from workbench.report.sweeps import values

FEW = {"n_null": 19, "n_boot": 9}


def relabelled(result: Result) -> Any:
    """The same answers under labels that look like others' data: a bracket, a comma, a word of the combining code."""
    other = [
        dataclasses.replace(e, label=f"F of change {i}, H0 (minus) of x = 5.08")
        for i, e in enumerate(result.evidence)
    ]
    return dataclasses.replace(result, title="Another title of nothing (at all)", evidence=tuple(other))


def test_findings_find_a_relabelled_answer_and_state_the_same_number() -> None:
    history.forget()
    result = wb.pca(wb.circle(n=60, dimensions=4), **FEW)
    for shown in (result, relabelled(result)):
        findings = wb.Findings()
        findings.say("The plane", shown, "variance_explained")
        findings.compare("Planes", {"a": shown}, "variance_explained")
        assert findings.of(shown, "variance_explained").evidence is result.evidence[0]
    charts = [wb.along({"a": r, "b": r}, "variance_explained") for r in (result, relabelled(result))]
    assert charts[0].y.tolist() == charts[1].y.tolist()


def test_settings_beside_each_other_share_a_line_whatever_it_is_called() -> None:
    result = wb.persistence(wb.circle(n=40), homology_dimensions=(0, 1), **FEW)
    table = comparison({1: result, 2: relabelled(result)})
    assert table.count("<tr>") == comparison({1: result, 2: result}).count("<tr>")
    assert "longest bar, H0" in table


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joins")
    path = notebook(
        folder / "n.ipynb",
        "import workbench as wb\ncloud = wb.circle(n=n, noise=0.1)\n"
        "bars = wb.persistence(cloud, n_null=19, n_boot=9)\nbars",
        "wb.pca(cloud, n_null=19, n_boot=9)",
        "found = wb.Findings()\nfound.say('A loop', bars, 'longest_bar', 'H1')\nfound",
        parameters="n = 40",
    )
    from workbench.report import report

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        return report(path, {}, folder / "out" / "n.html")


def _relabel(said: facts.ReportFacts) -> facts.ReportFacts:
    """What a manifest would say had every label been another."""

    def other(asked: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(a.model_copy(update={"label": f"{i}: of (x), y"}) for i, a in enumerate(asked))

    results = tuple(
        r.model_copy(update={"evidence": other(r.evidence), "title": "T of U"}) for r in said.results
    )
    assert said.findings is not None and "was run as a whole" in said.findings.counted
    findings = said.findings.model_copy(update={"questions": other(said.findings.questions)})
    return said.model_copy(update={"results": results, "findings": findings})


def test_reports_and_sweeps_compare_alike_with_alike(written: Path) -> None:
    said = facts.of(written)
    renamed = _relabel(said)
    assert [c.verdict for c in compare(renamed, said)] == ["identical", "identical"]
    assert list(values.of(said)) == list(values.of(renamed))
    keys = [k.name for k in values.of(said)]
    assert keys == ["persistence:longest_bar@H0", "persistence:longest_bar@H1", "pca:variance_explained"]
    columns, _, _ = values.columns([values.of(said), values.of(renamed)])
    assert [c.runs for c in columns] == [2, 2, 2]
    assert [c.label for c in columns] == [
        "persistence: longest bar, H0",
        "persistence: longest bar, H1",
        "pca: variance explained",
    ]


def test_a_sweep_corrects_over_all_its_runs_and_counts_what_they_share_once(written: Path) -> None:
    one = values.of(facts.of(written))
    own = [v.q for run in values.corrected_together([one]) for v in run.values()]
    alone = wb.correct()  # nothing of the report's kernel is known here
    assert not any(f.key in {v.key for v in one.values()} for f in alone)
    shared = values.corrected_together([one, one])
    assert [v.q for run in shared for v in run.values()] == own * 2
    (key, tested), *_ = one.items()  # one of two bars, and the other method's answer is another question
    strong = {**one, key: dataclasses.replace(tested, p=0.001)}
    assert values.corrected_together([strong])[0][key].q == pytest.approx(2 * 2 * 0.001)
    others = [{key: dataclasses.replace(tested, key=f"another {i}", p=0.9)} for i in range(9)]
    assert values.corrected_together([strong, *others])[0][key].q == pytest.approx(2 * 11 * 0.001)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("longest_bar", 2),
        ("longest_bar@H1", 1),
        ("persistence:longest_bar@h1", 1),
        ("persistence:*", 2),
        ("*", 3),
        ("pca:variance_explained", 1),
        ("variance", 0),
        ("umap:longest_bar", 0),
        ("variance explained by 2 components", 0),
    ],
)
def test_a_value_is_named_by_its_id_what_of_and_its_method(name: str, count: int, written: Path) -> None:
    columns, left, unknown = values.columns([values.of(facts.of(written))], [name])
    assert (len(columns), len(left)) == (count, 3 - count)
    assert unknown == ([] if count else [name])


def test_the_page_sets_questions_beside_their_figures(written: Path) -> None:
    import nbformat

    said = manifest.entry(written)
    assert said is not None
    executed = nbformat.read(written.with_suffix(".ipynb"), as_version=4)
    whole = page.render(executed, said)
    for i, question in enumerate(said["findings"]["questions"]):
        question["label"] = f"renamed {i}"
    assert (
        whole.count('<span class="verdict') == page.render(executed, said).count('<span class="verdict') == 3
    )


def test_a_manifest_of_another_format_is_refused_with_what_to_do(written: Path, tmp_path: Path) -> None:
    import json

    whole = json.loads((written.parent / manifest.NAME).read_text())
    said = whole["reports"][written.name]
    assert said["format"] == manifest.FORMAT
    for old in ({**said, "format": 1}, {k: v for k, v in said.items() if k != "format"}):
        with pytest.raises(
            wb.WorkbenchError, match=r"can't be read: another version .* Write the report again"
        ):
            facts.parse(json.dumps(old).encode(), "the manifest")
