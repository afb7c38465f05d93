"""Several inputs at the command line: opened as what each takes, narrowed by name, brought to the same rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import two_inputs_for_tests

import workbench as wb
from workbench import asking
from workbench.core.registry import method, methods
from workbench.core.subject import Subject, subjects

Run = Callable[..., tuple[int, str, str]]
FEW = ("--max-texts", 6, "--sample", 50)


@pytest.fixture(autouse=True)
def defined() -> None:
    two_inputs_for_tests.define()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A capture of two sites that are one apart everywhere, kept in a folder."""
    import torch

    class Plus(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    network = torch.nn.Sequential(Plus(), Plus())
    values = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    cloud = wb.PointCloud(values, table=pd.DataFrame({"half": np.arange(20) // 10}))
    wb.capture(network, cloud, at="*", store=tmp_path / "store")
    return tmp_path / "store"


def amount(out: str) -> float:
    return json.loads(out)["evidence"][0]["value"]


def test_two_files_are_brought_together_by_order_and_it_is_said(run: Run) -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 30, 3))
    np.save("a.npy", a)
    np.save("b.npy", b)
    code, out, _ = run("run", "apart", "a.npy", "b.npy", "--json")
    said = json.loads(out)
    assert code == 0 and amount(out) == pytest.approx(np.square(a - b).mean())
    assert said["aligned"].startswith("by order") and said["subject"] == "a and b"
    assert [i["name"] for i in said["run"]["inputs"]] == ["x", "y"]
    code, out, _ = run("run", "apart", "a.npy", "b.npy")
    assert "Rows were brought together by order" in out


def test_a_part_is_named_of_each_input_or_of_all(run: Run, store: Path) -> None:
    code, out, err = run("run", "apart", store, store, "--at", "x=0", "--at", "y=1", "--json")
    assert (code, err) == (0, "") and amount(out) == pytest.approx(1.0)
    assert json.loads(out)["aligned"] == "by row id, 20 rows in common"
    code, out, err = run("run", "apart", store, store, "--at", "0", "--json")
    assert (code, err, amount(out)) == (0, "", 0.0)
    code, out, err = run("run", "apart", store, store, "--at", "x=0", "--json")
    assert amount(out) == pytest.approx(1.0) and "Asked of 1, one of 2 parts" in err and "--at y=" in err
    code, out, _ = run("run", "apart", store, store, "--at", "0", "--at", "y=1", "--json")
    assert code == 0 and amount(out) == pytest.approx(1.0), "the name goes before what is said of all"


def test_rows_are_chosen_once_for_inputs_that_belong_together(run: Run, store: Path) -> None:
    code, out, _ = run("run", "apart", store, store, "--at", "x=0", "--select", "half == 1", "--json")
    assert code == 0 and json.loads(out)["evidence"][0]["n"] == 10
    code, out, _ = run("run", "apart", store, store, "--at", "x=0", "--sample", 5, "--json")
    assert json.loads(out)["aligned"] == "by row id, 5 rows in common"


def test_rows_that_only_one_of_two_files_has_lost_are_dropped_from_both(run: Run) -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 30, 3))
    a[3, 0], b[7, 1] = np.nan, np.inf
    np.save("a.npy", a)
    np.save("b.npy", b)
    code, out, _ = run("run", "apart", "a.npy", "b.npy", "--drop-nonfinite", "--json")
    both = np.delete(np.arange(30), [3, 7])
    assert code == 0 and amount(out) == pytest.approx(np.square(a[both] - b[both]).mean())
    code, out, _ = run("run", "apart", "a.npy", "b.npy", "--drop-nonfinite", "--sample", 9, "--json")
    assert json.loads(out)["evidence"][0]["n"] == 9


