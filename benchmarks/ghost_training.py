"""What Ghost learns, and how soon, by how it is trained; and what attention gives it over 4,096 bytes.

``python benchmarks/ghost_training.py --what ways --seeds 5`` or ``--what copying --seeds 3 --seconds 70 --workers 9``, with
``--device cuda`` on a GPU and ``--small`` to try it anywhere. It needs torch and numpy alone and writes a line a run.

- ``ways``: updates until every byte of all ten answers is the likeliest one given those before it (which is what greedy answers
  are), and paraphrases that were never trained, answered then and after ``--steps`` updates: of `ghost_descent`'s model and optimizer
  (AdamW 2e-3, a question's bytes weighted 0.1), with Muon for the matrices between embedding and head, of a model of 2.1 M
  parameters, with the answers as the only loss, and with two of each five paraphrases trained (and with four).
- ``copying``: letters right where a sequence's first ones come again at its end; and recall of pairs, where all keys of the pairs in
  a sequence come again at its end and their values are asked (Arora et al. 2024, Zoology, 2312.04927); by a state alone, with
  sparse attention, and with attention to all positions. Each network trains for as many seconds, on ever longer sequences for
  equal shares of them (256, 1,024 and 4,096 bytes; pairs on 128 first), and is asked at each length.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.lessons import padded
from workbench.numerics.ghost.model import Ghost
from workbench.numerics.ghost.questions import lesson, lesson_loss, questions

SMALL: dict[str, Any] = {"width": 64, "blocks": 4, "heads": 2, "head": 32}
MIDDLE: dict[str, Any] = {"width": 192, "heads": 3}  # 2.1 M parameters
RATE, PROMPT = 2e-3, 0.1
WAYS: dict[str, dict[str, Any]] = {
    "AdamW": {},
    "Muon": {"muon": True},
    "2.1 M": {"sizes": MIDDLE},
    "answers alone": {"prompt": 0.0},
    "two of five": {"paraphrases": 2},
    "four of five": {"paraphrases": 4},
}
ATTENDING: dict[str, dict[str, Any]] = {
    "none": {"attend_every": 0},
    "sparse": {},
    "all positions": {"window": 4096, "far": 0},
}
BASE: dict[str, Any] = {"width": 128, "blocks": 4, "head": 32, "heads": 2, "attend_every": 2}
ITEMS, LETTERS = 32, 32  # of copying and recall
BATCH = 16


def seconds_of(device: str) -> float:
    """Of the processor; on a GPU of the clock, when all is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


@torch.inference_mode()
def exact(ghost: Ghost, asked: tuple[torch.Tensor, ...]) -> int:
    """How many answers are right to their line's end."""
    x, of_answer, _ = asked
    likeliest = ghost.read(x).logits[:, :-1].argmax(-1)
    return int(((likeliest == x[:, 1:]) | ~of_answer[:, 1:]).all(1).sum())


def optimizers(ghost: Ghost, muon: bool) -> list[torch.optim.Optimizer]:
    if not muon:
        return [torch.optim.AdamW(ghost.parameters(), lr=RATE)]
    ends = ("embeddings", "lm_head")
    named = list(ghost.named_parameters())
    inner = [p for n, p in named if p.ndim == 2 and not any(e in n for e in ends)]
    others = [p for n, p in named if p.ndim != 2 or any(e in n for e in ends)]
    return [
        torch.optim.Muon(inner, lr=RATE, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=RATE),
    ]


def one_way(device: str, name: str, seed: int, steps: int, small: bool) -> dict[str, Any]:
    """Train one network, and look after each update until ten are right."""
    way = WAYS[name]
    trained = way.get("paraphrases", 0)
    x, of_answer, real = (part.to(device) for part in lesson(trained))
    weight = torch.where(of_answer, 1.0, way.get("prompt", PROMPT)) * real
    ten = tuple(part.to(device) for part in lesson(0))
    unseen = [f"{p}\n{q.answer}\n".encode() for q in questions() for p in q.paraphrases[trained:]]
    others = tuple(part.to(device) for part in padded(unseen))
    torch.manual_seed(seed)
    ghost = Ghost(GhostConfig(**(SMALL if small else way.get("sizes", {})))).to(device)
    updating = optimizers(ghost, way.get("muon", False))
    took, reached = 0.0, None
    found: dict[str, Any] = {"way": name, "seed": seed, "of": len(unseen)}
    for k in range(steps):
        began = seconds_of(device)
        for optimizer in updating:
            optimizer.zero_grad()
        lesson_loss(ghost, x, weight).backward()
        for optimizer in updating:
            optimizer.step()
        took += seconds_of(device) - began
        if reached is None and exact(ghost, ten) == len(ten[0]):
            reached = k + 1
            found |= {"steps": reached, "seconds": round(took, 3), "paraphrases": exact(ghost, others)}
    found |= {"ten at the end": exact(ghost, ten), "paraphrases at the end": exact(ghost, others)}
    found |= {"parameters": sum(p.numel() for p in ghost.parameters()), "seconds in all": round(took, 3)}
    return found


