"""The computation graph: operations, edges and costs of networks that are known, and refusals in words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from workbench.core.errors import DataError, ViewError


class Skip(nn.Module):
    """A layer whose input is added to what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.relu(self.inner(x))


class ByItsNumbers(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.sum() > 0 else x


class ByItsShape(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x) if x.shape[0] > 1 else torch.tanh(x)


def operations(graph: wb.GraphSubject) -> list[tuple[str, str]]:
    called = graph.table["operation"].tolist()
    return sorted((called[a], called[b]) for a, b in graph.edges.tolist())


def test_operations_edges_shapes_and_costs_of_a_known_network() -> None:
    graph = wb.computation_graph(Skip(), np.zeros((3, 4), np.float32))
    assert operations(graph) == [("input", "add"), ("input", "linear"), ("linear", "relu"), ("relu", "add")]
    lines = graph.table.set_index("operation")
    assert lines["level"].to_dict() == {"input": 0, "linear": 1, "relu": 2, "add": 3}
    assert lines.loc["linear", "module"] == "inner" and lines.loc["linear", "shape"] == "3 x 4"
    assert lines.loc["linear", "flops"] == 2 * 3 * 4 * 4 and lines["flops"].sum() == 96
    assert lines["parameters"].sum() == 4 * 4 + 4
    assert set(graph.weights.tolist()) == {3 * 4 * 4.0}  # bytes of a 3 x 4 tensor of float32


def test_a_twin_without_the_skip_is_another_graph() -> None:
    plain = wb.computation_graph(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), np.zeros((3, 4), np.float32))
    assert operations(plain) == [("input", "linear"), ("linear", "relu")]


def test_the_graph_is_of_the_samples_shape() -> None:
    one, two = (wb.computation_graph(ByItsShape(), np.zeros((n, 2), np.float32)) for n in (1, 2))
    assert one.table["operation"].tolist() == ["input", "tanh"]
    assert two.table["operation"].tolist() == ["input", "relu"]


def test_a_network_that_reads_texts() -> None:
    graph = wb.computation_graph(wb.open("minilm"), "A text.")
    table = graph.table
    assert (table["operation"] == "scaled_dot_product_attention").sum() == 6
    assert (table["operation"] == "linear").sum() == 37
    tokens = int(table.loc[table["operation"] == "embedding", "shape"].iloc[0].split(" x ")[1])
    inside = table[table["module"] == "encoder.layer.3.intermediate.dense"]
    assert inside["flops"].tolist() == [2 * tokens * 384 * 1536]
    assert (np.diff(table["level"].to_numpy()[graph.edges], axis=1) > 0).all()
    assert not any("assert" in o for o in table["operation"]), "checks are no part of the answer"
    figure = graph.figure()
    assert len(figure.data[1].x) == len(graph) and "scaled_dot_product_attention" in str(
        figure.data[1].hovertext
    )
    assert "computation_graph" in str(graph.run) and "37 linear" in graph._repr_html_()


def test_what_cannot_be_written_down_is_refused_in_words() -> None:
    x = np.zeros((3, 4), np.float32)
    with pytest.raises(ViewError, match="decides by the numbers"):
        wb.computation_graph(ByItsNumbers(), x)
    with pytest.raises(ViewError, match="can't be exported on this sample"):
        wb.computation_graph(Skip(), np.zeros((3, 5), np.float32))
    with pytest.raises(DataError, match="doesn't read text"):
        wb.computation_graph(Skip())
    with pytest.raises(ViewError, match="not a int"):
        wb.computation_graph(3, x)
