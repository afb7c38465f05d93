"""Training many networks of one structure at once: their weights in one tensor, one update for all.

Every network has batches of its own. What is computed is what training them one by one would: the loss of the stack is
the sum of its networks' losses, so that each gets its own gradient, and the optimizers treat every entry alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from workbench.numerics.objectives import Probe, loss_function, output_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

State = Mapping[str, Mapping[str, Any]]


class Group:
    """Networks of one structure that share a learning rate: one arm of an experiment, a network a seed.

    Attributes
    ----------
    networks : they; left as they are. rates : learning rate at a step, as a multiple of the usual one.
    state : parameter to name to array, what the optimizer goes on from; None for a fresh one.
    """

    def __init__(
        self,
        networks: Sequence[torch.nn.Module],
        *,
        rates: Callable[[int], float] | None = None,
        state: State | None = None,
    ):
        self.networks, self.rates, self.state = tuple(networks), rates, state


class Stack:
    """Groups of networks of one structure, trained together.

    Parameters
    ----------
    groups : with as many networks each as there are seeds, in the same order.
    loss : a name from `objectives.LOSSES`.
    optimizer : makes an optimizer of parameter groups. learning_rate : the usual one.

    Attributes
    ----------
    one_by_one : why networks are taken one after the other; "" where `torch.func.vmap` takes them at once.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        loss: str,
        optimizer: Callable[[Any, float], torch.optim.Optimizer],
        learning_rate: float,
        *,
        device: str = "cpu",
    ):
        self.groups, self.learning_rate = tuple(groups), learning_rate
        self.compare = loss_function(loss)
        self.template = copy.deepcopy(groups[0].networks[0]).to(device)
        self.one_by_one = _why_not_at_once(self.template, device)
        own = dict(self.template.named_parameters())
        self.names = [n for n, p in own.items() if p.requires_grad]
        self.leaves = [
            {n: torch.nn.Parameter(self._stacked(g.networks, n)) for n in self.names} for g in groups
        ]
        everyone = [n for g in groups for n in g.networks]
        rest = [n for n in own if n not in self.names] + [n for n, _ in self.template.named_buffers()]
        self.rest = {n: self._stacked(everyone, n) for n in rest}
        self.optimizer = optimizer(
            [{"params": list(leaves.values()), "lr": learning_rate} for leaves in self.leaves], learning_rate
        )
        for group, leaves in zip(groups, self.leaves, strict=True):
            self._take_over(group, leaves)
        self.made = 0

    def _stacked(self, networks: Sequence[torch.nn.Module], name: str) -> Tensor:
        place = next(self.template.parameters()).device
        return torch.stack([_tensor(n, name).detach() for n in networks]).to(place)

    def _take_over(self, group: Group, leaves: Mapping[str, torch.nn.Parameter]) -> None:
        for name, kept in (group.state or {}).items():
            if name not in leaves:
                continue
            p = leaves[name]
            self.optimizer.state[p] = {
                k: torch.as_tensor(a).clone()
                if k == "step" or torch.as_tensor(a).ndim == 0
                else torch.as_tensor(a).to(p).expand_as(p).clone()
                for k, a in kept.items()
            }

    # -- training -----------------------------------------------------------------------------------

    def step(self, x: Any, y: Tensor) -> Float[Tensor, "a s"]:
        """One update of every network; returns the losses before it, a line a group.

        Parameters
        ----------
        x, y : one batch a seed, (s, b, ...), the same for every group.
        """
        self.template.train()
        for settings, group in zip(self.optimizer.param_groups, self.groups, strict=True):
            settings["lr"] = self.learning_rate * (group.rates(self.made) if group.rates else 1.0)
        self.optimizer.zero_grad()
        losses = self._losses(self.weights(), x, y, shared=False)
        losses.sum().backward()
        self.optimizer.step()
        self.made += 1
        return losses.detach().reshape(len(self.groups), -1)

    @torch.no_grad()
    def evaluate(self, x: Any, y: Tensor) -> Float[Tensor, "a s"]:
        """Loss of every network on one batch that all share, in evaluation mode."""
        self.template.eval()
        return self._losses(self.weights(), x, y, shared=True).reshape(len(self.groups), -1)

    def network(self, group: int, seed: int) -> torch.nn.Module:
        """A copy of one of the networks as it is now, in evaluation mode, on the CPU."""
        made = copy.deepcopy(self.template)
        at = group * len(self.groups[0].networks) + seed
        with torch.no_grad():
            for name in self.names:
                _tensor(made, name).copy_(self.leaves[group][name][seed])
            for name, held in self.rest.items():
                _tensor(made, name).copy_(held[at])
        return made.cpu().eval()

    def weights(self) -> dict[str, Tensor]:
        """All networks' trained weights as they are, name to (networks, ...), group by group."""
        if len(self.leaves) == 1:
            return dict(self.leaves[0])
        return {n: torch.cat([leaves[n] for leaves in self.leaves]) for n in self.names}

    def _losses(self, weights: dict[str, Tensor], x: Any, y: Tensor, *, shared: bool) -> Tensor:
        a = len(self.groups)
        if not shared and a > 1:  # every group sees its seeds' batches
            x = {k: _again(v, a) for k, v in x.items()} if isinstance(x, Mapping) else _again(x, a)
            y = _again(y, a)
        if not self.one_by_one:
            try:
                where = None if shared else 0
                return torch.func.vmap(self._loss, (0, 0, where, where), randomness="different")(
                    weights, self.rest, x, y
                )
            except (RuntimeError, ValueError, NotImplementedError) as e:
                if isinstance(e, torch.OutOfMemoryError):
                    raise
                self.one_by_one = str(e).strip().split("\n")[0]
        n = len(next(iter(weights.values())))
        return torch.stack(
            [
                self._loss(
                    {k: w[i] for k, w in weights.items()},
                    {k: r[i] for k, r in self.rest.items()},
                    x if shared else _at(x, i),
                    y if shared else y[i],
                )
                for i in range(n)
            ]
        )

    def _loss(self, weights: dict[str, Tensor], rest: dict[str, Tensor], x: Any, y: Tensor) -> Tensor:
        args, kwargs = ((), dict(x)) if isinstance(x, Mapping) else ((x,), {})
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no batching rule
            given = torch.func.functional_call(self.template, {**weights, **rest}, args, kwargs)
        return self.compare(output_of(given), y)


