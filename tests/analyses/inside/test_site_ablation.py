"""Site ablation: what a site does is what a hook by hand does, and its own value does nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from inside_for_tests import bert, induction, llama, named, reader, reading_of, texts

import workbench as wb
from workbench.core.errors import MissingError, ParameterError, ViewError
from workbench.numerics.inside.changes import Read, change_of, heads_in, site_at, turned
from workbench.subjects.reading import Reading


def by_hand(
    model: torch.nn.Module, inputs: dict, path: str, change, before: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """The answers without and with a hook."""
    part = model.get_submodule(path)
    with torch.no_grad():
        usual = model(**inputs)[0]
        handle = (
            part.register_forward_pre_hook(lambda m, args: (change(args[0]),))
            if before
            else part.register_forward_hook(lambda m, args, out: change(out))
        )
        changed = model(**inputs)[0]
        handle.remove()
    return usual, changed


def whole(reading: Reading, n: int) -> dict:
    ((_, batch),) = reading.batches(np.arange(n))
    return batch.inputs


def test_known_answer_of_a_patch_with_its_own_value_is_nothing() -> None:
    for made in (llama, bert):
        reading = reading_of(made(), texts(8), encode=named)
        found = wb.site_ablation(reading, how="patch", shift=0)
        assert not found.per_row.any() and found.evidence[0].untested == "nothing was changed"
        moved = wb.site_ablation(reading, how="patch", n_null=0)
        assert moved.per_row[:, 0].min() >= 0 and moved.per_row[:, 0].max() > 0.01


def test_agrees_with_its_peer_a_hook_in_transformers() -> None:
    reading = reading_of(llama(), texts(8), encode=named)
    inputs = whole(reading, 8)
    usual, changed = by_hand(llama(), inputs, "model.layers.1", torch.zeros_like)
    p = usual.log_softmax(-1)
    bits = (p.exp() * (p - changed.log_softmax(-1))).sum(-1) / np.log(2)
    found = wb.site_ablation(reading, site="model.layers.1", how="zero", n_null=0)
    np.testing.assert_allclose(found.per_row[:, 0], bits.ravel(), rtol=1e-3, atol=1e-5)
    follows = inputs["input_ids"][:, 1:, None]
    lost = (p[:, :-1].gather(2, follows) - changed.log_softmax(-1)[:, :-1].gather(2, follows))[
        ..., 0
    ] / np.log(2)
    np.testing.assert_allclose(found.evidence_of("bits_lost").value, lost.mean(), rtol=1e-3)


def test_a_head_is_its_columns_of_what_joins_them() -> None:
    reading = reading_of(llama(), texts(8), encode=named)

    def without(x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        x[..., 16:24] = x[..., 16:24].mean((0, 1))
        return x

    usual, changed = by_hand(
        llama(), whole(reading, 8), "model.layers.1.self_attn.o_proj", without, before=True
    )
    p = usual.log_softmax(-1)
    bits = (p.exp() * (p - changed.log_softmax(-1))).sum(-1).mean() / np.log(2)
    found = wb.site_ablation(reading, site="model.layers.1", head=2, n_null=0)
    assert found.evidence[0].value == pytest.approx(float(bits), rel=1e-3)
    assert heads_in(bert(), "encoder.layer.1") == ("encoder.layer.1.attention.output.dense", 4, 32)


def test_of_other_networks_the_output_moves() -> None:
    reading = reading_of(bert(), texts(8), encode=named)
    usual, changed = by_hand(bert(), whole(reading, 8), "encoder.layer.1", torch.zeros_like)
    moved = (changed - usual).norm(dim=-1) / usual.norm(dim=-1)
    found = wb.site_ablation(reading, site="encoder.layer.1", how="zero", n_null=0)
    np.testing.assert_allclose(found.per_row[:, 0], moved.ravel(), rtol=1e-4)


def test_a_place_changes_nothing_before_it() -> None:
    found = wb.site_ablation(reading_of(reader(), texts(8)), position=5, n_null=0)
    moved = found.per_row[:, 0].reshape(8, 12)
    assert np.abs(moved[:, :5]).max() < 1e-6 < moved[:, 5].min()


def test_the_planted_head_matters_more_than_its_size_and_in_its_place() -> None:
    reading = induction()
    found = wb.site_ablation(reading, site="blocks.1", head=0, n_null=99)
    assert found.evidence_of("bits_lost").p_value == 0.01


def test_turning_keeps_lengths_and_angles() -> None:
    x = torch.randn(3, 4, 10, generator=torch.Generator().manual_seed(0))
    x[..., 6:] = 0
    y = turned(x, np.random.default_rng(0))
    a, b = x.reshape(12, 10), y.reshape(12, 10)
    torch.testing.assert_close(a @ a.T, b @ b.T, atol=1e-4, rtol=1e-4)
    assert b[:, 6:].abs().max() > 0.1


def test_blocks_before_the_site_are_not_run_and_nothing_stays() -> None:
    module = reader()
    reading = reading_of(module, texts(8))
    site = site_at(module, "blocks.1", head=None, neuron=3)
    known = Read.of(module, whole(reading, 8), site)
    ran: list[int] = []
    handle = module.blocks[0].attention.register_forward_hook(lambda *_: ran.append(1))
    known.changed(module, site, change_of(known.values, site.columns, "zero"))
    handle.remove()
    assert not ran
    assert not any("forward" in vars(m) or m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_what_is_not_there_is_refused() -> None:
    reading = reading_of(reader(), texts(8))
    with pytest.raises(MissingError, match=r"site='blocks.7'"):
        wb.site_ablation(reading, site="blocks.7")
    with pytest.raises(ParameterError, match=r"head=2 is not legal.*0 to 1"):
        wb.site_ablation(reading, head=2)
    with pytest.raises(ParameterError, match="neuron=16 is not legal"):
        wb.site_ablation(reading, neuron=16)
    with pytest.raises(ParameterError, match="position=12 is not legal"):
        wb.site_ablation(reading, position=12)
    with pytest.raises(ParameterError, match="two sites"):
        wb.site_ablation(reading, head=0, neuron=0)
    with pytest.raises(ViewError, match="no attention whose heads"):
        wb.site_ablation(reading, site="blocks.0.wide", head=0)