def test_two_sites_of_one_network_are_captured(run: Run) -> None:
    sites = ("--at", "x=encoder.layer.1", "--at", "y=encoder.layer.2")
    code, out, _ = run("run", "apart", "minilm", "minilm", *sites, *FEW, "--json")
    texts = wb.corpus(max_texts=6)
    one, two = (wb.capture(wb.open("minilm"), texts, at=f"encoder.layer.{i}").sample(50) for i in (1, 2))
    assert code == 0 and amount(out) == pytest.approx(wb.apart(one, two).evidence[0].value)
    assert json.loads(out)["aligned"] == "by row id, 50 rows in common"


def test_a_pattern_of_several_blocks_is_refused_before_anything_is_captured(run: Run, cache: Path) -> None:
    code, out, err = run("run", "pca", "glassllm-en", "--at", "model.layers.[12]")
    assert code == 2
    assert "means 2 parts (model.layers.1, model.layers.2) and pca is asked of one" in err
    assert out == ""
    assert not (cache / "captures").exists()
    few = ("--max-texts", "8", "--n-null", "3", "--n-boot", "3", "--json")
    code, _, _ = run("run", "pca", "glassllm-en", "--at", "model.layers.[2]", *few)
    assert code == 0


def test_a_kept_answer_is_an_input(run: Run) -> None:
    clusters = ("spectral-clustering", "planted-clusters", "--n-clusters", 3, "--n-null", 0)
    assert run("run", *clusters, "--out", "groups")[0] == 0
    code, out, _ = run("run", "spread-within", "planted-clusters", "groups", "--json")
    cloud = wb.planted_clusters()
    asked = wb.spread_within(cloud, wb.spectral_clustering(cloud, n_clusters=3, n_null=0))
    assert code == 0 and amount(out) == pytest.approx(asked.evidence[0].value)
    assert [i["kind"] for i in json.loads(out)["run"]["inputs"]] == ["PointCloud", "Partition"]
    assert run("run", "pca", "circle", "--n-null", 9, "--n-boot", 9, "--out", "flat")[0] == 0
    code, out, _ = run("run", "apart", "flat", "circle", "--json")
    assert code == 0 and json.loads(out)["aligned"] == "by row id, 200 rows in common"


def test_an_optional_input_may_be_left_out(run: Run) -> None:
    assert amount(run("run", "counted", "circle", "--json")[1]) == 200
    assert amount(run("run", "counted", "circle", "sphere", "--json")[1]) == 200 + len(wb.sphere())


def test_a_file_is_opened_as_what_the_input_takes(run: Run) -> None:
    np.save("wave.npy", np.sin(np.arange(300.0)))
    np.savez("named.npz", first=np.zeros((20, 3)), second=np.ones((20, 3)))
    series = asking.view_of(next(i for m in methods() for i in m.inputs if i.takes.__name__ == "Series"))
    taker = next(m.name for m in methods() if m.inputs and m.inputs[0].takes is series)
    from workbench.commands._subjects import open_for

    assert isinstance(open_for("wave.npy", method(taker).inputs[0]), wb.TimeSeries)
    assert isinstance(open_for("wave.npy", method("pca").inputs[0]), wb.PointCloud)
    code, out, _ = run(
        "run", "apart", "named.npz", "named.npz", "--at", "x=first", "--at", "y=second", "--json"
    )
    assert code == 0 and amount(out) == 1.0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["apart", "circle"], 2, "Missing argument 'Y'"),
        (["apart", "circle", "circle", "circle"], 2, "unexpected extra argument"),
        (["apart", "circle", "sphere"], 3, "not equally many"),
        (["apart", "circle", "circle", "--at", "x=layer"], 2, "no parts to choose from"),
        (["apart", "circle", "circle", "--at", "layer"], 2, "no parts to choose from"),
        (["apart", "minilm", "circle", "--at", "0", "--at", "1"], 2, "--at x=0"),
        (
            ["apart", "minilm", "circle", "--at", "x=encoder.layer.*", "--max-texts", "6"],
            2,
            "--at x=encoder.layer",
        ),
        (["apart", "circle", "circle", "--corpus", "default"], 2, "reads no text"),
        (["apart", "circle", "circle", "--select", "nothing > 3"], 4, "angle"),
        (["counted", "circle", "--at", "other=1"], 2, "other was left out"),
        (["spread-within", "circle", "circle"], 3, "One comes from: "),
        (["spread-within", "circle", "flat"], 3, "a result of kind partition as groups"),
        (["pagerank", "flat"], 3, "It can give: Points"),
    ],
)
def test_what_cannot_be_asked_is_said(arguments: list[str], code: int, says: str, run: Run) -> None:
    wb.pca(wb.circle(), n_null=0, n_boot=0).save("flat")
    got, out, err = run("run", *arguments)
    assert (got, out) == (code, "")
    *progress, last = err.splitlines()  # on a slow machine progress is told before
    assert says in last and all(re.match(r" +\d+ s  ", line) for line in progress)


