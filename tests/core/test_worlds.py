"""A world as a subject: its parts share rows, its matrices open as weights, its tables are the same bytes each time."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.core.errors import DataError, FormatError, MissingError, ParameterError, WorkbenchError
from workbench.numerics.medusa.counters import normals
from workbench.numerics.medusa.model import in_full
from workbench.subjects.graph import Graph
from workbench.subjects.series import Series

ASKED = {"steps": 300, "generations": 0, "adapting": 0.5, "reaching": 0.3}


@pytest.fixture(scope="module")
def world() -> wb.World:
    return wb.medusa(**ASKED)


def test_parts_share_their_rows(world: wb.World) -> None:
    assert world.parts() == ("sentences", "events", "r", "q", "p", "u", "heads", "graph", "series")
    assert world.parts(Graph) == ("graph",) and "events" not in world.parts(Series)
    steps = {world.at(name).space for name in ("series", "heads", "r", "q", "p", "u", "events")}
    nodes = {world.at(name).space for name in ("graph", "sentences")}
    assert len(steps) == len(nodes) == 1 and steps != nodes
    assert world.at("r").channels == tuple(map(str, world.at("graph").ids))
    with pytest.raises(MissingError, match=r"no one part 'sereis'.*series"):
        world.at("sereis")


def test_series_and_graph_methods_are_asked_of_the_world_itself(world: wb.World) -> None:
    whole, part = (wb.pca(x, n_null=0) for x in (world, world.at("series")))
    assert np.array_equal(whole.values, part.values)
    assert wb.communities(world, n_null=0).table().equals(wb.communities(world.at("graph"), n_null=0).table())
    assert world.at("heads").run is not None and world.at("heads").run.inputs[0].run.method == "medusa"


def test_a_saved_world_opens_as_weights(world: wb.World, tmp_path: Path) -> None:
    first, second = world.save(tmp_path / "one"), wb.medusa(**ASKED).save(tmp_path / "two")
    assert sorted(p.name for p in first.iterdir()) == ["config.json", "model.safetensors"]
    for file in first.iterdir():
        assert file.read_bytes() == (second / file.name).read_bytes()
    opened = wb.open(first)
    weights = opened["rates.weight"]
    i, j = world.graph.edges.T
    assert np.allclose(weights[i, j], world.weights, atol=1e-6) and np.array_equal(weights, weights.T)
    assert len(wb.singular_values(opened.at("rates.weight"), n_null=0).table()) > 10
    made = json.loads((first / "config.json").read_text())["made"]
    assert made["random_state"] == 0 and made["generations"] == 0


def test_the_opened_network_takes_the_worlds_own_step(world: wb.World, tmp_path: Path) -> None:
    """A step of the matrices in full is the system's, but for the noise, which is off here."""
    still = wb.medusa(**ASKED, strength=0.0, random_state=3)
    assert (still.states["r"] == 0).all()
    module = in_full(world.config, world.maps, world.given).double()
    noise = np.sqrt(0.1)  # of a step
    drawn = 0.5 * noise * normals(0, 0, range(300), len(world.graph), [0])[..., 0]
    held = np.zeros(module.config.looks)
    for t in range(60):
        now = np.concatenate([*(world.states[s][t] for s in ("r", "q", "p")), held])
        after = module(torch.from_numpy(now)[None])[0].detach().numpy()
        r, q, p, _ = np.split(after, np.cumsum([len(world.graph)] * 3))
        assert np.allclose(r + drawn[t], world.states["r"][t + 1], atol=1e-6)
        assert np.allclose(q, world.states["q"][t + 1], atol=1e-6)
        assert np.allclose(p, world.states["p"][t + 1], atol=1e-6)
        # the heads look at where the noise has led
        rq = torch.from_numpy(np.concatenate([r + drawn[t], q]))
        held = 0.9 * held + 0.1 * torch.tanh(module.looks(rq)).detach().numpy()
        assert np.allclose(held[::4], world.heads[t + 1], atol=1e-6)


