"""Calibration: runs that are kept, rates that are counted, worlds whose truth is what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workbench.calibrating import ledger, running
from workbench.calibrating.ledger import Answer, Rate
from workbench.calibrating.world import worlds, worlds_for
from workbench.core.errors import MissingError
from workbench.core.registry import method, methods
from workbench.core.result import Result
from workbench.core.subject import Subject


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("world", worlds(), ids=lambda w: f"{w.name}-{'-'.join(w.gives)}")
def test_a_world_gives_what_it_says_and_the_same_for_the_same_seed(world) -> None:
    drawn, again, other = (world.make(np.random.default_rng(s)) for s in (0, 0, 1))
    assert len(drawn) == len(world.gives)
    for thing, view in zip(drawn, world.gives, strict=True):
        assert isinstance(thing, Subject | Result)
        assert view in thing.gives or type(thing).__name__ == view
    assert [d.digest for d in drawn] == [a.digest for a in again]
    assert [d.digest for d in drawn] != [o.digest for o in other]
    assert world.says and not world.says.endswith(".")


def test_no_two_worlds_that_a_method_is_asked_in_have_one_name() -> None:
    for name in ("pca", "cka"):
        names = [w.name for w in worlds_for(method(name))]
        assert len(names) == len(set(names)) > 3


def test_a_world_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(MissingError, match="heavy tails"):
        worlds_for(method("pca"), ("heavy",))


def test_runs_are_kept_and_only_new_ones_are_made() -> None:
    asked = method("pca")
    world = worlds_for(asked, ("iid",))
    ((_, first),) = running.calibrate(asked, world, 5, 1)
    path = running.records_of(asked, world[0])
    before = path.read_text()
    with path.open("a") as file:  # a line that a kill cut short
        file.write('{"seed": 5, "answ')
    ((_, second),) = running.calibrate(asked, world, 5, 1)
    assert second == first and set(first) == set(range(5))
    assert path.read_text().startswith(before)
    record = running.run_once(asked, world[0], 3)
    assert record["answers"] == first[3]["answers"]


def test_what_was_counted_is_what_came() -> None:
    asked = method("pca")
    (world,) = worlds_for(asked, ("texts 0.5",))
    records = {
        s: {
            "seed": s,
            "seconds": 0.1,
            "answers": {
                "variance_explained": {
                    "value": float(s),
                    "p": 0.05 if s < 2 else 0.5,
                    "interval": [s - 1.0, s + 1.0],
                    "untested": "",
                    "groups": "24 texts",
                }
            },
        }
        for s in range(5)
    } | {5: {"seed": 5, "refused": "no"}}
    entry = ledger.entry_of(asked, world, records)
    answer = entry.answers["variance_explained"]
    assert (entry.runs, entry.refused, entry.grouped, answer.holds) == (6, 1, True, False)
    assert answer.rejected == Rate(2, 5)
    assert answer.covered == Rate(3, 5)  # those around 2, the mean of 0 to 4


def test_rates_out_of_their_bounds_are_seen() -> None:
    none = Rate(0, 0)
    assert Answer(False, Rate(12, 200), none).in_bounds
    assert not Answer(False, Rate(40, 200), none).in_bounds
    assert Answer(True, Rate(200, 200), none).in_bounds
    assert Answer(False, none, Rate(190, 200)).in_bounds
    assert not Answer(False, none, Rate(140, 200)).in_bounds
    assert not Answer(False, none, Rate(400, 400)).in_bounds
    assert Answer(False, none, Rate(400, 400), conservative=True).in_bounds
    assert not Answer(False, none, Rate(140, 200), conservative=True).in_bounds
    assert Rate(10, 200).error == pytest.approx(0.0158, abs=1e-3)


def test_a_ledger_is_written_read_and_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "FOLDER", tmp_path)
    ledger.read.cache_clear()
    asked = method("pca")
    for name in ("iid", "texts 0.5"):
        (world,) = worlds_for(asked, (name,))
        ((_, records),) = running.calibrate(asked, [world], 4, 1)
        ledger.write("pca", {name: ledger.entry_of(asked, world, records)})
    held = ledger.read("pca")
    assert set(held) == {"iid", "texts 0.5"} and not ledger.stale(asked)
    assert json.loads((tmp_path / "pca.json").read_text())["worlds"]["iid"]["runs"] == 4
    assert "texts with half" in ledger.quoted("pca", "variance_explained", grouped=True)
    assert "independent Gaussian rows" in ledger.quoted("pca", "variance_explained", grouped=False)
    of_now, of_then = (
        ledger.quoted("pca", "variance_explained", grouped=True, version=v) for v in (asked.version, "before")
    )
    assert of_then == f"{of_now} It was measured with earlier code."
    never = "How often it claims what isn't there was never measured."
    assert ledger.quoted("pca", "nothing", grouped=True) == never == ledger.quoted("umap", "x", grouped=False)
    ledger.write("pca", {"texts 0.5": replace(held["texts 0.5"], grouped=False)})
    assert "in rows of groups was never" in ledger.quoted("pca", "variance_explained", grouped=True)
    ledger.read.cache_clear()


def test_rates_are_later_codes_too_where_it_answers_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from workbench.commands.calibrate import calibrate

    monkeypatch.setattr(ledger, "FOLDER", tmp_path)
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    ledger.read.cache_clear()
    asked = method("pca")
    made = {}
    for world in worlds_for(asked, ("iid", "texts 0.5")):
        ((_, records),) = running.calibrate(asked, [world], 4, 1)
        made[world.name] = replace(ledger.entry_of(asked, world, records), version="earlier")
    value, p = made["iid"].first["variance_explained"][1]
    others = {
        "variance_explained": [*made["iid"].first["variance_explained"][:1], [value * 1.01, p], [value, p]]
    }
    ledger.write("pca", {**made, "iid": replace(made["iid"], first=others)})
    assert set(ledger.stale(asked)) == {"iid", "texts 0.5"}
    said = CliRunner().invoke(calibrate, ["pca", "--confirm", "--jobs", "1"]).output
    assert "pca: the answers changed in iid" in said
    assert ledger.stale(asked) == ["iid"]
    assert ledger.read("pca")["texts 0.5"].runs == 4
    ledger.read.cache_clear()


def test_a_method_without_rates_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from workbench.commands.calibrate import calibrate

    monkeypatch.setattr(ledger, "FOLDER", tmp_path)
    ledger.read.cache_clear()
    without = next(m for m in methods() if m.verb == "analysis" and not worlds_for(m))
    said = CliRunner().invoke(calibrate, [without.name, "pca", "--show"]).output
    assert f"{without.name}: there is no data of known truth for it." in said
    assert "pca: it was never calibrated." in said
    ledger.read.cache_clear()
