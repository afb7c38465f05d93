"""Asking at the command line: the answers are those that Python gets, shown and kept."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import click
import numpy as np
import pytest
from annotated_types import Interval
from typing_extensions import Doc

import workbench as wb
from workbench.commands.run import command
from workbench.core.registry import analysis, edit
from workbench.results.estimate import Estimate
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.points import Points

Run = Callable[..., tuple[int, str, str]]
FEW = ("--n-null", "9", "--n-boot", "9")


def test_an_answer_is_the_one_that_python_gets(run: Run) -> None:
    code, out, err = run("run", "pca", "circle", "--n-components", 1, *FEW, "--json")
    said = json.loads(out)
    asked = wb.pca(wb.circle(), n_components=1, n_null=9, n_boot=9).evidence[0]
    assert code == 0
    assert all(" s  " in line for line in err.splitlines())  # nothing but progress, where it takes long
    assert said["evidence"][0]["value"] == asked.value
    assert tuple(said["evidence"][0]["interval"]) == asked.interval
    assert said["evidence"][0]["sentence"] == asked.sentence()
    assert said["parameters"]["n_components"] == 1


def test_an_answer_is_said_in_sentences(run: Run) -> None:
    code, out, _ = run("run", "pca", "circle", "--n_components", 1, *FEW)
    sentence = wb.pca(wb.circle(), n_components=1, n_null=9, n_boot=9).evidence[0].sentence()
    assert code == 0
    assert "Do 1 components explain more variance" in " ".join(out.split())
    assert set(sentence.split()) <= set(out.split())


def test_out_keeps_the_answer_its_table_and_a_page_that_needs_no_network(run: Run) -> None:
    code, out, _ = run("run", "pca", "circle", *FEW, "--out", "answer")
    assert code == 0
    assert "answer" in out
    loaded = wb.load("answer")
    np.testing.assert_array_equal(loaded.values, wb.pca(wb.circle(), n_null=9, n_boot=9).values)
    assert len(Path("answer/table.csv").read_text().splitlines()) == 201
    page = Path("answer/figure.html").read_text(encoding="utf-8")
    assert len(page) > 1_000_000, "plotly is inside"
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    assert run("run", "pca", "circle", *FEW, "--random-state", 1, "--out", "answer")[0] == 0
    assert wb.load("answer").run.seed == 1


def test_a_source_is_made_kept_and_asked_about(run: Run) -> None:
    code, out, _ = run("run", "circle", "--n", 50, "--noise", "0", "--out", "c.npz", "--json")
    assert code == 0
    assert json.loads(out)["columns"] == ["angle"]
    np.testing.assert_array_equal(np.load("c.npz")["values"], wb.circle(n=50, noise=0).values)
    code, out, _ = run("run", "pca", "c.npz", *FEW, "--json")
    assert code == 0
    assert json.loads(out)["evidence"][0]["n"] == 50
    assert run("run", "circle", "--out", "c.npy")[0] == 0
    assert np.load("c.npy").shape == (200, 2)


def test_flags_none_and_rows_are_understood(run: Run) -> None:
    code, out, _ = run(
        "run", "pca", "circle", "--whiten", *FEW, "--sample", 40, "--select", "angle > 3", "--json"
    )
    said = json.loads(out)
    assert code == 0
    assert said["parameters"]["whiten"] is True
    assert said["evidence"][0]["n"] == 40
    _, out, _ = run(
        "run",
        "umap",
        "circle",
        "--n-epochs",
        "none",
        "--n-null",
        0,
        "--sample",
        40,
        "--json",
    )
    assert json.loads(out)["parameters"]["n_epochs"] is None


def test_a_parameter_keeps_its_name_from_a_general_option(run: Run) -> None:
    @analysis
    def clash(
        points: Points,
        *,
        sample: Annotated[int, Interval(ge=1, le=9), Doc("Mine.")] = 3,
        out: Annotated[str, Doc("Mine.")] = "x",
    ) -> Estimate:
        """Answer nothing."""
        return Estimate(caveat=f"{sample} {out} {points.n}")

    typed = ["circle", "--sample", "7", "--out", "mine", "--run-sample", "40", "--run-out", "kept"]
    command(clash).main(typed, standalone_mode=False)
    assert wb.load("kept").caveat == "7 mine 40"


def test_rows_that_are_not_finite_are_counted_and_may_be_dropped(run: Run) -> None:
    rows = wb.circle().values.copy()
    rows[3, 0], rows[7, 1] = np.nan, np.inf
    np.save("holes.npy", rows)
    code, _, err = run("run", "pca", "holes.npy", *FEW)
    assert code == 3
    for part in ("1 NaN and 1 infinite", "2 of 200 rows", "--drop-nonfinite"):
        assert part in err
    code, out, _ = run("run", "pca", "holes.npy", *FEW, "--drop-nonfinite", "--json")
    assert code == 0
    assert json.loads(out)["evidence"][0]["n"] == 198


def test_series_and_graphs_can_be_dropped_from_too() -> None:
    steps = wb.TimeSeries(np.array([0.0, np.nan, 2.0, np.inf])).drop_nonfinite()
    assert steps.ids.tolist() == [0, 2]
    graph = wb.GraphSubject(np.array([[0, 1], [1, 2]]), 3, weights=np.array([1.0, np.nan])).drop_nonfinite()
    assert graph.edges.tolist() == [[0, 1]]
    assert len(graph) == 3


def test_a_layer_of_a_network_is_captured_and_asked_about(run: Run) -> None:
    code, out, err = run(
        "run", "pca", "minilm", "--at", "encoder.layer.1", "--max-texts", 8, "--sample", 60, *FEW, "--json"
    )
    acts = wb.capture(wb.open("minilm"), wb.corpus("default", max_texts=8), at="encoder.layer.1").sample(60)
    said = json.loads(out)
    assert code == 0
    assert all(" s  " in line for line in err.splitlines())  # nothing but progress, where it takes long
    assert said["evidence"][0]["value"] == wb.pca(acts, n_null=9, n_boot=9).evidence[0].value
    assert said["run"]["inputs"][0]["digest"] == acts.digest


def test_without_a_site_the_last_block_is_asked_or_all_of_them(run: Run) -> None:
    few = ("--max-texts", 8, "--sample", 40, *FEW, "--json")
    code, out, err = run("run", "pca", "minilm", *few)
    assert code == 0
    assert re.search(r" · encoder\.layer\.5 · 40 of \d+ rows$", json.loads(out)["subject"])
    assert "Asked of encoder.layer.5, one of 6 parts" in err and "encoder.layer.0" in err
    code, out, _ = run("run", "cka", "minilm", "--max-texts", 8, "--sample", 40, "--n-null", 9, "--json")
    assert code == 0
    assert "encoder.layer.0 and encoder.layer.5" in out
    (store,) = (Path(os.environ["WORKBENCH_CACHE"]) / "captures").iterdir()
    code, out, _ = run("run", "pca", store, "--at", "encoder.layer.3", *FEW, "--json")
    assert code == 0
    assert json.loads(out)["subject"].endswith("encoder.layer.3")


def test_a_weight_is_chosen_by_name(run: Run) -> None:
    tensor = "encoder.layer.0.attention.self.query.weight"
    code, out, _ = run("run", "singular-values", "minilm", "--at", tensor, "--n-null", 3, "--json")
    weights = wb.open("minilm")[tensor]
    stable_rank = (np.linalg.norm(weights) / np.linalg.norm(weights, 2)) ** 2
    assert code == 0
    values = {e["id"]: e["value"] for e in json.loads(out)["evidence"]}
    assert values["stable_rank"] == pytest.approx(stable_rank, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["pca", "minilm", "--at", "encoder.layer.*", "--max-texts", "8"], 2, "encoder.layer.3"),
        (["pca", "minilm", "--at", "encoder.layr.1", "--max-texts", "8"], 4, "'encoder.layer.1'"),
        (["singular-values", "minilm"], 2, "--at embeddings.word_embeddings.weight"),
        (["pca", "minilm", "--corpus", "missing.csv"], 4, "missing.csv"),
        (["pagerank", "minilm"], 3, "a graph"),
        (["linear-probe", "minilm", "--label", "toppic", "--max-texts", "8"], 4, "'topic'"),
    ],
)
def test_what_a_network_lacks_is_said(arguments: list[str], code: int, says: str, run: Run) -> None:
    got, out, err = run("run", *arguments)
    assert (got, out) == (code, "")
    assert says in err


def test_an_edit_writes_a_checkpoint(run: Run) -> None:
    from safetensors.numpy import load_file, save_file

    @edit
    def halve(checkpoint: Checkpoint, *, name: Annotated[str, Doc("The tensor.")] = "w") -> wb.Replacement:
        """Halve a tensor."""
        return wb.Replacement({name: checkpoint[name] / 2})

    before = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(3, np.float32)}
    save_file(before, "net.safetensors")
    command(halve).main(["net.safetensors", "--out", "half.safetensors"], standalone_mode=False)
    after = load_file("half.safetensors")
    np.testing.assert_array_equal(after["w"], before["w"] / 2)
    np.testing.assert_array_equal(after["b"], before["b"])
    np.testing.assert_array_equal(wb.open("half.safetensors")["w"], after["w"])
    with pytest.raises(click.MissingParameter):
        command(halve).main(["net.safetensors"], standalone_mode=False)


def test_edited_weights_are_written_to_a_file_or_to_a_folder_that_opens_as_the_network(run: Run) -> None:
    assert run("run", "prune", "glassllm-en", "--fraction", "0.5", "--out", "a.safetensors")[0] == 0
    assert run("run", "prune", "glassllm-en", "--out", "b.safetensors", "--dtype", "bfloat16")[0] == 0
    net = wb.open("glassllm-en")
    pruned = net + wb.prune(net)
    for n in net:
        np.testing.assert_array_equal(wb.open("a.safetensors")[n], pruned[n])
    assert {t.dtype for t in wb.open("b.safetensors").tensors.values()} == {"BF16"}
    assert run("run", "shuffle-weights", "minilm", "--out", "shuffled")[0] == 0
    minilm = wb.open("minilm")
    texts = ["A cat sat on the mat.", "A kitten lies on a rug."]
    expected = (minilm + wb.shuffle_weights(minilm)).network().answer(texts)
    assert wb.open("shuffled").network().answer(texts) == expected
    assert run("run", "shuffle-weights", "minilm", "--out", "shuffled")[0] == 5  # it is there
    assert run("run", "prune", "glassllm-en", "--out", "x.pth")[0] == 2
    assert "rounded to the nearest" in " ".join(run("run", "prune", "--help")[1].split())


@pytest.mark.slow
def test_out_writes_a_linked_page_that_says_how_it_was_made(run: Run) -> None:
    code, out, _ = run("run", "pca", "circle", *FEW, "--out", "page.html")
    page = Path("page.html").read_text()
    assert code == 0 and "Written: page.html" in out
    assert page.count('class="point-view"') == 1 and "wb.circle()" in page
    code, _, err = run("reproduce", "page.html")
    assert code == 0, err
