"""Readings: their rows are those of a capture, and a method that looks inside is asked of a network by its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from inside_for_tests import encode_words, reader, reading_of, texts

import workbench as wb
from workbench import asking
from workbench.core.errors import DataError, ParameterError, ViewError
from workbench.core.registry import method
from workbench.subjects.network import Batch, Network
from workbench.subjects.reading import Reading


def test_rows_are_those_of_a_capture() -> None:
    reading = Reading.example()
    acts = wb.capture(reading.network, reading.corpus, at="blocks.1", max_length=12)
    assert reading.space == acts.space and reading.table.equals(acts.table)
    assert reading.ids.tolist() == acts.ids.tolist()
    assert reading.tokens(1)[-1] == "[END]" and sum(reading.lengths) == len(reading.numbers)


def test_texts_without_a_token_are_left_out() -> None:
    network = reading_of(reader(), texts(4)).network
    reading = wb.reading(network, ["w1 w2", "", "w3"], max_length=12)
    acts = wb.capture(network, ["w1 w2", "", "w3"], at="blocks.1", max_length=12)
    assert len(reading) == 2 and reading.table.equals(acts.table)
    with pytest.raises(DataError, match="holds a token"):
        wb.reading(network, "", max_length=12)


def test_texts_of_one_length_are_as_many_tokens_as_there_can_be() -> None:
    network = reading_of(reader(), texts(4)).network
    lines = ["w1 " * n for n in (2, 5, 5, 5, 11)]
    places, length = wb.reading(network, lines, max_length=12).alike(100, 0)
    assert length == 5 and places.tolist() == [1, 2, 3, 4]


def test_what_it_is_made_of_is_written_down_and_changes_count() -> None:
    network = reading_of(reader(), texts(4)).network
    reading = wb.reading(network, ["w1 w2 w3"] * 8, max_length=12)
    assert (
        reading.run.method == "reading" and "max_length=12" in wb.attention_patterns(reading, n_null=0).code()
    )
    before = wb.attention_patterns(reading, n_untrained=0, n_null=0)
    with torch.no_grad():
        network.module.blocks[0].attention.query.weight.mul_(3)
    after = wb.attention_patterns(reading, n_untrained=0, n_null=0)
    assert before.run.key != after.run.key and np.abs(before.maps - after.maps).max() > 1e-3
    untrained = reading.untrained(random_state=1)
    assert "untrained, seed 1" in untrained.name and untrained.space == reading.space
    assert untrained.digest != reading.digest


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(ViewError, match="doesn't read text"):
        wb.reading(Network.example(), "w1")
    with pytest.raises(ViewError, match="given a Sequential"):
        wb.reading(torch.nn.Sequential(), "w1")

    def padded_in_front(lines: Any, most: int) -> Batch:
        batch = encode_words(lines, most)
        return Batch(batch.inputs, batch.keep[:, ::-1].copy(), batch.rows)

    network = Network("backwards", "", reader(), encode=padded_in_front)
    with pytest.raises(ViewError, match="padding behind"):
        wb.reading(network, ["w1", "w1 w2"], max_length=12)


def test_a_network_is_read_where_a_method_looks_inside(tmp_path: Any) -> None:
    lens = method("logit_lens")
    (spec,) = lens.inputs
    network = Reading.example().network
    assert asking.looks_inside(spec) and asking.reads(spec, network) and not asking.narrows(spec, network)
    (tmp_path / "texts.txt").write_text("\n\n".join(["w1 w2 w3 w4"] * 8))
    reading = {"corpus": str(tmp_path / "texts.txt"), "capture_max_length": 12}
    (prepared,) = asking.prepare(lens, [network], lambda *_: None, reading=reading)
    assert isinstance(prepared, Reading) and len(prepared) == 8
    with pytest.raises(ParameterError, match="no rows to choose from"):
        asking.prepare(lens, [network], lambda *_: None, reading=reading, rows={"sample": 5})
    with pytest.raises(ViewError, match="the texts that it reads"):
        asking.require(spec, wb.circle(n=5), "logit_lens")
