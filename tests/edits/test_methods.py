"""The methods that make edits: what they change, what they leave, and that the base comes back."""

from __future__ import annotations

import numpy as np
import pytest
from nets_for_tests import PROMPT, checkpoint

import workbench as wb
from workbench.core.errors import MissingError, ParameterError, ViewError
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.points import PointCloud


@pytest.fixture
def net() -> Checkpoint:
    rng = np.random.default_rng(0)
    return checkpoint(
        weight=rng.normal(size=(40, 50)).astype(np.float32),
        kernel=rng.normal(size=(4, 3, 2, 2)).astype(np.float32),
        bias=np.ones(40, np.float32),
        positions=np.arange(6).reshape(1, 6),
    )


@pytest.fixture(scope="module")
def decoder() -> Checkpoint:
    return wb.open("glassllm-en")


EDITS = ("shuffle_weights", "prune")


@pytest.mark.parametrize("name", EDITS)
def test_edits_are_in_the_registry(name) -> None:
    method = wb.method(name)
    assert (method.verb, [i.takes for i in method.inputs]) == ("edit", [Checkpoint])
    assert method.summary
    with pytest.raises(ViewError, match="checkpoint"):
        method(PointCloud(np.ones((3, 2))))
    with pytest.raises(ParameterError):
        method(checkpoint(w=np.ones((2, 2))), unknown=1)


def test_kinds_of_edit_lie_beside_the_methods_and_are_none() -> None:
    assert {m.name for m in wb.methods() if m.verb == "edit"} == {
        "extract_adapter",
        "prune",
        "simplify",
        "shuffle_weights",
    }


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_changes_matrices_alone_and_can_be_undone(name, net) -> None:
    before = {n: net[n].copy() for n in net}
    edit = wb.method(name)(net)
    edited = net + edit
    assert set(edit.tensors) == {"weight", "kernel"}
    assert edited.digest != net.digest
    assert list(edited) == list(net)
    assert edited.name == f"{net.name} ({edit.label})"
    for n in net:
        assert edited[n].dtype == before[n].dtype
        assert edited[n].shape == before[n].shape
        assert np.array_equal(edited[n], before[n]) == (n in ("bias", "positions"))
        np.testing.assert_array_equal(net[n], before[n])  # the base is untouched
    assert edited.undo() is net
    assert edited - edit is net
    assert wb.method(name)(net).digest == edit.digest
    assert set(wb.method(name)(net, at="ker*").tensors) == {"kernel"}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_knows_what_it_was_made_of(name, net) -> None:
    edit = wb.method(name)(net, at="weight")
    assert edit.run is not None
    (given,) = edit.run.inputs
    assert (edit.run.method, given.title, given.digest) == (name, net.name, net.digest)
    assert edit.run.parameters["at"] == "weight"
    other = wb.method(name)(checkpoint(weight=np.ones((2, 2), np.float32)), at="weight")
    assert other.digest == edit.digest  # what it does is the same, whatever it was made of


@pytest.mark.parametrize("name", EDITS)
def test_nothing_is_read_before_the_edited_network_is(name) -> None:
    from workbench.subjects.checkpoint import TensorInfo

    def read(name: str) -> np.ndarray:
        raise AssertionError("read")

    closed = Checkpoint({"w": TensorInfo("w", (3, 4), "F32", 48)}, read, name="closed", content=lambda: "c")
    edited = closed + wb.method(name)(closed)
    assert edited.digest != closed.digest
    with pytest.raises(AssertionError, match="read"):
        edited["w"]


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("at", ["bias", "positions", "nothing", "*.weight"])
def test_a_pattern_without_a_weight_matrix_is_refused(name, at, net) -> None:
    with pytest.raises(MissingError, match="no weight matrix that matches"):
        wb.method(name)(net, at=at)


def test_known_answer_shuffling_keeps_the_entries_and_takes_their_order(net) -> None:
    edited = net + wb.shuffle_weights(net)
    for n in ("weight", "kernel"):
        np.testing.assert_array_equal(np.sort(edited[n], axis=None), np.sort(net[n], axis=None))
    moved = edited["weight"] != net["weight"]
    assert moved.mean() > 0.99
    in_its_row = [
        np.isin(ours, theirs).mean() for ours, theirs in zip(edited["weight"], net["weight"], strict=True)
    ]
    assert np.mean(in_its_row) < 0.1  # entries leave their rows
    assert abs(np.corrcoef(edited["weight"].ravel(), net["weight"].ravel())[0, 1]) < 0.1
    assert (net + wb.shuffle_weights(net, random_state=1)).digest != edited.digest
    np.testing.assert_array_equal((net + wb.shuffle_weights(net, at="kernel"))["kernel"], edited["kernel"])


