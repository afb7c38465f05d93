"""One trial of a comparison: a kind, an optimizer and a schedule trained from a seed, and what held-out text costs it then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.numerics.attention import mechanism_of
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT
from workbench.numerics.geometry.text import TextName, text_of
from workbench.numerics.objectives import loss_function
from workbench.numerics.optimization import optimizer_of, rate_of
from workbench.numerics.schedules import schedule_of

HELD_OUT = 64  # texts
AT_ONCE = 8  # of them
USUAL = ("standard", "adamw", "cosine")
"""The cell that others are compared with."""


@dataclass(frozen=True)
class Trial:
    """What is trained.

    Attributes
    ----------
    steps : of the usual cell; another has as many as cost the same matrix operations, or all of them if ``equal`` is "tokens".
    text : what is read. rate : the learning rate, as a multiple of the optimizer's own. threads : that torch may take.
    """

    mechanism: str = "standard"
    optimizer: str = "adamw"
    schedule: str = "cosine"
    seed: int = 0
    steps: int = 150
    equal: str = "flops"
    text: TextName = "plays"
    width: int = 64
    layers: int = 2
    heads: int = 4
    length: int = 64
    texts: int = 8
    rate: float = 1.0
    threads: int = 1

    @property
    def cell(self) -> tuple[str, str, str]:
        return self.mechanism, self.optimizer, self.schedule

    def config(self, vocabulary: int) -> GeometryConfig:
        """The network's shape; raises `ValueError` of one that the kind can't have."""
        return GeometryConfig(
            mechanism=self.mechanism,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            vocabulary=vocabulary,
        )


def refused(mechanism: str, optimizer: str, reparametrization: str = "none") -> str:
    """Why a kind whose maps are made so can't be trained with an optimizer, or nothing."""
    if optimizer == "hoss" and not mechanism_of(mechanism).twice:
        return (
            f"optimizer='hoss' needs second derivatives, which {mechanism} layers don't have: take adamw or muon, or another "
            "mechanism"
        )
    if optimizer == "muon" and reparametrization == "mup":
        return (
            "reparametrization='mup' scales steps by signs, and muon's don't grow with the width: take adamw, or another "
            "reparametrization"
        )
    return ""


def refusal(trial: Trial) -> str:
    """Why a cell can't be trained, or nothing."""
    try:
        trial.config(vocabulary=16)
    except ValueError as e:
        return str(e)
    return refused(trial.mechanism, trial.optimizer)


def step(gpt: Any, optimizer: Any, x: torch.Tensor) -> float:
    """Take one step, and give the loss before it."""
    compare = loss_function("next_token")
    optimizer.zero_grad()
    loss = compare(gpt(x), x)
    loss.backward()
    if getattr(optimizer, "needs_loss", False):
        optimizer.step(lambda: compare(gpt(x), x))
    else:
        optimizer.step()
    return float(loss.detach())


def flops_of_a_step(trial: Trial) -> float:
    """Matrix operations of one training step, the optimizer's own with them.

    The network's are counted by formula (`GPT.cost`), without what causality hides; the optimizer's as a multiple of them, by
    torch's count of one step.
    """
    from torch.utils.flop_counter import FlopCounterMode

    text, rng = text_of(trial.text, trial.seed), np.random.default_rng(0)
    gpt = GPT(trial.config(text.vocabulary))
    x = torch.from_numpy(text.written(trial.texts, trial.length, rng))
    compare, counted = loss_function("next_token"), []
    moving = optimizer_of(trial.optimizer, gpt, 1e-3 * rate_of(trial.optimizer))
    for act in (lambda: compare(gpt(x), x).backward(), lambda: step(gpt, moving, x)):
        with FlopCounterMode(display=False) as counter:
            act()
        counted.append(counter.get_total_flops())
    return trial.texts * gpt.cost(trial.length, training=True).matrix * counted[1] / counted[0]


def run(trial: Trial, told: Callable[[int, int], None] = lambda done, of: None) -> dict[str, Any]:
    """Train, and give what was measured; ``told`` hears how far it is.

    Returns
    -------
    dict
        ``bits`` a token of held-out texts, ``nats``; ``steps`` and ``flops`` of a step; ``tokens`` trained on; ``seconds`` of
        processor time in training, ``memory`` in bytes beyond what the process had before (NaN where that can't be asked).
    """
    torch.set_num_threads(trial.threads)
    torch.manual_seed(trial.seed)
    text, rng = text_of(trial.text, trial.seed), np.random.default_rng([trial.seed, 1])
    held_out = torch.from_numpy(text.held_out(HELD_OUT, trial.length, rng))
    flops, steps = flops_of_a_step(trial), trial.steps
    if trial.equal == "flops":
        usual = replace(trial, mechanism=USUAL[0], optimizer=USUAL[1], schedule=USUAL[2])
        steps = max(1, round(trial.steps * flops_of_a_step(usual) / flops))
    torch.manual_seed(trial.seed)
    gpt = GPT(trial.config(text.vocabulary))
    moving = optimizer_of(trial.optimizer, gpt, trial.rate * rate_of(trial.optimizer))
    pace, rates = schedule_of(trial.schedule, steps), [group["lr"] for group in moving.param_groups]
    before, began = _memory("VmRSS"), time.process_time()
    for i in range(steps):
        for group, whole in zip(moving.param_groups, rates, strict=True):
            group["lr"] = whole * pace.factor
        pace.observe(step(gpt, moving, torch.from_numpy(text.written(trial.texts, trial.length, rng))))
        told(i + 1, steps)
    seconds, memory = time.process_time() - began, _memory("VmHWM") - before
    nats = held_out_loss(gpt, held_out)
    tokens = steps * trial.texts * trial.length
    found = {"nats": nats, "bits": nats / float(np.log(2)), "steps": steps, "flops": flops, "tokens": tokens}
    return {**found, "seconds": seconds, "memory": memory}


@torch.no_grad()
def held_out_loss(gpt: GPT, held_out: torch.Tensor) -> float:
    """Nats a token of texts (m, n), each token given those before it."""
    gpt.eval()
    compare = loss_function("next_token")
    parts = [float(compare(gpt(x), x)) * len(x) for x in held_out.split(AT_ONCE)]
    return sum(parts) / len(held_out)


def _memory(which: str) -> float:
    """Bytes of this process: ``VmRSS`` those that it has, ``VmHWM`` the most that it had; NaN where the system doesn't say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith(which)), float("nan"))