def test_a_configuration_that_is_none_is_refused(world: wb.World, tmp_path: Path) -> None:
    folder = world.save(tmp_path / "world")
    read = json.loads((folder / "config.json").read_text())
    for changed, said in (({"nodes": 10**9}, "nodes"), ({"h": -1}, "h:"), ({"nodes": 57}, "tensors differ")):
        (folder / "config.json").write_text(json.dumps({**read, **changed}))
        with pytest.raises(FormatError, match=said):
            wb.open(folder).network()


def test_matrices_are_not_written_in_full_beyond_a_bound() -> None:
    large = wb.medusa(generations=3, steps=50, u=2, v=2)
    assert len(large.graph) > 2048
    with pytest.raises(DataError, match=f"{len(large.graph):,} nodes.*at most 2,048"):
        large.matrices()


def test_tables_are_the_same_bytes_and_say_what_they_are(world: wb.World, tmp_path: Path) -> None:
    one = world.to_parquet(tmp_path / "one", states=("r", "u"))
    two = wb.medusa(**ASKED).to_parquet(tmp_path / "two", states=("r", "u"))
    names = sorted(p.name for p in one.iterdir())
    assert names == [
        "edges.parquet",
        "events.parquet",
        "heads.parquet",
        "manifest.json",
        "nodes.parquet",
        "series.parquet",
        "states.parquet",
    ]
    assert all((one / n).read_bytes() == (two / n).read_bytes() for n in names)
    manifest = json.loads((one / "manifest.json").read_text())
    assert manifest["seed"] == 0 and manifest["call"]["steps"] == 300 and "torch" in manifest["versions"]
    assert (
        manifest["sha256"] == {n: sha256((one / n).read_bytes()).hexdigest() for n in manifest["sha256"]}
        and len(manifest["sha256"]) == 6
    )
    states = pd.read_parquet(one / "states.parquet")
    row = states[(states["step"] == 7) & (states["node"] == 3)]
    assert row["r"].item() == world.states["r"][7, 3] and list(states) == ["step", "node", "r", "u"]
    events = pd.read_parquet(one / "events.parquet")
    assert events["text"].tolist() == world.events.table["text"].tolist()
    with pytest.raises(ParameterError, match=r"states='x' is not legal\. It takes some of r, q, p, u"):
        world.to_parquet(tmp_path / "three", states=("x",))
    assert not (tmp_path / "three").exists()


@pytest.mark.slow
def test_sentences_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "tale.txt").write_text("The frog sat. It rained! Was it wet?\n\nThe frog left")
    told = wb.sentences(tmp_path / "tale.txt")
    assert told.table["text"].tolist() == ["The frog sat.", "It rained!", "Was it wet?", "The frog left"]
    assert told.values.shape == (4, 384)
    labelled = pd.DataFrame({"text": ["A frog sat.", "A bird sang."], "place": ["pond", "tree"]})
    assert wb.sentences(labelled).table["place"].tolist() == ["pond", "tree"]
    world = wb.medusa(told, steps=60)
    assert world.run.inputs[0].run.method == "sentences"
    for text, said in (
        ("", "is empty"),
        (" \n ", "is empty"),
        ("Only one.", "has 1 sentence"),
        ("a. " * 400_000, "characters"),
    ):
        with pytest.raises(DataError, match=said):
            wb.sentences(text)
    (tmp_path / "odd.txt").write_bytes(b"A caf\xe9. It rained.")
    for file, why in (("odd.txt", "Save it as UTF-8"), ("none.txt", "none.txt")):
        with pytest.raises(WorkbenchError, match=why):
            wb.sentences(tmp_path / file)


def test_the_command_line_says_what_is_kept_can_be_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from workbench.cli import main

    out = tmp_path / "w"
    assert main(["run", "medusa", "--steps", "60", "--generations", "0", "--out", str(out)]) == 0
    assert f"Ask of it with: workbench weights {out}" in " ".join(capsys.readouterr().out.split())
