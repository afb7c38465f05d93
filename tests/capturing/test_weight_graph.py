"""The graph of units: edges are the largest weights, layers follow each other, and what can't be is refused."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from workbench.core.errors import DataError, MissingError, ParameterError
from workbench.core.rows import owned
from workbench.subjects.checkpoint import TensorInfo


def checkpoint(arrays: dict[str, np.ndarray]) -> wb.Checkpoint:
    held = {n: owned(a.astype(np.float32)) for n, a in arrays.items()}
    infos = {n: TensorInfo(n, a.shape, "F32", a.nbytes) for n, a in held.items()}
    return wb.Checkpoint(infos, held.__getitem__, name="net", content=lambda: "net")


def test_edges_are_the_largest_weights_of_each_unit() -> None:
    net = checkpoint(
        {
            "2.weight": np.array([[1.0, 0.0]]),
            "0.weight": np.array([[0.1, -3.0, 2.0], [0.5, 0.2, -0.3]]),
            "0.bias": np.ones(2),
        }
    )
    graph = wb.weight_graph(net, per_unit=2)
    assert graph.directed and graph.table["level"].tolist() == [0, 0, 0, 1, 1, 2]
    assert graph.table["name"].tolist()[2:4] == ["0.weight in 2", "0.weight out 0"]
    found = {tuple(e): w for e, w in zip(graph.edges.tolist(), graph.weights.tolist(), strict=True)}
    assert found == pytest.approx({(1, 3): 3.0, (2, 3): 2.0, (0, 4): 0.5, (2, 4): 0.3, (3, 5): 1.0})
    apart = wb.weight_graph(net, per_unit=1, join="none")
    assert len(apart) == 3 + 2 + 2 + 1 and apart.table["level"].max() == 3
    assert "weight_graph" in str(graph.run)


def test_a_block_of_a_network_that_is_in_blocks_is_found() -> None:
    """Two networks side by side in one: the units of each are a community, and shuffled weights have none."""
    pytest.importorskip("igraph", reason="igraph isn't installed: pip install 'workbench[graphs]'")
    rng = np.random.default_rng(0)
    block = np.kron(np.eye(2), np.ones((20, 20))) + 0.2
    arrays = {f"{i}.weight": rng.standard_normal((40, 40)) * block for i in range(3)}
    result = wb.communities(wb.weight_graph(checkpoint(arrays), per_unit=4), n_null=39)
    assert result.evidence[0].p_value == 1 / 40
    side = np.tile(np.repeat([0, 1], 20), 4)
    share = [
        np.bincount(side[result.labels == g]).max() / (result.labels == g).sum()
        for g in range(result.n_groups)
    ]
    assert min(share) > 0.9
    twin = {n: rng.permutation(a.ravel()).reshape(a.shape) for n, a in arrays.items()}
    assert wb.communities(wb.weight_graph(checkpoint(twin), per_unit=4), n_null=39).evidence[0].p_value > 0.05


def test_bad_input_is_refused_in_words() -> None:
    w = np.ones((4, 3))
    net = checkpoint({"a": w, "b": w, "bias": np.ones(3)})
    with pytest.raises(DataError, match="a writes 4 units and b, the next, reads 3"):
        wb.weight_graph(net)
    with pytest.raises(MissingError, match="no weight matrix that 'bias' matches"):
        wb.weight_graph(net, "bias")
    with pytest.raises(ParameterError, match="per_unit"):
        wb.weight_graph(net, "a", per_unit=0)
    with pytest.raises(ParameterError, match="join"):
        wb.weight_graph(net, "a", join="all")
    with pytest.raises(DataError, match="200,000"):
        wb.weight_graph(checkpoint({"w": np.zeros((200_001, 2))}))
    bad = w.copy()
    bad[2, 1] = np.inf
    with pytest.raises(DataError, match="row 2, column 1"):
        wb.weight_graph(checkpoint({"a": bad}))
