"""Measurements: they run at small sizes, say what they skipped and why, and need little installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from workbench.benchmarks import catalogue, contests, costs, cpu, quality, rows
from workbench.benchmarks.catalogue import ALL
from workbench.benchmarks.contests import Contender, Contest, Entry, Skipped
from workbench.benchmarks.rows import Setting
from workbench.core.errors import DataError, FormatError, MissingError, WorkbenchError

ROOT = Path(__file__).parent.parent.parent
LACKING = (
    "click",
    "rich",
    "pydantic",
    "pandas",
    "umap",
    "pynndescent",
    "gph",
    "transformers",
    "plotly",
    "annotated_types",
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.save(tmp_path / "rows.npy", rows.made(1200, 12))
    return tmp_path / "rows.npy"


def run(name: str, setting: Setting, out: Path | None = None) -> list[Entry]:
    return [e for _, entries in catalogue.measure([ALL[name]], setting, out) for e in entries]


@pytest.mark.parametrize("name", ["neighbours", "several", "spectral", "barcode", "tree"])
def test_small_sizes_run_on_a_cpu(name: str, data: Path, tmp_path: Path) -> None:
    found = run(name, Setting("cpu", 0.05, 1, data), tmp_path / "out.json")
    ours = [e for e in found if e.ours]
    assert ours
    catalogue.require_ours(found)
    assert all(e.first is not None and len(e.seconds) == 1 and e.quality for e in ours)
    for e in found:
        assert bool(e.times) != bool(e.skipped or e.failed)
        assert e.skipped or not e.failed
        assert e.ratio is None or e.ratio == pytest.approx(
            e.median / next(o for o in ours if o.work == e.work).median
        )
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["device"] == "cpu"
    assert record["versions"]["torch"]
    assert [e["who"] for e in record["tables"][0]["entries"]] == [e.who for e in found]
    if name == "barcode":
        assert all(e.quality["equal to ours"] for e in found if e.times and not e.ours)
    if name == "several":
        assert [e.who for e in found] == ["2 devices", "one device"] * 2
        assert found[0].quality == found[1].quality
        assert found[2].quality == found[3].quality
    if name == "tree":
        for e in found:
            own = next(o for o in ours if o.work == e.work)
            assert not e.times or e.quality["total length"] == pytest.approx(
                own.quality["total length"], rel=1e-5
            )


def test_methods_are_set_beside_their_primitives_in_processor_time(data: Path) -> None:
    asked = {c.work.partition(",")[0]: c for c in costs.costs(Setting("cpu", 1, 1, data), 200)}
    assert {"umap", "pca", "isomap", "persistence", "mapper", "cka", "linear_probe"} < set(asked)
    for name in ("pca", "cka", "linear_probe", "barcode_distance"):
        assert asked[name].processor_time
        primitive, bare, whole = contests.hold(asked[name], device="cpu", repeats=1)
        assert not any(e.failed or e.skipped for e in (primitive, bare, whole))
        assert (bare.quality["draws"], primitive.ours) == (0, True)
        assert whole.quality["draws"] >= 10
        if name == "pca":
            assert whole.quality["trust"] == pytest.approx(primitive.quality["trust"], abs=1e-6)


def test_layouts_are_judged_as_the_method_judges_them() -> None:
    from workbench.numerics.preservation import preservation

    x = rows.made(300, 8)
    y = x[:, :2] + 0.1
    found = quality.layout(torch.from_numpy(x), torch.from_numpy(y))
    known = preservation(x, y, 15)
    assert found["trust"] == pytest.approx(known.trustworthiness.rows.mean(), abs=1e-3)
    assert found["recall"] == pytest.approx(known.recall.rows.mean(), abs=2e-3)


def test_contenders_that_cannot_or_fail_say_so_and_the_others_go_on() -> None:
    def none() -> None:
        raise Skipped("needs a GPU")

    def missing() -> None:
        import no_such_peer  # noqa: F401  # type: ignore[import-not-found]

    def broken() -> int:
        raise ValueError("two\nlines")

    contest = Contest(
        "work",
        (
            Contender("ours", lambda: lambda: 1, ours=True),
            Contender("a", none),
            Contender("b", missing),  # type: ignore[arg-type]
            Contender("c", lambda: broken),
            Contender("d", lambda: lambda: 2),
        ),
        lambda answer: {"answer": answer},
    )
    ours, a, b, c, d = contests.hold(contest, device="cpu", repeats=2)
    assert (a.skipped, b.skipped, c.failed) == (
        "needs a GPU",
        "no_such_peer can't be imported",
        "ValueError: two lines",
    )
    assert ours.quality == {"answer": 1}
    assert d.ratio is not None
    assert d.ratio_range is not None
    assert d.ratio_range[0] <= d.ratio <= d.ratio_range[1]
    text = "\n".join(catalogue.lines([ours, a, b, c, d]))
    assert "skipped: needs a GPU" in text
    assert "× ours" in text
    catalogue.require_ours([c])
    with pytest.raises(WorkbenchError, match="two lines"):
        catalogue.require_ours([Entry("work", "ours", True, failed="two lines")])


def test_what_takes_long_is_called_once_more_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contests, "LONG", 0.0)
    (entry,) = contests.hold(Contest("w", (Contender("x", lambda: lambda: 1),)), device="cpu", repeats=3)
    assert len(entry.seconds) == 1
    monkeypatch.setattr(contests, "TOO_LONG", 0.0)
    (entry,) = contests.hold(Contest("w", (Contender("x", lambda: lambda: 1),)), device="cpu", repeats=3)
    assert entry.seconds == []
    assert entry.times == [entry.first]


def test_fresh_processes_are_timed_from_the_inside(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    fit = "class fit:\n    fit_transform = staticmethod(lambda x: x[:, :2])"
    monkeypatch.setattr(cpu, "FRESH", {"ours": fit, "umap-learn": "raise SystemExit('no compiler')"})
    found = run("first", Setting("cpu", 0.05, 3, data))
    assert [e.who for e in found] == ["ours", "umap-learn"] * 2
    assert all(e.times == [e.first] for e in found if e.ours)
    assert all("no compiler" in e.failed for e in found if not e.ours)
    assert found[0].quality["trust"] > 0.5


def test_rows_come_from_a_file_or_are_made(data: Path, tmp_path: Path) -> None:
    setting = Setting("cpu", 0.1, 1, data)
    name, x = setting.rows(1000)
    assert (name, x.shape, x.dtype) == ("rows.npy", (100, 12), np.float32)
    with pytest.raises(DataError, match="lower --scale"):
        setting.rows(10**6)
    (skipped,) = run("umap", Setting("cpu", 1e6, 1, data))[:1]
    assert "lower --scale" in skipped.skipped
    assert rows.made(500).shape == (500, 384)
    np.save(tmp_path / "flat.npy", np.ones(3))
    (tmp_path / "text.npy").write_text("no array")
    for bad, error in [("flat.npy", FormatError), ("text.npy", FormatError), ("none.npy", MissingError)]:
        with pytest.raises(error):
            catalogue.setting_of("cpu", 1, 1, tmp_path / bad)
    with pytest.raises(MissingError, match="neighbours"):
        catalogue.chosen(["neighbour"])


LACKS = """
import sys
class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {lacking!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Lacking())
from workbench.benchmarks.__main__ import main
sys.exit(main({arguments!r}))
"""


@pytest.mark.slow
def test_little_needs_to_be_installed(data: Path) -> None:
    ask = ["spectral", "cpu", "--scale", "0.02", "--repeats", "1", "--device", "cpu", "--rows", str(data)]
    program = LACKS.format(lacking=LACKING, arguments=ask)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "normalized cut" in done.stdout
    assert "skipped:" in done.stdout.split("cpu, 100 rows")[1]  # no methods without what declares them
    assert "spectral clustering" in done.stderr  # progress
