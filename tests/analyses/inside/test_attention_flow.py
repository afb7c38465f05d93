"""Attention flow: rollout and flow by their definitions."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from inside_for_tests import reader, reading_of, texts

import workbench as wb
from workbench.numerics.inside.flow import flow, rollout, with_residual
from workbench.numerics.inside.heads import attention_maps


def maps(layers: int = 3, t: int = 5, seed: int = 0) -> np.ndarray:
    weights = np.tril(np.random.default_rng(seed).random((layers, t, t)))
    return weights / weights.sum(-1, keepdims=True)


def test_known_answer_of_rollout() -> None:
    back = np.eye(3)[[0, 0, 1]][None].repeat(2, 0)  # each token looks at the one before
    half = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(rollout(back), [half, half @ half])
    # where no token looks elsewhere, each comes from itself alone
    np.testing.assert_allclose(rollout(np.eye(4)[None]), np.eye(4)[None])
    np.testing.assert_allclose(flow(np.eye(4)[None].repeat(2, 0), np.arange(4)), np.eye(4), atol=1e-5)


def test_flow_agrees_with_its_peer_networkx() -> None:
    a = maps()
    graph = nx.DiGraph()
    for i, layer in enumerate(with_residual(a)):
        for q in range(5):
            for k in range(q + 1):
                graph.add_edge((i + 1, q), (i, k), capacity=layer[q, k])
    peer = np.array(
        [[nx.maximum_flow_value(graph, (3, q), (0, k)) if k <= q else 0 for k in range(5)] for q in range(5)]
    )
    np.testing.assert_allclose(flow(a, np.arange(5)), peer / peer.sum(1, keepdims=True), atol=1e-4)


def test_the_maps_are_those_of_the_network() -> None:
    reading = reading_of(reader(), texts(12))
    found = wb.attention_flow(reading, text_id=4, n_null=19)
    ((_, batch),) = reading.batches(np.array([4]))
    layers = np.stack(
        [m.mean(1)[0].double().numpy() for m in attention_maps(reading.module, batch.inputs)[0].values()]
    )
    np.testing.assert_allclose(found.maps, rollout(layers), atol=1e-6)
    assert found.names == ("layer 0", "layer 1") and found.order.tolist() == [1, 0]


def test_attention_that_the_answer_goes_by_is_told_from_attention_that_it_does_not() -> None:
    """A network of one block whose answer at the last token is what its head copies, and one that copies nothing."""
    torch.manual_seed(0)

    def p(copies: bool) -> float:
        from workbench.numerics.small_reader import Reader

        module = Reader(60, 12, 32, 1).causal()
        with torch.no_grad():
            module.positions.weight.mul_(0)
            module.blocks[0].narrow.weight.mul_(0)
            attention = module.blocks[0].attention
            attention.query.weight.mul_(6)
            attention.value.weight.mul_(8)
            attention.out.weight.mul_(8 if copies else 0)
        found = wb.attention_flow(reading_of(module, texts(32)), n_texts=32, n_null=99)
        return found.evidence[0].p_value

    assert p(True) == 0.01
    assert p(False) > 0.05


@pytest.mark.parametrize("how", ["rollout", "flow"])
def test_rows_of_maps_are_shares(how: str) -> None:
    found = wb.attention_flow(reading_of(reader(), texts(8)), how=how, n_null=0)
    np.testing.assert_allclose(found.maps.sum(-1), 1, atol=1e-5)
    assert not np.triu(found.maps[0], 1).any()
