"""Ghost on a GPU: seconds to ten of ten, the scan's bandwidth and how it grows, and what a memory recalls.

``python benchmarks/ghost_gpu.py out.json`` writes one JSON object, part by part, so that what is stopped leaves what it had.
It needs torch and numpy alone (no pydantic, no network). ``--device cpu --small`` tries it anywhere in a minute.

- ``questions``: ghost_descent's default model and optimizer (AdamW 2e-3, all ten questions a step), for each seed after a
  warm-up on another model: seconds and steps until every byte of all ten answers is the likeliest one given those before it
  (which is what greedy answers are), with and without the check, which is another forward pass.
- ``scan``: milliseconds of a layer's scan (heads of 64, state 32, float32) forward, and forward with backward, at each length;
  bytes that an ideal kernel would move (inputs read and outputs written once) by seconds, and the peak of memory.
- ``memory``: recall by exact answers of facts never trained, taught for at most ``--minutes``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.lessons import padded, random_facts, teach_reading
from workbench.numerics.ghost.model import Ghost
from workbench.numerics.ghost.questions import lesson, lesson_loss
from workbench.numerics.kernels.scan import scan

SMALL = {"width": 64, "blocks": 4, "heads": 2, "head": 32}
MEMORY = {"width": 128, "blocks": 6, "head": 32, "heads": 1, "attend_every": 0, "memory": 64}
COUNTS = (64, 256, 1024)
ASKED = 256


def synchronized(device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(work: Callable[[], Any], device: str, repeats: int) -> float:
    """Median seconds of a piece of work, after two runs that aren't counted."""
    took = []
    for k in range(repeats + 2):
        began = synchronized(device)
        work()
        if k >= 2:
            took.append(synchronized(device) - began)
    return statistics.median(took)


def right(ghost: Ghost, x: torch.Tensor, of_answer: torch.Tensor, rows: Any = None) -> int:
    """How many answers are exact, to the line's end, when written greedily."""
    with torch.inference_mode():
        likeliest = ghost.read(x, None, rows).logits[:, :-1].argmax(-1)
    return int(((likeliest == x[:, 1:]) | ~of_answer[:, 1:]).all(1).sum())


def questions(device: str, seeds: int, most: int, sizes: dict[str, Any], compiled: bool) -> dict[str, Any]:
    x, of_answer, real = (part.to(device) for part in lesson(0))
    weight = torch.where(of_answer, 1.0, 0.1) * real

    def descend(seed: int, steps: int) -> dict[str, Any]:
        torch.manual_seed(seed)
        ghost = Ghost(GhostConfig(**sizes)).to(device)
        optimizer = torch.optim.AdamW(ghost.parameters(), lr=2e-3)
        loss_of = torch.compile(lesson_loss) if compiled else lesson_loss
        training, checking, exact, step = 0.0, 0.0, 0, 0
        for k in range(steps):
            began = synchronized(device)
            optimizer.zero_grad()
            loss_of(ghost, x, weight).backward()
            optimizer.step()
            trained = synchronized(device)
            exact = right(ghost, x, of_answer)
            training, checking = training + trained - began, checking + synchronized(device) - trained
            step = k + 1
            if exact == len(x):
                break
        return {
            "seed": seed,
            "steps": step,
            "exact": exact,
            "seconds": training,
            "seconds_with_checks": training + checking,
            "step_ms": 1e3 * training / max(step, 1),
        }

    began = synchronized(device)
    descend(1000, 3)
    warm = synchronized(device) - began
    found = [descend(seed, most) for seed in range(seeds)]
    parameters = sum(p.numel() for p in Ghost(GhostConfig(**sizes)).parameters())
    return {"parameters": parameters, "warm_up_seconds": warm, "compiled": compiled, "seeds": found}


