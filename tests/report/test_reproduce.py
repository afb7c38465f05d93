"""A report is run again from its own manifest, and each result is said to be the same or not, and why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from notebooks_for_tests import notebook

from workbench import cli
from workbench.core.errors import FormatError, MissingError, ParameterError
from workbench.report import facts, manifest, report
from workbench.report.comparing import compare
from workbench.report.reproducing import find, reproduce

ASKS = "import workbench as wb\ncloud = wb.circle(n=n, noise=0.1, dimensions=4)\nflat = wb.pca(cloud, n_null=19, n_boot=9)\nflat"
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report, its executed notebook and manifest; the notebook lies elsewhere."""
    folder = tmp_path_factory.mktemp("report")
    path = notebook(
        folder / "n.ipynb",
        ASKS,
        "found = wb.Findings()\nfound.say('Flat', flat, 'variance_explained')\nfound",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        return report(path, {"n": 80}, folder / "out" / "flat.html")


def changed(page: Path, to: Path, change: Change) -> Path:
    """A copy of a page, with another manifest in it."""
    text = page.read_text()
    start = text.rindex(manifest.MARK) + len(manifest.MARK)
    end = text.index("</script>", start)
    said = json.loads(text[start:end])
    change(said)
    to.parent.mkdir(exist_ok=True, parents=True)
    to.write_text(text[:start] + json.dumps(said) + text[end:])
    return to


@pytest.mark.slow
def test_a_report_is_reproduced_without_the_cache(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["reproduce", str(page), "-o", str(tmp_path / "again"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [r["verdict"] for r in said["results"]] == ["identical"]
    assert said["notebook"].endswith("flat.ipynb")
    assert (said["findings_gone"], said["findings_new"]) == ([], [])
    again = facts.of(tmp_path / "again" / "flat.html")
    assert again.parameters == {"n": 80}
    assert again.results[0].run.started >= facts.of(page).started
    assert not (tmp_path / "cache" / "results").exists()
    assert json.loads((tmp_path / "again" / "flat.reproduction.json").read_text())["same"] is True


@pytest.mark.slow
def test_a_page_alone_says_that_its_notebook_is_missing_and_runs_the_one_named(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def elsewhere(said: dict[str, Any]) -> None:
        said["results"][0]["evidence"][0]["value"] *= 1.1
        said["results"][0]["run"]["device"] = "cuda"
        said["results"][0]["run"]["versions"]["numpy"] = "1.0"

    alone = changed(page, tmp_path / "sent.html", elsewhere)
    assert cli.main(["reproduce", str(alone)]) == 4
    assert "n.ipynb, digest" in (err := capsys.readouterr().err)
    assert "--notebook FILE" in err
    other = notebook(tmp_path / "other.ipynb", "open('ran', 'w')")
    assert cli.main(["reproduce", str(alone), "--notebook", str(other)]) == 4
    assert "is not the notebook" in capsys.readouterr().err
    named = str(page.parent.parent / "n.ipynb")
    assert cli.main(["reproduce", str(alone), "--notebook", named]) == 8
    out = " ".join(capsys.readouterr().out.split())
    assert "the device differs (cpu, was cuda)" in out
    assert "numpy" in out
    assert "0 identical, 0 equal within tolerance, 1 different" in out


def one(said: dict[str, Any]) -> dict[str, Any]:
    return said["results"][0]


CHANGES: list[tuple[str, Change, str, str]] = [
    ("nothing", lambda s: None, "identical", "identical"),
    (
        "last bits",
        lambda s: one(s)["evidence"][0].update(value=one(s)["evidence"][0]["value"] * (1 + 1e-9)),
        "within tolerance",
        "1e-06 allowed, in variance explained",
    ),
    (
        "array's bits",
        lambda s: one(s)["arrays"]["values"].update(digest="0"),
        "within tolerance",
        "of its 160 numbers compared",
    ),
    (
        "array",
        lambda s: one(s)["arrays"]["values"].update(digest="0", sample=[99.0]),
        "different",
        "the method itself varies",
    ),
    (
        "shape",
        lambda s: one(s)["arrays"]["values"].update(shape=[3], digest="0"),
        "different",
        "[80, 2], and was",
    ),
    (
        "input",
        lambda s: (one(s)["run"]["inputs"][0].update(digest="0"), one(s)["evidence"][0].update(value=0.1)),
        "different",
        "the input circle differs",
    ),
    (
        "method",
        lambda s: (one(s)["run"].update(version="0"), one(s)["evidence"][0].update(value=0.1)),
        "different",
        ", was 0)",
    ),
    (
        "threads",
        lambda s: (s.update(threads=64), one(s)["evidence"][0].update(value=0.1)),
        "different",
        "64 before",
    ),
    ("not a number", lambda s: one(s)["evidence"][0].update(value=None), "different", "was None"),
    ("another method", lambda s: one(s)["run"].update(method="umap"), "different", "shows no such result"),
    ("no arrays", lambda s: one(s).update(arrays={}), "identical", "identical"),
]


@pytest.mark.parametrize(("what", "change", "verdict", "said"), CHANGES, ids=[c[0] for c in CHANGES])
def test_what_changed_is_told_with_its_reason(
    what: str, change: Change, verdict: str, said: str, page: Path, tmp_path: Path
) -> None:
    before = facts.of(changed(page, tmp_path / "p.html", change))
    found = compare(before, facts.of(page))[0]
    assert found.verdict == verdict
    assert said in found.sentence()


def test_no_seed_is_a_reason_and_a_tolerance_is_taken(page: Path, tmp_path: Path) -> None:
    def unseeded(said: dict[str, Any]) -> None:
        one(said)["run"]["parameters"]["random_state"] = None
        one(said)["evidence"][0]["value"] *= 1.01

    after = changed(page, tmp_path / "p.html", unseeded)
    found = compare(facts.of(page), facts.of(after))[0]
    assert found.verdict == "different"
    assert "no seed was set" in found.sentence()
    assert compare(facts.of(page), facts.of(after), tolerance=0.1)[0].verdict == "within tolerance"


def test_the_executed_notebook_beside_a_page_counts_only_untouched(page: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(page, tmp_path / "flat.html"))
    beside = Path(shutil.copy(page.with_suffix(".ipynb"), tmp_path / "flat.ipynb"))
    assert find(copy, facts.of(copy), None) == beside
    cells = json.loads(beside.read_text())
    cells["cells"][-1]["source"] += ["\nimport os"]
    beside.write_text(json.dumps(cells))
    with pytest.raises(MissingError, match=r"flat\.ipynb is another"):
        find(copy, facts.of(copy), None)


def test_no_path_in_a_manifest_leads_out_of_the_pages_folder(page: Path, tmp_path: Path) -> None:
    outside = Path(shutil.copy(page.parent.parent / "n.ipynb", tmp_path / "n.ipynb"))
    inside = changed(page, tmp_path / "in" / "p.html", lambda s: s.update(notebook=f"../{outside.name}"))
    with pytest.raises(MissingError, match="is missing"):
        reproduce(inside)
    assert not (tmp_path / "in" / "p-reproduced").exists()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[]", FormatError),
        ("{", FormatError),
        ('{"notebook": 3}', FormatError),
        ("[" * 100_000, FormatError),
        (
            json.dumps(
                {
                    "format": 2,
                    "notebook": "n",
                    "notebook_digest": "0",
                    "parameters": {},
                    "started": "",
                    "seconds": 1,
                    "versions": {},
                    "results": [],
                    "threads": 10**9,
                }
            ),
            FormatError,
        ),
    ],
    ids=["list", "cut", "mistyped", "deep", "out of range"],
)
def test_a_damaged_or_hostile_manifest_is_refused_in_words(
    text: str, error: type[Exception], tmp_path: Path
) -> None:
    (tmp_path / "p.html").write_text(f"<html><body>{manifest.MARK}{text}</script></body></html>")
    with pytest.raises(error, match="can't be read"):
        facts.of(tmp_path / "p.html")


def test_a_page_without_a_manifest_and_an_output_over_the_page_are_refused(
    page: Path, tmp_path: Path
) -> None:
    (tmp_path / "p.html").write_text("<html></html>")
    with pytest.raises(MissingError, match="no manifest"):
        reproduce(tmp_path / "p.html")
    with pytest.raises(ParameterError, match="would take the place of"):
        reproduce(page, page.parent)
