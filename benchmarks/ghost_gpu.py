"""Ghost on a GPU: seconds to ten of ten, the scan's bandwidth and how it grows, and what a memory recalls.

``python benchmarks/ghost_gpu.py out.json`` writes one JSON object, part by part, so that what is stopped leaves what it had.
It needs torch and numpy alone (no pydantic, no network). ``--device cpu --small`` tries it anywhere in a minute.

- ``questions``: ghost_descent's default model and optimizer (AdamW 2e-3, all ten questions a step), for each seed after a
  warm-up on another model: seconds and steps until every byte of all ten answers is the likeliest one given those before it
  (which is what greedy answers are), with and without the check, which is another forward pass.
- ``scan``: milliseconds of a layer's scan (heads of 64, state 32), by Triton in float32 and bfloat16 and by torch, forward, and
  forward with backward, at each length; bytes that an ideal kernel would move (inputs read and outputs written once) by seconds,
  their share of what a copy reaches, and the peak of memory.
- ``cuts`` (asked by ``--cuts``): the same at one length for each way to cut the sequence, and errors.
- ``kernels``: milliseconds of one block at 16,384 bytes, forward and backward, by kernel.
- ``memory``: recall by exact answers of facts never trained, taught for at most ``--minutes``.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.lessons import padded, random_facts, teach_reading
from workbench.numerics.ghost.model import Ghost
from workbench.numerics.ghost.questions import lesson, lesson_loss
from workbench.numerics.kernels.scan import scan
from workbench.numerics.kernels.scan_plain import scan_reference

SMALL = {"width": 64, "blocks": 4, "heads": 2, "head": 32}
MEMORY = {"width": 128, "blocks": 6, "head": 32, "heads": 1, "attend_every": 0, "memory": 64}
COUNTS = (64, 256, 1024)
ASKED = 256
Scan = Callable[..., tuple[torch.Tensor, torch.Tensor]]


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


def copied(device: str) -> float:
    """Bytes a second that are read and written by a copy of a gigabyte: what memory gives at most."""
    size = 1 << (30 if device.startswith("cuda") else 24)
    given = torch.empty(size, dtype=torch.uint8, device=device)
    taken = torch.empty_like(given)
    return 2 * size / timed(lambda: taken.copy_(given), device, 20)


def drawn(device: str, length: int, heads: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """What one layer scans: x, log decay, weight, B and C."""
    made = torch.Generator(device=device).manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(1, length, *shape, generator=made, device=device).to(dtype)

    x, B, C = normal(heads, 64), normal(1, 32), normal(1, 32)
    return tuple(part.requires_grad_() for part in (x, -normal(heads).abs(), normal(heads).abs(), B, C))


def one_scan(work: Scan, given: tuple[torch.Tensor, ...], device: str, repeats: int) -> dict[str, Any]:
    """Seconds, the share of an ideal kernel's bytes in them, and the peak of memory.

    Floor of the forward pass: inputs read and output written once. With the backward pass: that, and inputs and the output's
    gradient read, and gradients written, once.
    """

    @torch.no_grad()
    def forward() -> None:
        work(*given)

    of_output = torch.randn_like(given[0])

    def both() -> None:
        torch.autograd.grad(work(*given)[0], given, of_output)

    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    inputs, output = sum(part.nbytes for part in given), given[0].nbytes
    floor = inputs + output
    ahead, there_and_back = timed(forward, device, repeats), timed(both, device, repeats)
    return {
        "forward_ms": 1e3 * ahead,
        "forward_and_backward_ms": 1e3 * there_and_back,
        "floor_bytes": floor,
        "forward_bytes_a_second": floor / ahead,
        "both_bytes_a_second": (3 * inputs + 2 * output) / there_and_back,
        "peak_bytes": torch.cuda.max_memory_allocated() if cuda else None,
    }


def scans(device: str, lengths: list[int], heads: int, repeats: int) -> dict[str, Any]:
    """By Triton in two precisions, and by torch."""
    cuda = device.startswith("cuda")
    kinds: dict[str, tuple[Scan, torch.dtype]] = {"torch float32": (scan_reference, torch.float32)}
    if cuda:
        kinds |= {"triton float32": (scan, torch.float32), "triton bfloat16": (scan, torch.bfloat16)}
    found: dict[str, Any] = {"copied_bytes_a_second": copied(device)}
    for kind, (work, dtype) in kinds.items():
        rows: list[dict[str, Any]] = []
        for length in lengths:
            row = one_scan(work, drawn(device, length, heads, dtype), device, repeats)
            row["forward_share"] = row["forward_bytes_a_second"] / found["copied_bytes_a_second"]
            row["both_share"] = row["both_bytes_a_second"] / found["copied_bytes_a_second"]
            if rows:
                for name in ("forward_ms", "forward_and_backward_ms", "peak_bytes"):
                    row[f"{name} doubled"] = row[name] / rows[-1][name] if row[name] else None
            rows.append({"length": length, **row})
        found[kind] = rows
    return found


def one_cut(way: tuple[Any, ...], length: int, heads: int, repeats: int) -> dict[str, Any]:
    """Milliseconds of one way to cut; in another process first, it leaves the compiled kernels behind."""
    from workbench.numerics.kernels.scan_launches import scan_triton

    dtype, precision, chunk, segments, warps = way
    how = {"chunk": chunk, "segments": segments, "warps": warps, "precision": precision}
    row: dict[str, Any] = {"dtype": str(dtype), "length": length, **how}
    try:
        given = drawn("cuda", length, heads, dtype)
        row |= one_scan(functools.partial(scan_triton, **how), given, "cuda", repeats)  # type: ignore[arg-type]
    except Exception as e:  # more shared memory than there is, say
        row["failed"] = f"{type(e).__name__}: {e}"[:200]
    return row


def cuts(length: int, heads: int, repeats: int) -> list[dict[str, Any]]:
    """How the kernels' time depends on how they cut the sequence, and on the precision of products; errors against float64."""
    from workbench.numerics.kernels.scan_launches import scan_triton

    near = tuple(part.detach() for part in drawn("cuda", 2048, heads, torch.float32))
    exact = scan_reference(*(part.double() for part in near))[0]
    cut = ((64, 4), (128, 2), (128, 4), (128, 8))
    ways = [(torch.bfloat16, "tf32", chunk, *at) for chunk in (16, 32, 64, 128) for at in cut]
    # three products of bfloat16 in chunks of 64 end in an illegal memory access, after which nothing can be measured
    ways += [
        (torch.float32, precision, chunk, *at)
        for precision in ("tf32x3", "tf32", "bf16x3")
        for chunk in (16, 32, 64)
        for at in cut
        if (precision, chunk) != ("bf16x3", 64)
    ]
    with ProcessPoolExecutor(8, mp_context=multiprocessing.get_context("spawn")) as pool:
        for _ in pool.map(functools.partial(one_cut, length=length, heads=heads, repeats=1), ways):
            pass
    found = []
    for way in ways:
        row = one_cut(way, length, heads, repeats)
        if "failed" not in row:
            how = {n: row[n] for n in ("chunk", "segments", "warps", "precision")}
            off = scan_triton(*(part.to(way[0]) for part in near), **how)[0] - exact
            row["error"] = float(off.abs().max() / exact.abs().max())
        found.append(row)
        print(json.dumps(row), flush=True)
    return found


