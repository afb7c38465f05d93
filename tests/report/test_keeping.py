"""What lies beside a page: the results, as others read them, and all files of one run or a word about it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from notebooks_for_tests import notebook
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from workbench import cli
from workbench.core import cache
from workbench.core.digest import digest_file
from workbench.report import facts, keeping, manifest, report
from workbench.report.comparing import compare
from workbench.report.reproducing import _both, reproduce

ASKS = (
    "import workbench as wb\ncloud = wb.circle(n=n, noise=0.1, dimensions=4)\nwb.pca(cloud, n_null=19, n_boot=9)",
    "wb.spectral_clustering(cloud, n_clusters=3)",
    "wb.persistence(cloud, n_null=9, n_boot=9)",
)


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it is renamed."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        path = notebook(folder / "n.ipynb", *ASKS)
        report(path, {"n": 60}, folder / "known" / "n.html")  # what others ask later is in the cache
        return report(path, {"n": 80}, folder / "out" / "n.html")


@pytest.fixture
def copied(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same in a folder of its own, with the cache it was made from."""
    shutil.copytree(page.parent.parent, tmp_path / "copy")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "copy" / "cache"))
    return tmp_path / "copy" / "out" / "n.html"


def test_results_open_as_parquet_and_safetensors_and_are_the_results(copied: Path) -> None:
    said = facts.of(copied)
    assert [r.run.method for r in said.results] == ["pca", "spectral_clustering", "persistence"]
    for result in said.results:
        kept = cache.lookup(result.run.key)
        assert kept is not None
        table = pq.read_table(copied.parent / result.files.table).to_pandas()
        pd.testing.assert_frame_equal(table, keeping.frame(kept), check_column_type=False)
        pd.testing.assert_frame_equal(
            table, kept.table(), check_column_type=False, check_dtype=False, check_names=False
        )
        arrays = load_file(copied.parent / result.files.arrays)
        assert set(arrays) == {n for n, v in vars(kept).items() if isinstance(v, np.ndarray) and v.size}
        assert all(
            np.array_equal(v, getattr(kept, n), equal_nan=v.dtype.kind == "f") for n, v in arrays.items()
        )
        with safe_open(copied.parent / result.files.arrays, framework="numpy") as file:
            assert file.metadata()["run"] == result.run.key
    text = copied.read_text()
    assert all(
        name in text for name in ("n.ipynb", "manifest.json", "n.results/", said.results[0].files.table)
    )


def test_the_manifest_has_every_files_digest(copied: Path) -> None:
    recorded = json.loads((copied.parent / "manifest.json").read_text())["reports"]["n.html"]["files"]
    there = [p.relative_to(copied.parent).as_posix() for p in copied.parent.rglob("*") if p.is_file()]
    assert sorted(recorded) == sorted(set(there) - {"manifest.json"})
    assert all(digest_file(copied.parent / name) == d for name, d in recorded.items())
    assert keeping.mixed(copied, facts.of(copied)) == ()


@pytest.mark.slow
@pytest.mark.parametrize("renames", [0, 1, 2, 3, 4])
def test_a_kill_between_the_renames_is_seen_and_the_next_run_mends_it(
    renames: int, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p: p.read_bytes() for p in copied.parent.rglob("*") if p.is_file()}
    done, replace = [0], os.replace
    ours = {
        copied,
        copied.with_suffix(".ipynb"),
        copied.with_suffix(".results"),
        copied.parent / "manifest.json",
    }

    def killed(source: Any, target: Any) -> None:
        if Path(target) in ours:
            if done[0] == renames:
                raise Killed
            done[0] += 1
        replace(source, target)

    path = copied.parent.parent / "n.ipynb"
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        if renames < 4:
            with pytest.raises(Killed):
                report(path, {"n": 60}, copied)
        else:
            report(path, {"n": 60}, copied)
    seen = keeping.mixed(copied, facts.of(copied))
    if renames == 0:
        assert {p: p.read_bytes() for p in before if p.exists()}.items() <= before.items()
        return
    assert bool(seen) == (renames < 4)
    report(path, {"n": 60}, copied)
    assert keeping.mixed(copied, facts.of(copied)) == ()
    assert facts.of(copied).parameters == {"n": 60}


