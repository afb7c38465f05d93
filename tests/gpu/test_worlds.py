"""Many worlds by the fused kernel against the same worlds by `System.run`; ``TRITON_INTERPRET=1`` runs it without a GPU."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("triton")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if not (torch.cuda.is_available() or INTERPRETED):
    pytest.skip("needs a CUDA device", allow_module_level=True)

from workbench.core.errors import ParameterError  # noqa: E402
from workbench.numerics.fractal_graphs import flower  # noqa: E402
from workbench.numerics.medusa import many  # noqa: E402
from workbench.numerics.medusa.many import Stepping, live  # noqa: E402
from workbench.numerics.medusa.system import Settings, System  # noqa: E402

pytestmark = pytest.mark.gpu
DEVICE = torch.device("cpu" if INTERPRETED else "cuda")


def system(generations: int = 3, **settings: Any) -> System:
    made = flower(2, 2, generations)
    rng = np.random.default_rng(0)
    weights, conducts = rng.standard_normal(len(made.edges)), rng.random(len(made.edges))
    return System(
        made.edges, weights, conducts, made.n, Settings(h=0.1, **settings), given=rng.standard_normal(made.n)
    )


def fused(made: System, worlds: range, steps: int, seed: int = 3) -> tuple[torch.Tensor, Stepping]:
    """The kernel itself, which the interpreter runs on a CPU too."""
    step = Stepping(made, worlds, steps, seed, DEVICE)
    now, after = (torch.zeros(3, made.n, len(worlds), device=DEVICE) for _ in range(2))
    for i in range(steps):
        step(i, now, after)
        now, after = after, now
    return now.cpu().double(), step


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"wave_noise": 0.2, "damping": 0.3, "holding": 0.5},
        {"adapting": 0.7, "holding": 0.2},
        {"growing": True, "rate_noise": 0.3},
        {"heads": 2, "reaching": 0.5},
        {"rate_noise": 0.0},
    ],
    ids=lambda given: "-".join(given) or "plain",
)
def test_the_kernel_takes_the_processors_steps(settings: dict[str, Any]) -> None:
    made, worlds = system(**settings), range(5, 12)
    run = made.run(made.rest(7), 12, seed=3, worlds=worlds)
    found, step = fused(made, worlds, 12)
    for part, expected in zip(found, (run.last.r, run.last.q, run.last.p), strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(step.m.cpu().double(), run.last.m, rtol=1e-4, atol=1e-5)
    assert not step.diverged.any()


def test_a_seed_of_64_bits_is_the_same_seed() -> None:
    made, seed = system(2), 2**64 - 12345
    run = made.run(made.rest(3), 3, seed=seed)
    torch.testing.assert_close(fused(made, range(3), 3, seed)[0][0], run.last.r, rtol=1e-4, atol=1e-5)


def test_a_world_is_the_same_alone_and_among_others() -> None:
    made = system(wave_noise=0.1)
    among, alone = fused(made, range(300), 5)[0], fused(made, range(270, 271), 5)[0]
    assert torch.equal(among[:, :, 270:271], alone)


def test_where_a_world_diverges_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    made = system(rate_noise=3.0, growing=True)
    monkeypatch.setattr(many, "LARGEST", 50.0)
    diverged = fused(made, range(40), 30)[1].diverged.cpu()
    first = int(diverged.nonzero()[0]) + 1
    run = made.run(made.rest(40), 30, seed=3)
    beyond = (run.r.abs().amax(dim=(1, 2)) > 50).nonzero()
    assert first == int(beyond[0])


@pytest.mark.skipif(INTERPRETED, reason="needs a CUDA device")
def test_many_worlds_live_on_the_gpu_as_on_the_processor() -> None:
    made = system()
    found = live(made, range(600), 130, seed=1, watched=(0, 4), every=10)
    expected = live(made, range(600), 130, seed=1, watched=(0, 4), every=10, device="cpu")
    assert found.outcome == expected.outcome == "finished" and found.kept.shape == (14, 2, 600)
    torch.testing.assert_close(found.kept.cpu().double(), expected.kept, rtol=1e-3, atol=1e-3)
    with pytest.raises(ParameterError, match="euler"):
        live(system(scheme="milstein"), range(2), 1)