def kernels(device: str, length: int, sizes: dict[str, Any]) -> dict[str, Any]:
    """Where the time of one block goes, forward and backward: milliseconds by kernel."""
    ghost = Ghost(GhostConfig(**sizes)).to(device)
    block = ghost.backbone.layers[0]
    x = torch.randn(1, length, ghost.config.width, device=device, requires_grad=True)

    def both() -> None:
        torch.autograd.grad(block(x).square().sum(), [x, *block.parameters()])

    seconds = timed(both, device, 5)
    activity = torch.profiler.ProfilerActivity
    cuda = device.startswith("cuda")
    with torch.profiler.profile(
        activities=[activity.CUDA if cuda else activity.CPU], acc_events=True
    ) as profile:
        both()
    took = {
        event.key[:90]: (event.self_device_time_total if cuda else event.self_cpu_time_total) / 1e3
        for event in profile.key_averages()
    }
    most = dict(sorted(took.items(), key=lambda item: -item[1])[:20])
    return {"length": length, "block_ms": 1e3 * seconds, "sum_ms": sum(took.values()), "by_kernel_ms": most}


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
    parser.add_argument("--cuts", action="store_true", help="measure every way to cut the scan (minutes)")
    parser.add_argument("--only", nargs="+", help="parts to measure: questions, scan, cuts, kernels, memory")
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
        "kernels": lambda: kernels(device, 1024 if small else 16_384, SMALL if small else {}),
        "memory": lambda: memory(device, 0.1 if small else given.minutes, 5 if small else 100),
    }
    if given.cuts:
        parts["cuts"] = lambda: cuts(65_536, 10, 5)
    for part, measure in parts.items():
        if given.only and part not in given.only:
            continue
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
