"""Edits of weights: what they change, what they leave, and that the base comes back."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from workbench.core.errors import MissingError, ParameterError, ViewError
from workbench.subjects.checkpoint import Checkpoint, TensorInfo
from workbench.subjects.points import PointCloud

PROMPT = "Alice was beginning to get very tired of"


def small(**arrays: np.ndarray) -> Checkpoint:
    """A checkpoint in memory."""
    from workbench.core.digest import digest

    tensors = {n: TensorInfo(n, a.shape, "F32", a.nbytes) for n, a in arrays.items()}
    return Checkpoint(tensors, lambda n: arrays[n], name="small", content=lambda: digest(*arrays.values()))


@pytest.fixture
def net() -> Checkpoint:
    rng = np.random.default_rng(0)
    return small(
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
    assert (method.verb, method.needs) == ("edit", Checkpoint)
    assert method.summary
    with pytest.raises(ViewError, match="edits a checkpoint"):
        method(PointCloud(np.ones((3, 2))))
    with pytest.raises(ParameterError):
        method(small(w=np.ones((2, 2))), unknown=1)


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_changes_matrices_alone_and_can_be_undone(name, net) -> None:
    before = {n: net[n].copy() for n in net}
    edited = wb.method(name)(net)
    assert set(edited.change) == {"weight", "kernel"}
    assert edited.digest != net.digest
    assert list(edited) == list(net)
    assert edited.name.startswith("small (")
    for n in net:
        assert edited[n].dtype == before[n].dtype
        assert edited[n].shape == before[n].shape
        assert np.array_equal(edited[n], before[n]) == (n in ("bias", "positions"))
        np.testing.assert_array_equal(net[n], before[n])  # the base is untouched
    assert edited.undo() is net
    assert wb.method(name)(net).digest == edited.digest
    assert set(wb.method(name)(net, at="ker*").change) == {"kernel"}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("at", ["bias", "positions", "nothing", "*.weight"])
def test_a_pattern_without_a_weight_matrix_is_refused(name, at, net) -> None:
    with pytest.raises(MissingError, match="no weight matrix that matches"):
        wb.method(name)(net, at=at)


def test_known_answer_shuffling_keeps_the_entries_and_takes_their_order(net) -> None:
    edited = wb.shuffle_weights(net)
    for n in ("weight", "kernel"):
        np.testing.assert_array_equal(np.sort(edited[n], axis=None), np.sort(net[n], axis=None))
    moved = edited["weight"] != net["weight"]
    assert moved.mean() > 0.99
    in_its_row = [
        np.isin(ours, theirs).mean() for ours, theirs in zip(edited["weight"], net["weight"], strict=True)
    ]
    assert np.mean(in_its_row) < 0.1  # entries leave their rows
    assert abs(np.corrcoef(edited["weight"].ravel(), net["weight"].ravel())[0, 1]) < 0.1
    assert wb.shuffle_weights(net, random_state=1).digest != edited.digest
    np.testing.assert_array_equal(wb.shuffle_weights(net, at="kernel")["kernel"], edited["kernel"])


@pytest.mark.parametrize(("fraction", "zeros"), [(0.0, 0), (0.25, 3), (0.3, 4), (1.0, 12)])
def test_known_answer_pruning_zeroes_the_smallest(fraction, zeros) -> None:
    values = np.array([[5, -1, 2, -8], [7, 3, -4, 6], [-9, 10, -11, 12]], np.float32)
    edited = wb.prune(small(w=values), fraction=fraction)["w"]
    kept = (
        np.abs(values) >= np.sort(np.abs(values), axis=None)[zeros] if zeros < 12 else np.zeros((3, 4), bool)
    )
    np.testing.assert_array_equal(edited, np.where(kept, values, 0))
    assert (edited == 0).sum() == zeros


def test_pruning_equal_entries_takes_exactly_the_share() -> None:
    edited = wb.prune(small(w=np.full((4, 5), -2.0)), fraction=0.3)["w"]
    assert (edited == 0).sum() == 6


def test_peer_torch_prunes_the_same(decoder) -> None:
    import torch
    from torch.nn.utils import prune

    name = "model.layers.1.mlp.gate_proj.weight"
    peer = torch.nn.Linear(1, 1)
    peer.weight = torch.nn.Parameter(torch.tensor(decoder[name]))
    prune.l1_unstructured(peer, "weight", amount=0.4)
    ours = wb.prune(decoder, fraction=0.4, at=name)[name]
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


def test_an_edited_network_answers_otherwise_and_the_base_as_before(decoder) -> None:
    before = decoder.network().answer(PROMPT)
    shuffled = wb.shuffle_weights(decoder)
    spoilt = shuffled.network().answer(PROMPT)
    assert spoilt != before
    assert spoilt[0][1] < before[0][1]  # what it learned made it surer
    assert wb.prune(decoder, fraction=0.0).network().answer(PROMPT) == before
    assert wb.prune(decoder, fraction=0.9).network().answer(PROMPT) != before
    assert shuffled.undo().network().answer(PROMPT) == before
    assert shuffled.network().digest == shuffled.digest


def test_edits_stack_and_undo_one_by_one(net) -> None:
    once = wb.prune(net, fraction=0.5)
    twice = wb.shuffle_weights(once, at="weight")
    assert (twice["weight"] == 0).sum() == 1000
    assert twice.undo() is once
    assert twice.undo().undo() is net
