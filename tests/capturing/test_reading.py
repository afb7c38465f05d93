"""Readings: their rows are those of a capture, and a method that looks inside is asked of a network by its name."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch
from inside_for_tests import encode_words, reader, reading_of, texts

import workbench as wb
from workbench import asking
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError
from workbench.core.registry import method
from workbench.subjects.network import Batch, Network
from workbench.subjects.reading import Reading


def test_rows_are_those_of_a_capture() -> None:
    reading = Reading.example()
    acts = wb.capture(reading.network, reading.corpus, at="blocks.1", max_length=12)
    assert reading.space == acts.space and reading.table.equals(acts.table)
    assert reading.ids.tolist() == acts.ids.tolist()
    assert reading.tokens(1)[-1] == "[END]" and sum(reading.lengths) == len(reading.numbers)


def _marked(lines: Any, most: int) -> Batch:
    """As `encode_words`, with a marker before and behind each text, as tokenizers add them."""
    batch = encode_words(lines.assign(text=["w0 " + t + " w0" for t in lines["text"]]), most)
    keep = batch.keep
    last = keep.sum(axis=1) - 1
    markers = np.zeros_like(keep)
    markers[:, 0] = True
    markers[np.arange(len(keep)), last] = True
    return Batch(batch.inputs, keep, batch.rows, markers)


def test_markers_have_ids_behind_those_of_a_capture_so_that_both_speak_of_the_same_rows() -> None:
    made = reading_of(reader(), texts(4))
    network = Network("marked", made.network.digest, made.network.module, encode=_marked)
    lines = ["w1 w2 w3", "", "w4 w5"]
    acts = wb.capture(network, lines, at="blocks.1", max_length=12)
    reading = wb.reading(acts.select("position > 1"))
    assert reading.space == acts.space
    both = [t.astype({"text": str}) for t in (reading.table.loc[acts.ids], acts.table)]
    assert both[0].equals(both[1])
    assert reading.ids.tolist() == [5, 0, 1, 2, 6, 7, 8, 9, 3, 4, 10]  # the empty text is two markers
    assert reading.table["token"].loc[[5, 6, 7, 8, 9, 10]].tolist() == ["w0"] * 6
    whole = wb.reading(network, lines, max_length=12, markers=True)
    every = wb.capture(network, lines, at="blocks.1", max_length=12, markers=True)
    assert whole.space == every.space != reading.space and whole.table.equals(every.table)
    assert whole.digest != reading.digest  # else the one's answers would be taken for the other's


def test_a_capture_knows_what_it_was_made_of_and_another_with_the_same_texts_its_own_network() -> None:
    first, second = (reading_of(reader(seed), texts(4)).network for seed in (1, 2))
    lines = ["w1 w2 w3", "w4 w5"]
    one, two = (wb.capture(n, lines, at="blocks.1", max_length=12) for n in (first, second))
    assert one.space == two.space
    assert wb.reading(one).network is first and wb.reading(two.sample(2)).network is second
    assert wb.reading(one).max_length == 12
    with pytest.raises(ParameterError, match="its own texts"):
        wb.reading(one, lines)
    with pytest.raises(ParameterError, match="texts is missing"):
        wb.reading(first)


def test_a_capture_whose_network_was_let_go_says_what_to_give() -> None:
    acts = wb.capture(reading_of(reader(3), texts(4)).network, ["w1 w2"], at="blocks.1", max_length=12)
    gc.collect()
    with pytest.raises(MissingError, match=r"workbench.reading\(network, texts\)"):
        wb.reading(acts)


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
