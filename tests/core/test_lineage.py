"""Lineage: every step leaves a run, and the code that a result gives makes it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.core.errors import MissingError
from workbench.core.lineage import step
from workbench.core.result import Result
from workbench.core.run import Run

FEW = {"n_null": 5, "n_boot": 5}


def again(result: Result) -> Result:
    """Run the code that a result gives."""
    names: dict[str, object] = {}
    exec(compile(result.code(), "code", "exec"), names)
    made = names["result"]
    assert isinstance(made, Result)
    return made


def steps(run: Run) -> list[str]:
    return [f"{r.verb} {r.method}" for r in run.chain()]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.standard_normal((60, 4)).astype(np.float32))
    np.savez(tmp_path / "two.npz", a=rng.standard_normal((60, 3)), b=rng.standard_normal((60, 5)))
    table = pd.DataFrame(rng.standard_normal((50, 3)), columns=["u", "v", "w"]).assign(kind=["p", "q"] * 25)
    table.to_csv(tmp_path / "table.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")  # so that it is computed, not looked up
    return tmp_path


def test_code_makes_an_answer_again_from_its_file(files: Path) -> None:
    cloud = wb.open("table.csv").select("kind == 'p'").sample(20, random_state=3)
    cloud = cloud.select(cloud.ids[:7])
    found = wb.pca(cloud, whiten=True, **FEW)
    assert steps(found.run) == ["function open", "call select", "call sample", "call select", "analysis pca"]
    assert found.title == (
        "Principal components of table · kind == 'p' (25 rows) · 20 of 25 rows · 7 selected rows"
    )
    same = again(found)
    assert np.array_equal(same.values, found.values) and same.run.key == found.run.key
    assert same.digest == found.digest


def test_inputs_that_are_results_are_made_again_too(files: Path) -> None:
    flat = wb.pca(wb.open("x.npy"), **FEW)
    found = wb.persistence(flat, n_null=3, n_boot=0)
    assert steps(found.run) == ["function open", "analysis pca", "analysis persistence"]
    assert again(found).digest == found.digest


def test_parts_and_sources_are_in_the_lineage(files: Path) -> None:
    found = wb.pca(wb.open("two.npz").at("b"), **FEW)
    assert found.title.endswith("two · b") and again(found).digest == found.digest
    made = wb.pca(wb.circle(n=40, random_state=2), **FEW)
    assert again(made).digest == made.digest and "wb.circle(n=40, random_state=2)" in made.code()


def test_a_capture_is_in_the_lineage(files: Path) -> None:
    texts = wb.corpus("default", max_texts=8)
    acts = wb.capture(wb.open("minilm"), texts, at="encoder.layer.*")
    found = wb.pca(acts.at("encoder.layer.2").select("position > 2"), **FEW)
    assert steps(found.run)[-4:] == ["function capture", "call at", "call select", "analysis pca"]
    assert {"function open", "function corpus"} <= set(steps(found.run))
    assert again(found).digest == found.digest


def test_a_descent_and_its_steps_are_in_the_lineage(files: Path) -> None:
    descent = wb.digits_descent(width=4, depth=1, steps=12)
    found = wb.singular_values(descent.at(12).at("0.weight"), n_null=3)
    assert steps(found.run) == ["source digits_descent", "call at", "call at", "analysis singular_values"]
    assert again(found).digest == found.digest


def test_what_was_made_in_memory_says_what_belongs_in_its_place(files: Path) -> None:
    found = wb.pca(wb.PointCloud(np.eye(5), name="mine\nimport os"), **FEW)
    assert "given1 = ...  # PointCloud mine import os, made in memory" in found.code()
    with pytest.raises(MissingError, match="made by hand"):
        Result(title="mine").code()


def test_a_loop_of_ones_own_is_named(files: Path) -> None:
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with wb.record(model, optimizer, weights_at=1) as run:
        for _ in range(4):
            optimizer.zero_grad()
            loss = model(torch.ones(2, 3)).square().mean()
            loss.backward()
            optimizer.step()
            run.log(loss=loss)
    found = wb.pca(run.trajectory, **FEW)
    assert "a loop of your own inside wb.record" in found.code()
    assert [i.kind for r in found.run.chain() for i in r.inputs] == [
        "Linear",
        "Trajectory",
        "Linear",
        "Trajectory",
    ]


def test_a_run_survives_json_with_all_that_it_rests_on(files: Path) -> None:
    run = wb.pca(wb.open("x.npy").select([1, 2, 3, 4, 5, 6]), **FEW).run
    back = Run.from_json(run.to_json())
    assert back == run and back.key == run.key and back.inputs[0].run.inputs[0].digest


def test_a_very_large_selection_is_known_by_its_digest() -> None:
    cloud = wb.PointCloud(np.arange(20_000, dtype=np.float32)[:, None])
    run = cloud.select(np.arange(12_000)).run
    assert run is not None and not run.parameters and run.inputs[1].title == "array (12000,) of int64"
    assert (
        "step1 = given1.select(given2)"
        in wb.pca(cloud.select(np.arange(12_000)), n_components=1, **FEW).code()
    )


def test_two_modules_are_two_inputs() -> None:
    x = np.ones((4, 3), np.float32)
    acts = [wb.capture(torch.nn.Sequential(torch.nn.Linear(3, 3)), x, at="0") for _ in range(2)]
    assert acts[0].run.key != acts[1].run.key


def test_very_many_texts_are_an_input_and_not_written_into_every_run() -> None:
    @step
    def read(texts: list[str]) -> wb.PointCloud:
        return wb.PointCloud(np.ones((len(texts), 1)))

    few, many = read(["a", "b"]).run, read(["a"] * 5000).run
    assert few is not None and few.parameters == {"texts": ("a", "b")}
    assert many is not None and not many.parameters and [i.kind for i in many.inputs] == ["list"]


def test_rows_that_were_chosen_by_their_ids_are_not_tested_and_queries_and_samples_are() -> None:
    cloud = wb.planted_clusters(n=120)
    picked = cloud.ids[:40].tolist()

    def asked(subject: Any) -> tuple[set[bool], str]:
        found = wb.intrinsic_dimension(subject, n_neighbors=5, n_null=9, n_boot=0)
        return {e.p_value is None for e in found.evidence}, found.evidence[0].untested

    for chosen in (cloud.select(picked), cloud.select(np.isin(cloud.ids, picked)).sample(30)):
        untested, why = asked(chosen)
        assert untested == {True}
        assert why.startswith("these rows were chosen by looking at them: 40 rows of planted clusters")
    # the same rows, chosen otherwise: another question, with an answer of its own
    assert asked(cloud.select(picked, reason="the first forty"))[0] == {False}
    assert asked(cloud.select("cluster == 1"))[0] == asked(cloud.sample(40))[0] == {False}
    assert asked(cloud.select(picked))[0] == {True}
    values = cloud.values.copy()
    values[3] = np.nan
    assert asked(wb.PointCloud(values).drop_nonfinite())[0] == {False}
    assert asked(wb.pca(cloud.select(picked), n_null=0, n_boot=0))[0] == {True}


def test_labels_that_were_found_in_rows_are_not_tested_on_them() -> None:
    cloud = wb.planted_clusters(n=120)
    groups = wb.spectral_clustering(cloud, n_clusters=3, n_null=0)
    labelled = cloud.with_label(groups, "found")
    np.testing.assert_array_equal(labelled.column("found"), [str(g) for g in groups.labels])
    assert labelled.space == cloud.space and labelled.digest != cloud.digest
    (known,) = wb.linear_probe(labelled, label="cluster", n_null=19).evidence
    (found,) = wb.linear_probe(labelled, label="found", n_null=19).evidence
    assert known.p_value is not None and not known.untested
    assert found.p_value is None and found.untested.startswith(
        "the labels 'found' were found in these rows: Spectral"
    )
    assert found.value > 0.9
    shape = wb.intrinsic_dimension(labelled.select("found == '1'"), n_neighbors=5, n_null=9, n_boot=0)
    assert "'found' were found in these rows" in shape.evidence[0].untested
    code = wb.linear_probe(labelled, label="found", n_null=19).code()
    assert "step1.with_label(step2, name='found')" in code
    with pytest.raises(wb.WorkbenchError, match="already"):
        labelled.with_label(groups, "found")
    with pytest.raises(wb.WorkbenchError, match="has none"):
        cloud.with_label(wb.pca(cloud, n_null=0, n_boot=0))
    with pytest.raises(wb.WorkbenchError, match="no group for"):
        wb.planted_clusters(n=130).with_label(groups, "found")
