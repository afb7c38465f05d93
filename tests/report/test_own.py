"""A report of whatever was given, by the template for own data."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from workbench import asking
from workbench.core.errors import DataError, MissingError, ParameterError
from workbench.report import notebooks, own, report

QUICK = {"max_rows": 120, "n_null": 9, "untrained": 2, "max_texts": 20}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def table(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, n)
    values = rng.standard_normal((n, 5)) + 6 * kind[:, None]
    return pd.DataFrame(values, columns=list("abcde")).assign(kind=np.array(["x", "y"])[kind])


def facts(page: Path) -> dict[str, Any]:
    return json.loads((page.parent / "manifest.json").read_text())["reports"][page.name]


@pytest.mark.parametrize(
    ("what", "is_own"),
    [
        ("mine.csv", True),
        ("folder", True),
        ("minilm", True),
        ("circle", True),
        ("owner/model", True),
        (pd.DataFrame(), True),
        ("atlas", False),
        ("mine.ipynb", False),
        ("atlass", False),
    ],
    ids=str,
)
def test_what_is_opened_and_what_is_run(what: Any, is_own: bool) -> None:
    Path("mine.csv").write_text("a\n1\n")
    Path("mine.ipynb").write_text("{}")
    Path("folder").mkdir()
    assert own.is_own(what) is is_own


def test_what_is_neither_is_refused_with_near_names() -> None:
    with pytest.raises(MissingError, match="atlas"):
        report("atlass")


@pytest.mark.parametrize(
    ("what", "how", "match"),
    [
        (torch.nn.Linear(2, 2), {}, "takes inputs="),
        (table(), {"inputs": [1]}, "inputs are what a network is run on"),
        ("circle", {"labels": [1]}, "belong to what is in memory"),
    ],
    ids=["no inputs", "inputs of a table", "labels of a name"],
)
def test_what_does_not_belong_together_is_refused_before_anything_runs(
    what: Any, how: dict[str, Any], match: str
) -> None:
    with pytest.raises(ParameterError, match=match):
        report(what, output="x.html", **how)
    assert not list(Path().iterdir())


def test_what_is_in_memory_is_written_beside_the_page() -> None:
    given = own.named(table(), Path("out/mine.html"), {"label": "kind"}, None, None)
    assert given["label"] == "kind" and not Path(given["what"]).is_absolute()
    assert Path(given["what"]).is_relative_to("out/mine.data")
    for labels in (["a", "b", "a", "b"], [0, 1, 0, 1]):
        labelled = own.named(np.eye(4), Path("eye.html"), {}, None, labels)
        opened = asking.open_named(labelled["what"], kind=labelled["kind"])
        assert np.array_equal(opened.values, np.eye(4)) and opened.table["label"].tolist() == labels
    with pytest.raises(DataError, match="4 rows take one value each"):
        own.named(np.eye(4), Path("eye.html"), {}, None, ["a"])


def test_a_page_of_something_else_with_the_same_name_is_left_alone() -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        table(20).to_csv(f"{folder}/mine.csv", index=False)
    page = own.page_of("a/mine.csv")
    assert page == Path("reports/mine.html") == own.page_of("b/mine.csv")
    page.parent.mkdir()
    page.touch()
    said = {"notebook": "explore.ipynb", "cwd": ".", "parameters": {"what": "a/mine.csv"}}
    for recorded, again in (
        (said, "mine"),
        ({**said, "notebook": "mine.ipynb"}, "mine-2"),
        ({"cwd": 1}, "mine-2"),
    ):
        Path("reports/manifest.json").write_text(json.dumps({"reports": {"mine.html": recorded}}))
        assert own.page_of("a/mine.csv").stem == again
        assert own.page_of("./b/mine.csv").stem == "mine-2"
    assert own.page_of(table()) == Path("reports/report.html")


def test_a_module_is_captured_beside_untrained_ones() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    x, y = torch.randn(40, 6), np.arange(40) % 3
    given = own.named(net, Path("net.html"), {"untrained": 2}, x, y)
    again = own.named(net, Path("net.html"), {"untrained": 2}, x, y)
    assert given == again, "the same capture is opened, not made again"
    acts, arms = asking.open_named(given["what"]), [asking.open_named(p) for p in given["beside"]]
    np.testing.assert_allclose(acts.at("0").values, net[0](x).detach().numpy(), atol=1e-6)
    assert acts.table["label"].tolist() == y.tolist() and len(arms) == 2
    assert all(a.sites == acts.sites and not np.allclose(a.at("0").values, acts.at("0").values) for a in arms)


@pytest.mark.slow
def test_a_table_and_a_module_become_pages_with_a_picture_and_findings() -> None:
    table().to_csv("mine.csv", index=False)
    page = report("mine.csv", QUICK)
    assert page == Path("reports/mine.html") and page.read_text().count('class="point-view"') == 1
    said = facts(page)
    assert any("kind" in s and "easier to read off" in s for s in said["findings"]["sentences"])
    assert {r["run"]["method"] for r in said["results"]} >= {"umap", "persistence"}
    assert "spectral_clustering" in {
        q["method"] for q in said["findings"]["questions"]
    }  # drawn in the points
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(80, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    )
    shades = torch.tensor(table()[list("abcde")].to_numpy(), dtype=torch.float32)
    rows = shades[:, None, :, None].expand(-1, 1, -1, 16)  # images of five stripes
    page = report(net, {**QUICK, "untrained": 3}, "net.html", inputs=rows, labels=table()["kind"])
    contrasts = [q for q in facts(page)["findings"]["questions"] if q["method"] == "contrast"]
    assert len(contrasts) == 5 and any(q["p"] is not None for q in contrasts)
    assert page.read_text().count('"kind":"image"') == 1, "each row has the image that the network was run on"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["weights.pt", "series.csv", "texts.txt", "digits_descent"])
def test_other_things_are_drawn_and_asked_what_fits(what: str) -> None:
    rng = np.random.default_rng(0)
    if what == "weights.pt":
        torch.save(torch.nn.Linear(20, 30).state_dict(), what)
    elif what == "series.csv":
        dates = pd.date_range("2020-01-01", periods=300, freq="h")
        pd.DataFrame({"date": dates, "load": np.sin(np.arange(300) / 9) + rng.normal(0, 0.1, 300)}).to_csv(
            what, index=False
        )
    elif what == "texts.txt":
        Path(what).write_text(
            "\n".join(f"the {a} {b} home" for a in ("cat", "dog", "ox") for b in ("ran", "sat") * 4)
        )
    page = report(what, {**QUICK, "n_null": 19})
    asked = {r["run"]["method"] for r in facts(page)["results"]}
    wanted = {
        "weights.pt": "singular_values",
        "series.csv": "takens",
        "texts.txt": "umap",
        "digits_descent": "gradient_rank",
    }
    assert wanted[what] in asked and facts(page)["findings"]["questions"]


def test_rows_are_coloured_by_a_label_of_ones_own_texts_and_not_by_the_texts() -> None:
    cells = json.loads(notebooks.find_notebook(own.TEMPLATE).read_text())["cells"]
    (source,) = ("".join(c["source"]) for c in cells if "def likely(" in "".join(c["source"]))
    held: dict[str, Any] = {}
    (found,) = (n for n in ast.parse(source).body if getattr(n, "name", "") == "likely")
    exec(compile(ast.Module([found], []), own.TEMPLATE, "exec"), held)
    n = np.arange(200)
    of_tokens = {
        "text_id": n // 10,
        "text": [f"text {i // 10}" for i in n],
        "token": n % 7,
        "position": n % 10,
    }
    label = np.array(["pets", "trees"])[n // 10 % 2]
    assert held["likely"](pd.DataFrame(of_tokens).assign(topic=label)) == "topic"
    assert held["likely"](pd.DataFrame(of_tokens)) == ""
    assert held["likely"](pd.DataFrame({"sample": n, "label": n % 10})) == "label"