def test_help_info_and_list_speak_of_every_input(run: Run) -> None:
    _, out, _ = run("run", "apart", "--help")
    said = " ".join(out.split())
    assert "apart [OPTIONS] X Y" in said and "The same rows, seen otherwise." in said
    assert "--at [NAME=]PART" in said and "Of one input alone: --at x=" in said
    assert "workbench run apart minilm minilm --at x=encoder.layer.5 --at y=encoder.layer.5" in said
    assert "counted [OPTIONS] X [OTHER]" in " ".join(run("run", "counted", "--help")[1].split())
    _, out, _ = run("info", "apart")
    assert "takes x (rows of numbers (n x d)) and y (rows" in out and "workbench.apart(x, y)" in out
    assert "workbench run spread-within minilm partition-kept" in run("info", "spread_within")[1]
    listed = {m["name"]: m for m in json.loads(run("list", "--family", "two_inputs_for_tests", "--json")[1])}
    assert [i["takes"] for i in listed["spread_within"]["inputs"]] == ["Points", "Partition"]
    assert listed["counted"]["inputs"][1]["optional"] is True


def test_only_flags_that_a_subject_has_a_use_for_are_offered(run: Run) -> None:
    def flags(name: str) -> set[str]:
        said = run("run", name, "--help")[1]
        return {
            f for f in ("--at", "--select", "--drop-nonfinite", "--corpus", "--capture-rows") if f in said
        }

    everything = flags("pca")
    assert (
        everything == {"--at", "--select", "--drop-nonfinite", "--corpus", "--capture-rows"} == flags("cka")
    )
    assert flags("singular-values") == {"--at"}
    assert flags("renormalize") == {"--select", "--drop-nonfinite"}
    assert flags("pagerank") == {"--at", "--select", "--drop-nonfinite"}, "a world has parts, its graph one"
    assert flags("circle") == set()
    assert flags("prune") == {"--at"}, "a parameter of its own"


@pytest.mark.parametrize("cls", subjects(), ids=lambda cls: cls.__name__)
def test_a_subject_with_parts_says_for_which_views(cls: type[Subject]) -> None:
    assert (cls.parts is not Subject.parts) == bool(cls.narrows) == (cls.at is not Subject.at)
    assert all(view.needs and part for view, part in cls.narrows.items())


def test_columns_of_a_table_are_chosen(run: Run) -> None:
    x = np.random.default_rng(0).standard_normal((30, 3))
    table = pd.DataFrame(x, columns=["a", "b", "year"]).assign(user_id=range(100, 130), word="w")
    table.to_csv("t.csv", index=False)
    np.save("u.npy", x[:, [0, 2]] + 1)
    code, out, _ = run("run", "apart", "t.csv", "u.npy", "--columns", "a,year", "--id", "user_id", "--json")
    assert code == 0 and amount(out) == pytest.approx(1)
    code, out, _ = run("run", "pca", "t.csv", "--n-null", 0, "--n-boot", 0)
    assert code == 0 and "set aside as labels: 'year', 'user_id'" in " ".join(out.split())
    code, _, err = run("run", "pca", "t.csv", "--labels", "nope")
    assert code == 4 and "no column 'nope'" in err
    code, _, err = run("run", "pca", "u.npy", "--columns", "a")
    assert code == 2 and "leave --columns out" in err
