"""A simpler network of the same shapes: proven equal, taken back, and saved so that transformers loads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nets_of_units_for_tests import net, of
from torch import nn

import workbench as wb
from workbench.core.errors import DataError


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")


def planted() -> nn.Sequential:
    """Of 8 units one is twice another, one the same, one constant; in the second layer one is off below 1."""
    rng = np.random.default_rng(0)
    w, b = rng.integers(-8, 9, (8, 3)) / 8, rng.integers(-8, 9, 8) / 8
    w[3], b[3] = 2 * w[0], 2 * b[0]
    w[5], b[5] = w[1], b[1]
    w[6], b[6] = 0, 0.5
    v, c = rng.integers(-8, 9, (5, 8)) / 8, rng.integers(-8, 9, 5) / 8
    v[2], c[2] = np.abs(v[2]), -1000
    return of(w, b, v, c, rng.integers(-8, 9, (2, 5)) / 8, np.zeros(2))


def test_known_answer_planted_units_are_silent_and_the_function_stays() -> None:
    a = wb.open(planted(), name="a")
    edit = wb.simplify(a)
    assert (
        edit.label
        == "3 of 13 hidden units silenced (3 proven to keep the function on all inputs, 0 but for rounding)"
    )
    b = a + edit
    assert not b.module[0].weight[[3, 5, 6]].any() and not b.module[2].weight[:, [3, 5, 6]].any()
    assert wb.equivalence(a, b, n_samples=200).verdict == "proven"
    boxed = wb.simplify(a, low=-1.0, high=1.0)
    assert boxed.label.startswith("4 of 13") and not (a + boxed).module[4].weight[:, 2].any()
    assert wb.equivalence(a, a + boxed, low=-1.0, high=1.0, n_samples=200).verdict == "proven"
    assert wb.equivalence(a, a + boxed, n_samples=200).verdict == "refuted"  # far out that unit acts
    assert ((b - edit).module[0].weight == a.module[0].weight).all()


def test_a_broken_plan_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken twin: a unit taken out as if it were constant."""
    from workbench.numerics.exact import simplifying

    move = simplifying._Move(0, None, simplifying.Fraction(0))
    monkeypatch.setattr(simplifying, "_constants", lambda rows: [move])
    with pytest.raises(DataError, match="its check failed"):
        wb.simplify(wb.open(planted()))


def test_where_new_weights_round_the_title_says_so_and_outputs_hardly_move() -> None:
    a = planted()
    with torch.no_grad():
        a[2].weight.normal_(generator=torch.Generator().manual_seed(0))
    a = wb.open(a, name="a")
    edit, x = wb.simplify(a), torch.randn(200, 3)
    assert edit.rounded and edit.label.endswith(f"{edit.rounded} but for rounding)")
    torch.testing.assert_close((a + edit).module(x), a.module(x), rtol=0, atol=1e-5)
    exact = wb.simplify(a, rounding=False)
    assert wb.equivalence(a, a + exact, n_samples=200).verdict == "proven"
    assert wb.equivalence(a, a + edit, n_samples=200).verdict == "refuted"


def test_it_composes_with_other_edits_and_is_saved_by_itself(tmp_path: Path) -> None:
    a = wb.open(planted(), name="a")
    edit = wb.simplify(a)
    edit.save(tmp_path / "edit")
    x = torch.randn(50, 3)
    again = (a + wb.load(tmp_path / "edit")).module(x)
    torch.testing.assert_close(again, a.module(x), rtol=0, atol=1e-5)
    both = a + edit + wb.Dense({"4.bias": np.ones(2)}, 0.5)
    torch.testing.assert_close(both.module(x), a.module(x) + 0.5, rtol=0, atol=1e-5)


def test_where_all_units_are_needed_none_is_silenced() -> None:
    a = wb.open(net(4, 6, 2), name="a")
    edit = wb.simplify(a)
    assert edit.label.startswith("0 of 6 hidden units silenced") and not edit.tensors


def test_a_transformer_is_saved_so_that_transformers_loads_it(tmp_path: Path) -> None:
    from transformers import AutoModel, BertConfig, BertModel

    torch.manual_seed(0)
    made: Any = BertModel(
        BertConfig(
            hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, vocab_size=20
        )
    ).eval()
    with torch.no_grad():
        up, down = made.encoder.layer[1].intermediate.dense, made.encoder.layer[1].output.dense
        up.weight[7], up.bias[7] = up.weight[2], up.bias[2]
        down.weight[:] = (down.weight * 1024).round() / 1024  # so that the sum of two is a float
    made.save_pretrained(tmp_path / "before")
    before = wb.open(tmp_path / "before")
    edit = wb.simplify(before)
    assert (
        edit.label
        == "1 of 24 hidden units silenced (1 proven to keep the function on all inputs, 0 but for rounding)"
    )
    assert all(name.startswith("encoder.layer.1.") for name in edit.tensors)
    (before + edit).save(tmp_path / "after")
    after = AutoModel.from_pretrained(tmp_path / "after").eval()
    assert not after.encoder.layer[1].output.dense.weight[:, 7].any()
    tokens = torch.arange(10)[None]
    with torch.no_grad():
        torch.testing.assert_close(
            after(tokens).last_hidden_state, made(tokens).last_hidden_state, rtol=0, atol=1e-5
        )
