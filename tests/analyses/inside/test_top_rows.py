"""Top rows: a neuron that was planted for a word shows that word, and the rows are those of a capture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from inside_for_tests import reader, reading_of, texts

import workbench as wb
from workbench.core.errors import DataError, MissingError, ParameterError
from workbench.numerics.small_reader import Reader


def planted() -> Reader:
    """Column 3 is large for the words w5 and w6 alone, and no block changes anything."""
    module = reader()
    with torch.no_grad():
        for block in module.blocks:
            for layer in (block.attention.out, block.narrow):
                layer.weight.zero_()
                layer.bias.zero_()
        module.embedding.weight[:, 3] *= 0.1
        module.embedding.weight[5:7, 3] = 9
        module.positions.weight[:, 3] = 0
    return module


def test_known_answer_of_a_neuron_for_two_words() -> None:
    found = wb.top_rows(reading_of(planted(), texts(60)), index=3, top=12, n_null=99)
    assert set(found.tokens) == {"w5", "w6"}
    assert found.evidence_of("excess").p_value == 0.01
    assert found.evidence_of("same_token").value > 0.4
    other = wb.top_rows(reading_of(planted(), texts(60)), index=4, top=12, n_null=99)
    assert other.evidence_of("excess").p_value > 0.05


def test_agrees_with_its_peer_numpy_on_a_capture() -> None:
    reading = reading_of(reader(), texts(30))
    acts = wb.capture(reading.network, reading.corpus, at="blocks.1", max_length=12)
    direction = np.random.default_rng(0).standard_normal((2, 16))
    scores = acts.at("blocks.1").values.astype(float) @ direction[1] / np.linalg.norm(direction[1])
    found = wb.top_rows(reading, wb.PointCloud(direction), index=1, top=10, n_null=0)
    order = np.argsort(-scores, kind="stable")[:10]
    assert found.ids.tolist() == acts.ids[order].tolist() and found.space == acts.space
    np.testing.assert_allclose(found.scores, scores[order], rtol=1e-5)
    row = acts.table.loc[found.ids[0]]
    assert row["token"] == found.tokens[0]
    assert f"{found.before[0]}{found.tokens[0]}{found.behind[0]}".split() == row["text"].split()


def test_markers_are_left_out_where_nobody_asks_for_them() -> None:
    from workbench.analyses.inside.top_rows import MARKER

    assert all(map(MARKER.fullmatch, ("[CLS]", "[SEP]", "<s>", "</s>", "<|endoftext|>", "<unk>")))
    assert not any(map(MARKER.fullmatch, ("cls", "[", "<", "a>b", "[1]")))


def test_what_cannot_be_looked_along_is_refused() -> None:
    reading = reading_of(reader(), texts(8))
    with pytest.raises(ParameterError, match="index=16 is not legal"):
        wb.top_rows(reading, index=16)
    with pytest.raises(DataError, match=r"5 columns.*16 numbers"):
        wb.top_rows(reading, wb.PointCloud(np.ones((2, 5))))
    with pytest.raises(DataError, match="is zero"):
        wb.top_rows(reading, wb.PointCloud(np.zeros((2, 16))))
    with pytest.raises(MissingError, match="no column 'topic'"):
        wb.top_rows(reading, label="topic")
    with pytest.raises(DataError, match="96 rows to choose from"):
        wb.top_rows(reading, top=96)
