"""A method may ask for a network and call it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import workbench as wb
from workbench.core import registry
from workbench.core.errors import ViewError
from workbench.core.evidence import Evidence
from workbench.core.registry import analysis
from workbench.results.estimate import Estimate
from workbench.subjects.network import Network
from workbench.subjects.points import Points


@pytest.fixture(autouse=True)
def method() -> Iterator[None]:
    before = dict(registry.DEFINED)

    @analysis
    def mean_output(network: Network, points: Points) -> Estimate:
        """Say what a network puts out for some rows, on average."""
        with torch.no_grad():
            value = network.module(torch.tensor(points.values, dtype=torch.float32)).mean().item()
        return Estimate(
            evidence=(Evidence(id="mean", question="How much?", label="mean", value=value, n=points.n),)
        )

    yield
    registry.DEFINED.clear()
    registry.DEFINED.update(before)


def value(result: Estimate) -> float:
    return result.evidence[0].value


def test_a_module_is_called_and_what_is_done_to_it_counts() -> None:
    module, rows = torch.nn.Linear(6, 1), wb.PointCloud.example()
    before = wb.mean_output(module, rows)
    again = wb.mean_output(module, rows)
    assert again.run.key == before.run.key
    module.weight.data *= 2
    module.bias.data *= 2
    assert value(wb.mean_output(module, rows)) == pytest.approx(2 * value(before), rel=1e-5)
    module.forward = lambda x: torch.zeros(len(x))
    assert value(wb.mean_output(module, rows)) == 0


def test_a_step_of_a_descent_and_an_edited_network_are_networks() -> None:
    network, rows = Network.example(), wb.PointCloud.example()
    edit = wb.SiteFunction("2", torch.zeros_like)
    assert value(wb.mean_output(network + edit, rows)) == 0 != value(wb.mean_output(network, rows))
    descent = wb.digits_descent(width=4, depth=1, steps=6)
    pixels = wb.PointCloud(torch.rand(5, 64, generator=torch.Generator().manual_seed(0)).numpy())
    first, last = (wb.mean_output(descent.at(int(s)), pixels) for s in descent.weight_steps[[0, -1]])
    assert value(first) != value(last)
    assert [i.kind for i in first.run.inputs] == ["Checkpoint", "PointCloud"]


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(ViewError, match="a network that can be called"):
        wb.mean_output(wb.circle(n=5), wb.circle(n=5))
    with pytest.raises(ViewError, match="without an architecture"):
        wb.mean_output(wb.Checkpoint.example(), wb.circle(n=5))


def test_a_network_is_the_same_in_another_process_and_another_where_it_differs() -> None:
    assert Network.example().identity == Network.example().identity != Network.example(1).identity


@pytest.mark.parametrize(
    "module",
    [torch.nn.Linear(6, 1, device="meta"), torch.nn.Sequential(torch.nn.LazyLinear(1))],
    ids=["on the meta device", "lazy"],
)
def test_a_module_without_numbers_is_refused(module: torch.nn.Module) -> None:
    with pytest.raises(ViewError, match=r"can't be run: .*weight is .*Give it numbers first"):
        wb.mean_output(module, wb.PointCloud.example())


def test_what_is_asked_of_weights_is_asked_of_a_module_too() -> None:
    torch.manual_seed(0)
    module, other = (torch.nn.Sequential(torch.nn.Linear(12, 16), torch.nn.Linear(16, 9)) for _ in range(2))
    held = wb.open(module).as_checkpoint()
    assert list(held) == list(module.state_dict()) and held.network().module is module
    weighed = wb.weights(module, n_null=3)
    told = weighed.table().reset_index().to_string()
    assert "0.weight" in told and "1.weight" in told
    assert wb.weight_changes(module, module).table() is not None
    module[0].weight.data[0, 0] += 5
    assert held["0.weight"][0, 0] != module[0].weight[0, 0].item(), "what was read stays as it was"
    assert wb.weights(module, n_null=3).run.key != weighed.run.key
    patch = wb.Bits.between(module, other)
    assert set(patch.tensors) == set(held)
    assert len(wb.weight_graph(module)) and wb.weight_graph(module).name.startswith("Sequential")
    with pytest.raises(ViewError, match="Named weights"):
        wb.weight_stack(wb.PointCloud.example())
