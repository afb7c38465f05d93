"""Networks that are trained side by side and, between rounds, meet: averaged, merged where they are tethered, or left alone."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.analyses.tethers._merging import (
    ALIGNED,
    ALONE,
    MERGED,
    PLAIN,
    SCORES,
    History,
    Rules,
    Weights,
    averaged,
    merged,
    scores,
)
from workbench.core.errors import DataError, ViewError
from workbench.core.progress import track
from workbench.numerics.compatibility import in_another_order, same_layers, threshold
from workbench.numerics.device import borrowed
from workbench.numerics.neuron_alignment import match_weights, permuted
from workbench.numerics.neuron_chain import Layer, chain_of
from workbench.numerics.objectives import Probe
from workbench.numerics.tethers import at_network, tether
from workbench.subjects.descents.siblings import Models

if TYPE_CHECKING:
    import torch
    from jaxtyping import Int

    from workbench.numerics.stacked_training import Stack

MEASURED = 256  # training samples that tethers are measured on


@dataclass(frozen=True, eq=False)
class Data:
    """Training samples of each network and held-out ones, by seed.

    Attributes
    ----------
    x, y : one a network. trained : (seeds, models) positions that are drawn from. held : (seeds,) positions in ``probe``.
    """

    x: list[torch.Tensor]
    y: list[torch.Tensor]
    trained: list[list[Int[np.ndarray, " n"]]]
    probe: tuple[torch.Tensor, torch.Tensor]
    held: list[Int[np.ndarray, " h"]]
    said: str


def evolve(models: Models, start: int, rules: Rules, arms: Sequence[str]) -> History:
    """Train the networks under each arm's rule for so many rounds.

    Raises
    ------
    ViewError
        There is no network, or the loss isn't that of a classifier.
    DataError
        Too few samples to hold some out, or no chain of layers whose neurons can be aligned.
    """
    import torch

    from workbench.numerics.optimizers import optimizer_of
    from workbench.numerics.stacked_training import Group, Stack

    models.require_network()
    if models.probe.loss != "cross_entropy" or isinstance(models.probe.x, Mapping):
        raise ViewError(
            f"{models.name} has the loss {models.probe.loss}; accuracy and disagreement are asked of classifiers with one input "
            f"(cross_entropy)."
        )
    chain = chain_of(models.trajectories[0].model, models.name)  # type: ignore[arg-type]
    data = _data(models, rules)
    networks = [t.network(start) for t in models.trajectories]
    stack = Stack(
        [Group([n for _ in range(rules.repeats) for n in networks]) for _ in arms],
        models.probe.loss,
        lambda p, rate: optimizer_of(rules.optimizer, p, rate),
        rules.learning_rate,
        device=rules.device,
    )
    history = History(tuple(arms), list(itertools.combinations(range(models.n), 2)), data.said)
    crowd = _Crowd(stack, chain, models.n, rules, data, models.probe.loss)
    crowd.score(history)
    for t in track(range(rules.rounds), "evolving networks"):
        stack.optimizer.state.clear()  # what it remembers is of weights that have since met others
        for at in range(rules.steps):
            stack.step(*_batch(data, rules, t * rules.steps + at))
        if rules.scored == "trained":
            crowd.score(history)
        with torch.no_grad():
            for a, arm in enumerate(arms):
                crowd.meet(a, arm, t, history)
        if rules.scored == "met":
            crowd.score(history)
    return history


class _Crowd:
    """The networks of all arms and seeds, met and scored."""

    def __init__(
        self, stack: Stack, chain: tuple[Layer, ...], models: int, rules: Rules, data: Data, loss: str
    ):
        self.stack, self.chain, self.m, self.rules, self.data, self.loss = (
            stack,
            chain,
            models,
            rules,
            data,
            loss,
        )
        self.names = [n for layer in chain for n in layer.rowwise]
        self.began: dict[int, list[list[Weights]]] = {}
        self.decided: np.ndarray | None = None  # who was merged in this round, for the arm of random tethers

    def meet(self, a: int, arm: str, t: int, history: History) -> None:
        if arm == ALONE:
            return
        everyone = self._read(a)
        if a not in self.began:
            self.began[a] = self._read(a, beginning=True)
        met = []
        values, limits = [], []
        for s, family in enumerate(everyone):
            rng = np.random.default_rng([self.rules.random_state, s, t, 0x6D656574])
            if arm == PLAIN:
                met.append(averaged(family))
                continue
            family, began = self._aligned(family, self.began[a][s], rng)
            self.began[a][s] = began
            if arm == ALIGNED:
                met.append(averaged(family))
                continue
            if arm == MERGED:
                held = self._tethers(family, began, s)
                found = self._compared(family, held, rng)
                values.append(found[0])
                limits.append(found[1])
                close = found[0] > found[1]
            else:
                held = _elsewhere(self._tethers(family, began, s), rng)
                close = self._shuffled(s, rng)
            met.append(merged(self.chain, family, held, close, history.pairs, self.rules))
        if arm == MERGED:
            history.compatibility.append(np.array(values))
            history.limits.append(np.array(limits))
            self.decided = np.array(values) > np.array(limits)
        self._write(a, met)

    def _aligned(
        self, family: list[Weights], began: list[Weights], rng: np.random.Generator
    ) -> tuple[list[Weights], list[Weights]]:
        """All in the order of the first one's neurons, where each began likewise."""
        out, start = [family[0]], [began[0]]
        for w, b in zip(family[1:], began[1:], strict=True):
            order = match_weights(self.chain, family[0], w, random_state=int(rng.integers(2**31)))
            out.append(permuted(self.chain, w, order))
            start.append(permuted(self.chain, b, order))
        return out, start

    def _tethers(self, family: list[Weights], began: list[Weights], seed: int) -> list[Weights]:
        source = self.rules.source
        names = [layer.weight for layer in self.chain]
        if source == "magnitude":
            return [{n: np.abs(w[n]) for n in names} for w in family]
        if source == "movement":
            return [{n: np.abs(w[n] - b[n]) for n in names} for w, b in zip(family, began, strict=True)]
        held = []
        for m, w in enumerate(family):
            at = self.data.trained[seed][m][:MEASURED]
            probe = Probe.of(self.data.x[m][at], self.data.y[m][at], self.loss)
            network = self.stack.network(0, 0)
            _put(network, w)
            found = tether(
                at_network(network, probe), source, random_state=self.rules.random_state + 1009 * seed + m
            )
            held.append({n: found[n] for n in names})
        return held

    def _compared(
        self, family: list[Weights], held: list[Weights], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compatibility and threshold of every pair and layer, (pairs, layers)."""
        values, limits = [], []
        for i, j in itertools.combinations(range(self.m), 2):
            pairs = same_layers(self.chain, family[i], family[j], held[i], held[j])
            null: dict[int, list[float]] = {k: [] for k in pairs}
            for _ in range(self.rules.draws):
                w, z = in_another_order(self.chain, family[j], held[j], rng)
                for k, p in same_layers(self.chain, family[i], w, held[i], z).items():
                    null[k].append(p.value(self.rules.measure))
            values.append([p.value(self.rules.measure) for p in pairs.values()])
            limits.append([threshold(null[k], self.rules.rate) for k in pairs])
        return np.array(values), np.array(limits)

    def _shuffled(self, seed: int, rng: np.random.Generator) -> np.ndarray:
        """As many merges of each layer as the tethers decided, of pairs at random."""
        assert self.decided is not None  # the arm comes after the one that it is a control of
        return rng.permuted(self.decided[seed], axis=0)

    # -- in and out of the stack --------------------------------------------------------------------

    def _read(self, a: int, *, beginning: bool = False) -> list[list[Weights]]:
        """Weights by seed and model, float64."""
        per = self.m * self.rules.repeats
        found = {n: v.detach().cpu().double().numpy() for n, v in self.stack.leaves[a].items()}
        found |= {
            n: v[a * per : (a + 1) * per].detach().cpu().numpy()
            for n, v in self.stack.rest.items()
            if n in self.names
        }
        return [
            [{n: found[n][s * self.m + m].copy() for n in found} for m in range(self.m)]
            for s in range(self.rules.repeats)
        ]

    def _write(self, a: int, families: list[list[Weights]]) -> None:
        import torch

        per = self.m * self.rules.repeats
        for name in families[0][0]:
            stacked = torch.from_numpy(np.stack([w[name] for f in families for w in f]))
            place = self.stack.leaves[a].get(name)
            if place is not None:
                place.copy_(stacked.to(place))
            else:
                rest = self.stack.rest[name]
                rest[a * per : (a + 1) * per] = stacked.to(rest)

    def score(self, history: History) -> None:
        """Add a column to every score."""
        import torch

        x, y = self.data.probe
        arms, s, m = len(history.arms), self.rules.repeats, self.m
        with torch.no_grad():
            logits = self._outputs(x)
        p = torch.softmax(logits.double(), -1).reshape(arms, s, m, len(y), -1).numpy()
        found: dict[str, np.ndarray] = {k: np.zeros((arms, s)) for k in SCORES}
        for seed, held in enumerate(self.data.held):
            target = y[held].numpy()
            for a in range(arms):
                for k, v in scores(p[a, seed][:, held], target).items():
                    found[k][a, seed] = v
        for k, column in found.items():
            before = history.scores.get(k, np.empty((arms, 0, s)))
            history.scores[k] = np.concatenate([before, column[:, None]], axis=1)

    def _outputs(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        from workbench.numerics.objectives import output_of

        stack = self.stack
        stack.template.eval()
        weights = stack.weights()
        place = next(iter(weights.values())).device

        def one(w: Any, r: Any) -> torch.Tensor:
            return output_of(torch.func.functional_call(stack.template, {**w, **r}, (x.to(place),)))

        return torch.func.vmap(one)(weights, stack.rest).cpu()


def _elsewhere(held: list[Weights], rng: np.random.Generator) -> list[Weights]:
    """Tethers of all networks dealt to other edges of their layer, the same in each: as many edges are merged, and shared."""
    out: list[Weights] = [{} for _ in held]
    for name, like in held[0].items():
        order = rng.permutation(like.size)
        for own, tethers in zip(out, held, strict=True):
            own[name] = tethers[name].ravel()[order].reshape(like.shape)
    return out


def _put(network: torch.nn.Module, weights: Weights) -> None:
    import torch

    held = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    with torch.no_grad():
        for n, w in weights.items():
            held[n].copy_(borrowed(np.asarray(w)))


def _data(models: Models, rules: Rules) -> Data:
    """The descents' own training data with the probe held out, or a half of the probe for each, drawn by the seed."""
    probe = models.probe
    x, y = probe.tensors()
    n = len(y)
    own = [t.training for t in models.trajectories]
    there = [o for o in own if o is not None and not isinstance(o.x, Mapping)]
    if len(there) == models.n:
        given = [o.tensors() for o in there]
        everyone = [[np.arange(len(g[1])) for g in given]] * rules.repeats
        if n < 2:
            raise DataError(f"{models.name}: {n} samples are too few to tell networks apart on; select more.")
        return Data(
            [g[0] for g in given],
            [g[1] for g in given],
            everyone,
            (x, y),
            [np.arange(n)] * rules.repeats,
            "Trained on what the descents were trained on; scored on their probe.",
        )
    if n < 20:
        raise DataError(
            f"{models.name}: {n} samples can't be split into some to train on and some to score on; it takes 20 or more "
            f"(or descents that keep what they were trained on: record with training=)."
        )
    orders = [
        np.random.default_rng([rules.random_state, s, 0x73706C74]).permutation(n)
        for s in range(rules.repeats)
    ]
    return Data(
        [x] * models.n,
        [y] * models.n,
        [[o[: n // 2]] * models.n for o in orders],
        (x, y),
        [np.sort(o[n // 2 :]) for o in orders],
        "Trained on a random half of the probe, scored on the other.",
    )


def _batch(data: Data, rules: Rules, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch for every network of an arm, (seeds * models, b, ...); each network draws its own."""
    import torch

    xs, ys = [], []
    for s, trained in enumerate(data.trained):
        rng = np.random.default_rng([rules.random_state, s, step, 0x62617463])
        for m, at in enumerate(trained):
            chosen = at[rng.integers(0, len(at), rules.batch_size)]
            xs.append(data.x[m][chosen])
            ys.append(data.y[m][chosen])
    x, y = torch.stack(xs), torch.stack(ys)
    return x.to(rules.device), y.to(rules.device)