def _why_not_at_once(network: torch.nn.Module, device: str) -> str:
    """Convolutions with a weight for each network become grouped ones, which a CPU runs slower than one after another."""
    kinds = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    slow = device == "cpu" and any(isinstance(m, kinds) for m in network.modules())
    return "convolutions, on a CPU" if slow else ""


def batches(n: int, size: int, steps: int, seed: Sequence[int]) -> Int[Tensor, "steps size"]:
    """Positions of the samples of each step's batch, drawn with replacement, by a seed."""
    import numpy as np

    return torch.from_numpy(np.random.default_rng(list(seed)).integers(0, n, (steps, size)))


def gathered(data: Probe, network: torch.nn.Module) -> Callable[[Tensor], tuple[Any, Tensor]]:
    """A function of positions, (s, b), to inputs and targets, (s, b, ...), on a network's device."""
    x, y = data.tensors(network)

    def take(at: Tensor) -> tuple[Any, Tensor]:
        at = at.to(y.device)
        return ({k: v[at] for k, v in x.items()} if isinstance(x, Mapping) else x[at]), y[at]

    return take


def structure(network: torch.nn.Module) -> tuple[Any, ...]:
    """What networks that are stacked must have in common."""
    modules = tuple((n, type(m).__qualname__, m.extra_repr()) for n, m in network.named_modules())
    held = (*network.named_parameters(), *network.named_buffers())
    return modules, tuple((n, tuple(t.shape), str(t.dtype)) for n, t in held)


def operations(network: torch.nn.Module, loss: str, x: Any, y: Tensor) -> int:
    """Multiplications and additions of one forward and backward pass (matrix products and convolutions)."""
    from torch.utils.flop_counter import FlopCounterMode

    network = copy.deepcopy(network).train()
    with FlopCounterMode(display=False) as counter:
        given = network(**x) if isinstance(x, Mapping) else network(x)
        loss_function(loss)(given, y).backward()
    return int(counter.get_total_flops())


def _again(t: Tensor, times: int) -> Tensor:
    return t.repeat(times, *[1] * (t.ndim - 1))


def _at(x: Any, i: int) -> Any:
    return {k: v[i] for k, v in x.items()} if isinstance(x, Mapping) else x[i]


def _tensor(network: torch.nn.Module, name: str) -> Tensor:
    owner, _, own = name.rpartition(".")
    tensor: Tensor = getattr(network.get_submodule(owner), own)  # a parameter or a buffer
    return tensor
