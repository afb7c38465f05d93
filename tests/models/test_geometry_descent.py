"""A GPT of each kind descends, saves and opens as it was; what a letter costs at least is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.core.errors import FormatError, ParameterError
from workbench.numerics.attention import NAMES
from workbench.numerics.geometry.text import Language
from workbench.numerics.reparametrizations import NAMES as REPARAMETRIZATIONS

SMALL: dict[str, Any] = {"steps": 2, "width": 16, "layers": 1, "heads": 2, "length": 12, "texts": 2}


@pytest.mark.parametrize("name", NAMES)
def test_each_kind_descends_and_opens_as_it_was_saved(name: str, tmp_path: Path) -> None:
    descent = wb.geometry_descent(mechanism=name, **SMALL)
    assert np.isfinite(descent.table["loss"]).all() and descent.truth["flops"] > 0
    descent.at(2).save(tmp_path / "gpt")
    config = json.loads((tmp_path / "gpt" / "config.json").read_text())
    assert (config["model_type"], config["mechanism"]) == ("workbench_geometry", name)
    opened, x = wb.open(tmp_path / "gpt").network().module, torch.arange(12)[None]
    assert torch.equal(opened(x), descent.network(2)(x))


def test_a_configuration_that_is_not_legal_is_refused(tmp_path: Path) -> None:
    wb.geometry_descent(**SMALL).at(2).save(tmp_path / "gpt")
    path = tmp_path / "gpt" / "config.json"
    config = json.loads(path.read_text())
    for change, why in (
        ({"mechanism": "os.system"}, "there is no 'os.system'"),
        ({"heads": 3}, "allows heads=1, 2, 4, 8"),
        ({"mechanism": "quaternion"}, None),
        ({"layers": 256}, "aren't those of the network"),
    ):
        path.write_text(json.dumps({**config, **change}))
        if why is None:  # it has the same weights: what they mean is the configuration's to say
            wb.open(tmp_path / "gpt").network()
            continue
        with pytest.raises(FormatError, match=why):
            wb.open(tmp_path / "gpt").network()


def test_what_drew_the_weights_is_kept_and_draws_the_control(tmp_path: Path) -> None:
    descent = wb.geometry_descent(initializer="cellular_automaton", **SMALL)
    descent.at(2).save(tmp_path / "gpt")
    opened = wb.open(tmp_path / "gpt").network()
    control = opened.untrained(random_state=1).module
    assert all(len(m.weight.unique()) == 2 for m in control.modules() if hasattr(m, "weight"))
    assert len(opened.module.lm_head.weight.unique()) > 2


@pytest.mark.parametrize("name", REPARAMETRIZATIONS)
def test_each_reparametrization_descends_and_opens_as_it_was_saved(name: str, tmp_path: Path) -> None:
    descent = wb.geometry_descent(reparametrization=name, **SMALL)
    descent.at(2).save(tmp_path / "gpt")
    opened, x = wb.open(tmp_path / "gpt").network().module, torch.arange(12)[None]
    assert torch.equal(opened(x), descent.network(2)(x))


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ParameterError, match="muon's don't grow with the width"):
        wb.geometry_descent(reparametrization="mup", optimizer="muon", **SMALL)
    with pytest.raises(ParameterError, match="heads=1, 2, 4"):
        wb.geometry_descent(mechanism="gauge", **{**SMALL, "heads": 3})


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "hoss"])
def test_each_optimizer_lowers_what_is_held_out(optimizer: str) -> None:
    descent = wb.geometry_descent(
        optimizer=optimizer, schedule="ordinal", **{**SMALL, "steps": 20, "texts": 8}
    )
    loss = descent.table["loss"].to_numpy() / np.log(2)
    assert descent.truth["bits"] < loss[-1] < loss[0]


def test_the_bits_of_a_language_are_those_of_what_is_written() -> None:
    language = Language.drawn(8, 0)
    x = language.written(400, 200, np.random.default_rng(0))
    p = language.following[x[:, :-2], x[:, 1:-1], x[:, 2:]]
    each = -np.log2(p).mean(1)
    assert abs(each.mean() - language.bits) < 4 * each.std() / np.sqrt(len(each))
    assert language.bits < np.log2(8) - 0.5


@pytest.mark.parametrize("optimizer", ["muon", "hoss"])
@pytest.mark.parametrize("name", [n for n in NAMES if n != "standard"])
def test_each_kind_takes_each_optimizer_or_refuses_it(name: str, optimizer: str) -> None:
    if (name, optimizer) == ("reversible", "hoss"):
        with pytest.raises(ParameterError, match="second derivatives, which reversible layers don't have"):
            wb.geometry_descent(mechanism=name, optimizer=optimizer, **SMALL)
        return
    descent = wb.geometry_descent(
        mechanism=name,
        optimizer=optimizer,
        schedule="ordinal",
        **{**SMALL, "steps": 25 if optimizer == "muon" else 10, "texts": 16, "length": 24},
    )
    loss = descent.table["loss"].to_numpy()
    assert np.isfinite(loss).all() and loss[-1] < loss[0]