def to_copy(rng: np.random.Generator, count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, length) bytes that begin with ITEMS random letters, which come again at the end; and which are to be foretold."""
    x = np.zeros((count, length), np.int64)
    letters = rng.integers(64, 64 + LETTERS, (count, ITEMS))
    x[:, :ITEMS] = x[:, -ITEMS:] = letters
    x[:, -ITEMS - 1] = 1
    wanted = np.zeros(x.shape, bool)
    wanted[:, -ITEMS:] = True
    return x, wanted


def to_recall(rng: np.random.Generator, count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """ITEMS keys with a value behind each, scattered; at the end all keys again in another order, whose values are to be foretold."""
    x = np.zeros((count, length), np.int64)
    wanted = np.zeros(x.shape, bool)
    wanted[:, length - 2 * ITEMS + 1 :: 2] = True
    for row in x:
        keys = rng.permutation(LETTERS)[:ITEMS] + 64 + LETTERS
        pairs = np.stack([keys, 64 + rng.integers(0, LETTERS, ITEMS)], 1)
        at = 2 * np.sort(rng.permutation(length // 2 - ITEMS)[:ITEMS])
        row[at[:, None] + np.arange(2)] = pairs
        row[-2 * ITEMS :] = pairs[rng.permutation(ITEMS)].ravel()
    return x, wanted


TASKS: dict[str, tuple[Callable[..., tuple[np.ndarray, np.ndarray]], tuple[int, ...]]] = {
    "copying": (to_copy, (256, 1024, 4096)),
    "recall": (to_recall, (128, 256, 1024, 4096)),
}


@torch.inference_mode()
def letters_right(ghost: Ghost, task: str, length: int, device: str) -> float:
    """Of sequences that were never trained."""
    made = TASKS[task][0](np.random.default_rng([length, 1]), 64, length)
    x, wanted = (torch.from_numpy(part).to(device) for part in made)
    likeliest = torch.cat([ghost(part)[:, :-1].argmax(-1) for part in x.split(BATCH)])
    return float((likeliest == x[:, 1:])[wanted[:, 1:]].float().mean())


def one_copying(asked: tuple[str, int, str], device: str, seconds: float, small: bool) -> dict[str, Any]:
    """Train one network for so long and ask it at each length."""
    torch.set_num_threads(1)
    task, seed, kind = asked
    make, lengths = TASKS[task]
    lengths = lengths[:1] if small else lengths
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 4096])
    ghost = Ghost(GhostConfig(**(BASE | ATTENDING[kind]))).to(device)
    optimizer = torch.optim.AdamW(ghost.parameters(), lr=2e-3)
    warm = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: min(1.0, (k + 1) / 50))
    updates = dict.fromkeys(lengths, 0)
    loss = torch.zeros(())
    began: float | None = None
    while began is None or seconds_of(device) - began < seconds:
        past = 0.0 if began is None else (seconds_of(device) - began) / seconds
        length = lengths[min(int(past * len(lengths)), len(lengths) - 1)]
        x, wanted = (torch.from_numpy(part).to(device) for part in make(rng, BATCH, length))
        loss = F.cross_entropy(ghost(x)[:, :-1][wanted[:, 1:]], x[:, 1:][wanted[:, 1:]])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(ghost.parameters(), 1.0)
        optimizer.step()
        warm.step()
        updates[length] += 1
        began = seconds_of(device) if began is None else began  # what the first update compiles isn't counted
    return {
        "task": task,
        "attention": kind,
        "seed": seed,
        "updates": updates,
        "loss": round(float(loss.detach()), 3),
        "right": {n: round(letters_right(ghost, task, n, device), 3) for n in lengths},
        "chance": 1 / LETTERS,
    }


def copying(device: str, tasks: list[str], seeds: int, seconds: float, workers: int, small: bool) -> None:
    asked = list(itertools.product(tasks, range(seeds), ATTENDING))
    work = functools.partial(one_copying, device=device, seconds=seconds, small=small)
    if workers < 2:
        for one in asked:
            print(json.dumps(work(one)), flush=True)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(work, asked):
            print(json.dumps(found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", nargs="+", choices=("ways", "copying"), default=["ways", "copying"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="seed")
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=list(WAYS))
    parser.add_argument("--steps", type=int, default=30, help="updates on the ten questions")
    parser.add_argument("--seconds", type=float, default=70, help="of each network that copies or recalls")
    parser.add_argument("--tasks", nargs="+", choices=tuple(TASKS), default=list(TASKS), help="of copying")
    parser.add_argument("--workers", type=int, default=1, help="networks that copy or recall at once")
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    if not given.device.startswith("cuda"):
        torch.set_num_threads(1)
    if "ways" in given.what:
        if given.device.startswith("cuda"):
            one_way(given.device, "AdamW", 1000, 2, given.small)  # compiles
        for seed, name in itertools.product(range(given.first, given.first + given.seeds), given.ways):
            print(json.dumps(one_way(given.device, name, seed, given.steps, given.small)), flush=True)
    if "copying" in given.what:
        copying(given.device, given.tasks, given.seeds, given.seconds, given.workers, given.small)


if __name__ == "__main__":
    main()
