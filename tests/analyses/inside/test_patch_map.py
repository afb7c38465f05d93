"""Patch map: a site does what a hook by hand does, a planted passage is found, and its broken twin has none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from inside_for_tests import bert, induction, llama, named, reader, reading_of, texts

import workbench as wb
from workbench.analyses.inside.patch_map import _standing_out
from workbench.core.errors import DataError, MissingError, ParameterError
from workbench.numerics.inside.patching import rotation
from workbench.subjects.reading import Reading

CLEAN, OTHER = "w3 w1 w2 w8 w4 w5 w6 w1", "w3 w8 w2 w1 w4 w5 w6 w1"
"""When the last word was there before, w2 followed it in the first text, and w4 in the other."""
FURTHER = "w3 w8 w2 w9 w4 w5 w6 w1"
"""One of other words, so that a network which looks at all alike answers otherwise too."""


def with_hook(model: torch.nn.Module, ids: torch.Tensor, path: str, change) -> torch.Tensor:
    """The logits after the last token, with an output changed."""
    handle = model.get_submodule(path).register_forward_hook(lambda m, args, out: change(out))
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, -1]
    handle.remove()
    return logits


def planted() -> Reading:
    """An induction head, and nothing else that writes."""
    reading = induction()
    with torch.no_grad():
        for block in reading.module.blocks[2:]:
            for layer in (block.attention.out, block.narrow):
                layer.weight.zero_()
                layer.bias.zero_()
    return Reading(reading.network, reading.corpus, max_length=12)


def numbers(text: str) -> torch.Tensor:
    return torch.tensor([[int(w[1:]) for w in text.split()]])


@pytest.mark.parametrize("part", [None, "mlp"])
def test_agrees_with_its_peer_a_hook_in_transformers(part: str | None) -> None:
    model = llama()
    seen: list[torch.Tensor] = []
    path = "model.layers.1" if part is None else "model.layers.1.mlp"
    clean = with_hook(model, numbers(CLEAN), path, seen.append)
    other = with_hook(model, numbers(OTHER), path, lambda out: None)
    right, wrong = clean.argmax(), other.argmax()
    assert right != wrong

    def patched(out: torch.Tensor) -> torch.Tensor:
        out = out.clone()
        out[0, 1] = seen[0][0, 1]
        return out

    now = with_hook(model, numbers(OTHER), path, patched)
    difference = [float(x[right] - x[wrong]) for x in (other, clean, now)]
    share = (difference[2] - difference[0]) / (difference[1] - difference[0])
    reading = reading_of(llama(), texts(4), encode=named)
    made = wb.patch_map(reading, text=CLEAN, corrupted=OTHER, part=part, n_null=0)
    assert made.values[1, 1] == pytest.approx(share, rel=1e-3, abs=1e-5)
    np.testing.assert_allclose(made.chances_before, other.softmax(-1).topk(5).values, rtol=1e-4)
    np.testing.assert_allclose(made.chances[1, 1], now.softmax(-1).topk(5).values, rtol=1e-4)


def test_known_answer_the_last_layer_gives_all_back_at_the_end_and_nothing_elsewhere() -> None:
    for made, encode in ((llama, {"encode": named}), (reader, {})):
        reading = reading_of(made(), texts(4), **encode)
        found = wb.patch_map(reading, text=CLEAN, corrupted=OTHER, n_null=0)
        assert found.values[-1, -1] == pytest.approx(1, abs=1e-4)
        assert np.abs(found.values[-1, :-1]).max() < 1e-4
        assert found.quantity.startswith("share") and found.evidence[0].untested


def test_the_planted_passage_is_found_and_its_broken_twin_has_none() -> None:
    reading = planted()
    found = wb.patch_map(reading, text=CLEAN, corrupted=OTHER)
    assert found.evidence_of("passes_between").p_value == 0.02
    # w2 notes in the first block that w1 stood before it, as w4 does in the other text: the head finds both, and takes half of each
    assert "'w2' less that of 'w4'" in found.caveat
    assert found.values[0, 2] == pytest.approx(0.5, abs=0.05) and found.high[0, 2] < 0.3
    assert found.p[0, 2] == 0.02 and (found.p[1:, 7] == 0.02).all()
    assert (found.p[1:, :7] > 0.05).all() and (found.p[0, 5:] > 0.05).all()
    twin = planted()
    with torch.no_grad():
        twin.module.blocks[0].attention.out.weight.zero_()  # notes nothing
    broken = wb.patch_map(Reading(twin.network, twin.corpus, max_length=12), text=CLEAN, corrupted=FURTHER)
    assert broken.evidence_of("passes_between").untested.startswith("no change at any")


def test_the_mean_in_one_text_is_an_ablation_and_moves_nothing_before_it() -> None:
    reading = reading_of(reader(), texts(8))
    found = wb.patch_map(reading, position=5, n_null=0)
    assert not found.values[:, 6:].any() and found.values[-1, 5] > 0
    alone = wb.site_ablation(reading, site="blocks.1", position=5, n_null=0, n_texts=8)
    # the same change of the same place; what is put there is the mean over the tokens of the same texts
    assert found.values[1, 5] == pytest.approx(alone.per_row[5, 0], rel=1e-3)


def test_of_other_networks_it_is_the_output_that_comes_back() -> None:
    reading = reading_of(bert(), texts(8), encode=named)
    found = wb.patch_map(reading, text=CLEAN, corrupted=OTHER, position=3, n_null=0)
    assert found.values[-1, 3] == pytest.approx(1, abs=1e-4) and not found.words
    assert (found.values <= 1 + 1e-6).all()


def test_the_largest_of_all_sites_is_one_of_its_draws_where_nothing_is_there() -> None:
    rng = np.random.default_rng(0)
    p = []
    for _ in range(400):
        drawn = rng.standard_t(3, (20, 2, 6)) * 10.0 ** rng.integers(-3, 3, (2, 6))
        own, others = _standing_out(drawn[0], drawn[1:])
        p.append((1 + (others.max(axis=(1, 2)) >= own.max()).sum()) / 20)
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.09


def test_a_rotation_keeps_lengths_and_angles_and_is_any() -> None:
    turns = np.array([rotation(3, np.random.default_rng(i)) for i in range(300)])
    np.testing.assert_allclose(
        turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-9
    )
    assert np.abs(turns.mean(axis=0)).max() < 0.15


def test_the_picture_holds_a_card_a_cell_whose_words_are_no_markup() -> None:
    found = wb.patch_map(induction(), text=CLEAN, corrupted=OTHER, n_null=19)
    cards = found.figure().layout.meta["cards"]
    assert len(cards["cells"]) == found.values.size
    card = cards["cells"][1]
    assert card["title"] == "layer 0, token 1: w1 (not w8)" and card["value"] == pytest.approx(
        found.values[0, 1]
    )
    assert card["band"] == pytest.approx([found.low[0, 1], found.high[0, 1]])
    assert [len(rows) for _, rows in card["lists"]] == [5, 5]
    narrower = found.figure(start=2, tokens=3).layout.meta["cards"]
    assert narrower["columns"] == 3 and narrower["cells"][0]["title"] == "layer 0, token 2: w2"


def test_what_is_not_there_is_refused() -> None:
    reading = reading_of(reader(), texts(8))
    with pytest.raises(ParameterError, match="has 8 tokens and corrupted has 3"):
        wb.patch_map(reading, text=CLEAN, corrupted="w1 w2 w3")
    with pytest.raises(ParameterError, match="corrupted is the text itself"):
        wb.patch_map(reading, text=CLEAN, corrupted=CLEAN)
    with pytest.raises(ParameterError, match="position=12 is not legal"):
        wb.patch_map(reading, position=12)
    with pytest.raises(MissingError, match="part='mlp'"):
        wb.patch_map(reading, part="mlp")
    with pytest.raises(DataError, match="answers the text and corrupted='w1 w2' alike"):
        wb.patch_map(_deaf(), text="w3 w2", corrupted="w1 w2")


def _deaf() -> Reading:
    """A reader that says the same whatever it reads."""
    module = reader()
    with torch.no_grad():
        module.head.weight.zero_()
    return reading_of(module, texts(8))