@pytest.mark.slow
def test_reproduce_says_that_files_are_mixed_and_which(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = copied.parent / facts.of(copied).results[0].files.table
    table.write_bytes(table.read_bytes() + b"more")
    assert cli.main(["reproduce", str(copied)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert (
        f"{table.relative_to(copied.parent).as_posix()} beside n.html is not of the run that wrote the page"
        in out
    )
    assert "3 identical" in out
    assert "by digest" in out


Change = Callable[[np.ndarray], None]


def shifted(values: np.ndarray) -> None:
    values[7] += 1e-3 * np.abs(values).max()


def last_bits(values: np.ndarray) -> None:
    values *= 1 + 1e-7


@pytest.mark.parametrize(
    ("change", "verdict"),
    [(shifted, "different"), (last_bits, "within tolerance")],
    ids=["one entry", "last bits"],
)
def test_arrays_that_lie_beside_the_page_are_compared_in_all_numbers(
    change: Change, verdict: str, copied: Path, tmp_path: Path
) -> None:
    """What the manifest holds of the array is left as it was, so that only all the numbers show the change."""
    other = Path(shutil.copytree(copied.parent, tmp_path / "other")) / "n.html"
    said = facts.of(other).results[0]
    path = other.parent / said.files.arrays
    arrays = load_file(path)
    change(arrays["values"])
    save_file(arrays, path)
    from workbench.core.digest import digest

    text = other.read_text()
    start = text.rindex(manifest.MARK) + len(manifest.MARK)
    end = text.index("</script>", start)
    found = json.loads(text[start:end])
    found["results"][0]["arrays"]["values"]["digest"] = digest(arrays["values"])
    other.write_text(text[:start] + json.dumps(found) + text[end:])
    whole = compare(facts.of(other), facts.of(copied), whole=_both(other, copied))[0]
    assert whole.verdict == verdict
    assert "all of its 160 numbers compared" in whole.sentence()
    sampled = compare(facts.of(other), facts.of(copied))[0]
    assert "(160 of its 160 numbers compared)" in sampled.sentence()
    path.unlink()
    alone = compare(facts.of(other), facts.of(copied), whole=_both(other, copied))[0]
    assert "(160 of its 160 numbers compared)" in alone.sentence()


def test_no_name_in_a_manifest_leads_out_of_the_pages_folder(tmp_path: Path) -> None:
    for name in ("../x", "/etc/passwd", "a/../../x", "", "a\\b"):
        assert keeping.within(tmp_path, name) is None
    (tmp_path / "out").symlink_to("/")
    assert keeping.within(tmp_path, "out/etc/passwd") is None
    assert keeping.within(tmp_path, "n.results/1-pca.parquet") == tmp_path / "n.results/1-pca.parquet"


def test_a_table_that_parquet_could_not_hold_is_written_all_the_same(tmp_path: Path) -> None:
    odd: Any = SimpleNamespace(
        table=lambda: pd.DataFrame(
            [[1, "a", 2.0], ["b", None, 3.0]], columns=pd.Index(["x", "x", 3], dtype=object)
        )
    )
    keeping.frame(odd).to_parquet(tmp_path / "t.parquet")
    assert list(pd.read_parquet(tmp_path / "t.parquet").columns) == ["x", "x (2)", "3"]


@pytest.mark.slow
def test_without_a_cache_nothing_is_kept_and_nothing_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    page = report(notebook(tmp_path / "n.ipynb", ASKS[0]), {"n": 40}, tmp_path / "out" / "n.html")
    assert sorted(p.name for p in page.parent.iterdir()) == ["manifest.json", "n.html", "n.ipynb"]
    assert "n.results" not in page.read_text()
    monkeypatch.delenv("WORKBENCH_NO_CACHE")
    assert (
        reproduce(page).results[0].sentence() == "identical (in its numbers; no arrays were kept to compare)"
    )
