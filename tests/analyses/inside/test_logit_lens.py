"""Logit lens: the last layer is the network's own answer, and each layer what its last steps make of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from inside_for_tests import bert, induction, llama, named, reader, reading_of, texts

import workbench as wb
from workbench.core.errors import ViewError
from workbench.numerics.inside.stream import read_off, stream


def test_known_answer_at_the_last_layer_is_the_networks_own() -> None:
    reading = reading_of(llama(), texts(8), encode=named)
    ((_, batch),) = reading.batches(np.array([0]))
    known = stream(reading.module, batch.inputs)
    with torch.no_grad():
        own = llama()(**batch.inputs).logits
    assert torch.equal(read_off(reading.module, batch.inputs, known, known.at(known.names[-1])), own)
    found = wb.logit_lens(reading, n_null=0)
    p = own[0].softmax(-1)
    follows = reading.numbers[1:12].copy()
    np.testing.assert_allclose(found.probability[-1], p.max(-1).values.numpy(), rtol=1e-5)
    np.testing.assert_allclose(found.true_probability[-1, :-1], p[range(11), follows].numpy(), rtol=1e-5)
    rank = 1 + (p[:-1] > p[range(11), follows][:, None]).sum(-1)
    assert found.rank[-1].tolist() == [*rank.tolist(), 0]


def test_agrees_with_its_peer_transformers_at_every_layer() -> None:
    model, reading = llama(), reading_of(llama(), texts(8), encode=named)
    found = wb.logit_lens(reading, text_id=2, n_null=0)
    ((_, batch),) = reading.batches(np.array([2]))
    with torch.no_grad():
        states = model(**batch.inputs, output_hidden_states=True).hidden_states[
            :-1
        ]  # the last is normed already
        peer = [model.lm_head(model.model.norm(h))[0].softmax(-1).max(-1) for h in states]
    assert found.layers == ("input", "layer 0", "layer 1", "layer 2")
    for i, top in enumerate(peer):
        np.testing.assert_allclose(found.probability[i], top.values.numpy(), rtol=1e-4)


def test_an_induction_head_reads_what_comes_next_from_its_layer_on() -> None:
    reading = induction()
    found = wb.logit_lens(reading, n_null=99)
    p = {e.of: e.p_value for e in found.evidence}
    assert p["layer 1"] == 0.01 and p["input"] > 0.05
    gain = {e.of: e.value for e in found.evidence}
    assert gain["layer 1"] > 2 * abs(gain["layer 0"])


def test_what_foretells_nothing_is_refused_in_words() -> None:
    with pytest.raises(ViewError, match="32 numbers for each token"):
        wb.logit_lens(reading_of(bert(), texts(8), encode=named))
    looking_ahead = reader()
    for block in looking_ahead.blocks:
        block.attention.causal = False
    with pytest.raises(ViewError, match="what stands behind"):
        wb.logit_lens(reading_of(looking_ahead, texts(8)))


def test_nothing_of_it_stays_in_the_module() -> None:
    module = reader()
    before = reading_of(module, texts(8)).network.identity
    wb.logit_lens(reading_of(module, texts(8)), n_null=0)
    assert reading_of(module, texts(8)).network.identity == before
    assert not any("forward" in vars(part) or part._forward_hooks for part in module.modules())
