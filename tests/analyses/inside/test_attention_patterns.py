"""Attention patterns: heads that were planted are found, and the maps are those that transformers gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from inside_for_tests import bert, induction, llama, named, reader, reading_of, texts

import workbench as wb
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError
from workbench.numerics.inside.heads import Matches, attention_maps, layer_names


def test_known_answer_of_an_induction_head() -> None:
    found = wb.attention_patterns(induction(), n_untrained=3, n_null=99)
    table = found.table()
    assert table.loc["layer 0, head 0", "previous token"] > 0.99
    assert table.loc["layer 1, head 0", "what followed the same token, beyond position"] > 0.3
    heads = found.evidence_of("after_same_token")
    assert "layer 1, head 0" in heads.label and heads.p_value == 0.01
    assert found.evidence_of("previous_token").p_value < 0.01


def test_a_head_that_goes_by_position_alone_is_foretold_by_it() -> None:
    found = wb.attention_patterns(induction(), n_untrained=0, n_null=0).table()
    assert found.loc["layer 0, head 0", "by position"] > 0.99
    assert found.loc["layer 1, head 0", "by position"] < 0.9


@pytest.mark.parametrize("made", [llama, bert], ids=["llama", "bert"])
def test_agrees_with_its_peer_transformers(made) -> None:
    reading = reading_of(made(), texts(8), encode=named)
    found = wb.attention_patterns(reading, text_id=3, n_untrained=0, n_null=0)
    ((_, batch),) = reading.batches(np.array([3]))
    model = made()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        peer = torch.cat([a[0] for a in model(**batch.inputs, output_attentions=True).attentions])
    assert np.abs(found.maps - peer.numpy()).max() < 1e-5
    assert found.names[5] == "layer 1, head 1" and found.ids.tolist() == list(range(36, 48))


def test_a_module_of_torch_is_asked_for_its_weights() -> None:
    class Small(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(60, 16)
            self.layers = torch.nn.ModuleList(
                torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True) for _ in range(2)
            )

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.words(ids)
            for layer in self.layers:
                x = layer(x)
            return x

    torch.manual_seed(0)
    module = Small().eval()
    ids = torch.arange(12).reshape(2, 6)
    maps, answer = attention_maps(module, {"ids": ids})
    assert list(maps) == ["layers.0.self_attn", "layers.1.self_attn"]
    assert all(m.shape == (2, 4, 6, 6) for m in maps.values())
    with torch.no_grad():
        x = module.words(ids)
        peer = module.layers[0].self_attn(x, x, x, average_attn_weights=False)[1]
        torch.testing.assert_close(maps["layers.0.self_attn"], peer)
        torch.testing.assert_close(answer, module(ids))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_sums_over_texts_do_not_depend_on_how_many_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.analyses.inside import _texts

    usual = wb.attention_patterns(reading_of(reader(), texts()), n_untrained=0, n_null=0).measures
    monkeypatch.setattr(_texts.batches, "__defaults__", (5,))
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    again = wb.attention_patterns(reading_of(reader(), texts()), n_untrained=0, n_null=0).measures
    np.testing.assert_allclose(again, usual, atol=1e-6)


def test_matches_by_their_definition() -> None:
    numbers = np.array([[3, 5, 3, 5, 4]])
    found = Matches.of(numbers, causal=True)
    assert np.argwhere(found.same[0]).tolist() == [[2, 0], [3, 1]]
    assert np.argwhere(found.after_same[0]).tolist() == [[2, 1], [3, 2]]
    both = Matches.of(numbers, causal=False)
    assert np.argwhere(both.same[0]).tolist() == [[0, 2], [1, 3], [2, 0], [3, 1]]
    assert np.argwhere(both.after_same[0]).tolist() == [[0, 3], [1, 4], [2, 1], [3, 2]]


def test_layers_are_called_by_what_differs() -> None:
    assert layer_names(["a.0.att.self", "a.1.att.self"]) == ["layer 0", "layer 1"]
    assert layer_names(["model.layers.3.self_attn"]) == ["layer 3"]
    assert layer_names(["encoder.0.att", "decoder.0.att"]) == ["encoder", "decoder"]


def test_a_typed_text_is_shown_and_belongs_to_no_row() -> None:
    found = wb.attention_patterns(reading_of(reader(), texts()), text="w1 w2 w3", n_untrained=0, n_null=0)
    assert found.tokens == ("w1", "w2", "w3") and found.maps.shape == (4, 3, 3) and not len(found.ids)


def test_what_cannot_be_shown_is_refused() -> None:
    reading = reading_of(reader(), texts(8))
    with pytest.raises(MissingError, match="no text_id=99"):
        wb.attention_patterns(reading, text_id=99)
    with pytest.raises(ParameterError, match="two texts"):
        wb.attention_patterns(reading, text="w1", text_id=1)
    with pytest.raises(DataError, match="1 tokens"):
        wb.attention_patterns(reading_of(reader(), texts(8, length=1)))

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(60, 8)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.words(ids)

    with pytest.raises(ViewError, match="no attention"):
        wb.attention_patterns(reading_of(Flat(), texts(8)))