def scans(device: str, lengths: list[int], heads: int, repeats: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for length in lengths:
        made = torch.Generator(device=device).manual_seed(0)

        def drawn(*shape: int, made: torch.Generator = made) -> torch.Tensor:
            return torch.randn(1, *shape, generator=made, device=device, requires_grad=True)

        x, B, C = drawn(length, heads, 64), drawn(length, 1, 32), drawn(length, 1, 32)
        log_decay, weight = -drawn(length, heads).detach().abs(), drawn(length, heads).detach().abs()
        given = (x, log_decay.requires_grad_(), weight.requires_grad_(), B, C)

        @torch.no_grad()
        def forward(given: tuple[torch.Tensor, ...] = given) -> None:
            scan(*given)

        def both(given: tuple[torch.Tensor, ...] = given) -> None:
            torch.autograd.grad(scan(*given)[0].sum(), given)

        if device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats()
        read = sum(part.nbytes for part in given)
        ahead, there_and_back = timed(forward, device, repeats), timed(both, device, repeats)
        found.append(
            {
                "length": length,
                "heads": heads,
                "forward_ms": 1e3 * ahead,
                "forward_and_backward_ms": 1e3 * there_and_back,
                "forward_bytes_a_second": (read + x.nbytes) / ahead,
                "both_bytes_a_second": (3 * read + 2 * x.nbytes) / there_and_back,
                "peak_bytes": torch.cuda.max_memory_allocated() if device.startswith("cuda") else None,
                "doubling": None
                if not found
                else 1e3 * there_and_back / found[-1]["forward_and_backward_ms"],
            }
        )
    return found


def memory(device: str, minutes: float, steps: int) -> dict[str, Any]:
    """Taught in rounds of as many steps until the time is over, and asked at the end."""
    torch.manual_seed(0)
    ghost = Ghost(GhostConfig(**MEMORY)).to(device)
    began, taught, losses = synchronized(device), 0, []
    while synchronized(device) - began < 60 * minutes and taught < 12 * steps:
        losses += teach_reading(ghost, steps, 3e-3 if taught < 6 * steps else 1e-3, taught)
        taught += steps
    took = synchronized(device) - began
    found = []
    for count in COUNTS:
        facts = random_facts(np.random.default_rng(7), count)
        x, of_answer, _ = (part.to(device) for part in padded(facts[:ASKED]))
        rows = ghost.written(facts)
        exact = sum(right(ghost, x[i : i + 16], of_answer[i : i + 16], rows) for i in range(0, len(x), 16))
        found.append({"facts": count, "asked": len(x), "exact": exact})
    return {"steps": taught, "seconds": took, "loss": statistics.mean(losses[-20:]), "recall": found}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60, help="at most, of each seed")
    parser.add_argument("--minutes", type=float, default=2.0, help="of teaching the memory, at most")
    parser.add_argument("--compiled", action="store_true", help="the loss by torch.compile")
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    device, small = given.device, given.small
    name = torch.cuda.get_device_name() if device.startswith("cuda") else "cpu"
    found: dict[str, Any] = {"device": name, "torch": torch.__version__, "small": small}
    lengths = [512 << k for k in range(3 if small else 8)]
    parts: dict[str, Callable[[], Any]] = {
        "questions": lambda: questions(
            device, given.seeds, given.steps, SMALL if small else {}, given.compiled
        ),
        "scan": lambda: scans(device, lengths, 2 if small else 10, 3 if small else 20),
        "memory": lambda: memory(device, 0.1 if small else given.minutes, 5 if small else 100),
    }
    for part, measure in parts.items():
        try:
            found[part] = measure()
        except Exception as e:  # one part's failure leaves the others
            found[part] = {"failed": f"{type(e).__name__}: {e}"}
        print(part, json.dumps(found[part]), flush=True)
        temporary = given.out.with_name(given.out.name + ".part")
        temporary.write_text(json.dumps(found, indent=1))
        temporary.replace(given.out)


if __name__ == "__main__":
    main()