def pruned(values: np.ndarray, fraction: float) -> np.ndarray:
    base = checkpoint(w=values)
    return (base + wb.prune(base, fraction=fraction))["w"]


@pytest.mark.parametrize(("fraction", "zeros"), [(0.0, 0), (0.25, 3), (0.3, 4), (1.0, 12)])
def test_known_answer_pruning_zeroes_the_smallest(fraction, zeros) -> None:
    values = np.array([[5, -1, 2, -8], [7, 3, -4, 6], [-9, 10, -11, 12]], np.float32)
    edited = pruned(values, fraction)
    kept = (
        np.abs(values) >= np.sort(np.abs(values), axis=None)[zeros] if zeros < 12 else np.zeros((3, 4), bool)
    )
    np.testing.assert_array_equal(edited, np.where(kept, values, 0))
    assert (edited == 0).sum() == zeros


def test_pruning_equal_entries_takes_exactly_the_share_and_the_first() -> None:
    edited = pruned(np.full((4, 5), -2.0), 0.3)
    assert (edited == 0).sum() == 6
    assert (edited.ravel()[:6] == 0).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_pruning_block_by_block_equals_sorting_everything(dtype, monkeypatch) -> None:
    from workbench.core import lazy

    monkeypatch.setattr(lazy, "BLOCK", 64)  # many blocks
    rng = np.random.default_rng(1)
    for fraction in (0.01, 0.37, 0.5, 0.999):
        values = rng.normal(size=(37, 11)).astype(dtype)
        values[rng.random(values.shape) < 0.5] = rng.choice([0, -0.0, 0.5, -0.5, np.nan, np.inf])
        values[3] = np.float16(6e-8)  # subnormal where it is a half
        expected = values.ravel().copy()
        expected[np.argsort(np.abs(expected), kind="stable")[: round(fraction * values.size)]] = 0
        np.testing.assert_array_equal(pruned(values, fraction), expected.reshape(values.shape))


def test_peer_torch_prunes_the_same(decoder) -> None:
    import torch
    from torch.nn.utils import prune

    name = "model.layers.1.mlp.gate_proj.weight"
    peer = torch.nn.Linear(1, 1)
    peer.weight = torch.nn.Parameter(torch.tensor(decoder[name]))
    prune.l1_unstructured(peer, "weight", amount=0.4)
    ours = (decoder + wb.prune(decoder, fraction=0.4, at=name))[name]
    theirs = peer.weight.detach().numpy()
    # the stored weights are half precision, so some are as small as the threshold and either may stay
    differ = ours != theirs
    threshold = np.sort(np.abs(decoder[name]), axis=None)[(ours == 0).sum() - 1]
    assert (ours == 0).sum() == (theirs == 0).sum()
    assert (np.abs(decoder[name])[differ] == threshold).all()


@pytest.mark.parametrize("fraction", [-0.1, 1.1, np.nan])
def test_an_illegal_fraction_is_refused(fraction, net) -> None:
    with pytest.raises(ParameterError, match="from 0 to 1"):
        wb.prune(net, fraction=fraction)


def test_a_mask_found_on_one_network_is_applied_to_another(net) -> None:
    rule = wb.prune(net, fraction=0.5)
    mask = rule.on_values_of(net)
    rng = np.random.default_rng(5)
    earlier = checkpoint(
        **{n: rng.normal(size=net[n].shape).astype(np.float32) for n in ("weight", "kernel")}
    )
    for n in rule.tensors:
        np.testing.assert_array_equal((net + mask)[n], (net + rule)[n])
        zeroed = (net + rule)[n] == 0
        np.testing.assert_array_equal((earlier + mask)[n], np.where(zeroed, 0, earlier[n]))


def test_an_edited_network_answers_otherwise_and_the_base_as_before(decoder) -> None:
    before = decoder.network().answer(PROMPT)
    shuffled = decoder + wb.shuffle_weights(decoder)
    spoilt = shuffled.network().answer(PROMPT)
    assert spoilt != before
    assert spoilt[0][1] < before[0][1]  # what it learned made it surer
    assert (decoder + wb.prune(decoder, fraction=0.0)).network().answer(PROMPT) == before
    assert (decoder + wb.prune(decoder, fraction=0.9)).network().answer(PROMPT) != before
    assert shuffled.undo().network().answer(PROMPT) == before
    assert shuffled.network().digest == shuffled.digest


def test_edits_stack_and_undo_one_by_one(net) -> None:
    once = net + wb.prune(net, fraction=0.5)
    twice = once + wb.shuffle_weights(once, at="weight")
    assert (twice["weight"] == 0).sum() == 1000
    assert twice.undo().digest == once.digest
    assert twice.undo().undo() is net
    with pytest.raises(MissingError, match="nothing to undo"):
        net.undo()
