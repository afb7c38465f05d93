"""What a state can keep by how it steps (parity and products of permutations), and what finer steps in depth change and cost.

``python benchmarks/ghost_states.py --what words --seeds 3`` or ``--what substeps --seeds 3``; processor time, one thread.

- ``words``: a Ghost of one block without attention foretells, after each letter of a random word, the product of those so far: of bits
  (parity), of permutations of three (S3) and of five (S5, of generators: a swap and a cycle). Trained on words of 32 letters, asked at
  32 and 256. Blocks that begin with states which hardly decay (``--start``),
  by Euler's step, by the exponential-trapezoidal one, with a rotating state, and with both.
- ``substeps``: Ghosts trained on definitions with so many substeps in depth, and each read with 1 to 32: how far its hidden states
  are from those with 64 (relative), bits a byte of held-out definitions, and processor milliseconds of 512 bytes.

References: Grazzi et al. 2025, Unlocking state-tracking in linear RNNs through negative eigenvalues (2411.12537); Lahoti et al. 2026,
Mamba-3 (2603.15569).
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

import workbench as wb
from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.mixer import Mixer
from workbench.numerics.ghost.model import Block, Ghost

WAYS: dict[str, dict[str, Any]] = {
    "euler": {},
    "trapezoid": {"step": "trapezoid"},
    "rotating": {"rotating": True},
    "both": {"step": "trapezoid", "rotating": True},
}
SIZES: dict[str, Any] = {"width": 32, "blocks": 1, "states": 16, "head": 16, "attend_every": 0}
SHORT, LONG, BATCH = 32, 256, 64
RATE = 1e-2
START = 255  # which a word begins with
TEXT: dict[str, Any] = {"width": 96, "blocks": 4, "states": 16, "head": 32, "attend_every": 0}
SUBSTEPS, FINEST = (1, 2, 4, 8, 16, 32), 64


def group(name: str) -> tuple[np.ndarray, list[int]]:
    """The product of each two elements, and those of which words are made; the first element is the identity."""
    size = {"parity": 2, "S3": 3, "S5": 5}[name]
    elements = list(itertools.permutations(range(size)))
    at = {e: i for i, e in enumerate(elements)}
    table = np.array([[at[tuple(b[k] for k in a)] for b in elements] for a in elements])
    swap = (1, 0, *range(2, size))
    cycle = (*range(1, size), 0)
    return table, [0, *dict.fromkeys((at[swap], at[cycle]))]


def words(name: str, count: int, length: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(count, length) letters and the products of those so far."""
    table, letters = group(name)
    x = rng.choice(letters, (count, length))
    x[:, 0] = 0
    products, now = np.zeros_like(x), np.zeros(count, np.int64)
    for t in range(length):
        now = table[now, x[:, t]]
        products[:, t] = now
    x[:, 0], products[:, 0] = START, 0
    return torch.from_numpy(x), torch.from_numpy(products)


@torch.no_grad()
def begin_slowly(ghost: Ghost) -> None:
    """States that hardly decay, steps of about 1, and angles of any size: from where half a turn a letter is near."""
    for block in ghost.backbone.layers:
        mixer = block.mixer
        assert isinstance(mixer, Mixer)
        mixer.A_log.fill_(-5)
        mixer.dt_bias.fill_(math.log(math.e - 1))
        if mixer.rotating:
            torch.nn.init.normal_(mixer.angle.weight)


def one_word(name: str, way: str, seed: int, steps: int, start: str) -> dict[str, Any]:
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 5])
    ghost = Ghost(GhostConfig(**SIZES, **WAYS[way]))
    if start == "slow":
        begin_slowly(ghost)
    optimizer = torch.optim.AdamW(ghost.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    began, loss = time.process_time(), torch.zeros(())
    for step in range(steps):
        length = max(2, round(SHORT * min(1.0, 2 * step / steps)))  # short words first
        x, products = words(name, BATCH, length, rng)
        loss = F.cross_entropy(ghost(x).mT, products)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(ghost.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    found: dict[str, Any] = {"of": name, "step": way, "seed": seed, "loss": round(float(loss.detach()), 3)}
    for length in (SHORT, LONG):
        x, products = words(name, 256, length, np.random.default_rng([length, 7]))
        with torch.inference_mode():
            right = (ghost(x).argmax(-1) == products)[:, length // 2 :]
        found[f"right of {length}"] = round(float(right.float().mean()), 3)
    return found | {"seconds": round(time.process_time() - began, 1)}


def definitions() -> tuple[np.ndarray, np.ndarray]:
    """Bytes of the definitions that ship: nine of ten to train on, and the tenth held out."""
    texts = wb.corpus("default").table["text"].tolist()
    parts = (["\n".join(t for i, t in enumerate(texts) if (i % 10 == 9) == held)] for held in (False, True))
    seen, unseen = (np.frombuffer(lines[0].encode(), np.uint8).astype(np.int64) for lines in parts)
    return seen, unseen


def pieces(text: np.ndarray, count: int, length: int, rng: np.random.Generator) -> torch.Tensor:
    begins = rng.integers(0, len(text) - length, count)
    return torch.from_numpy(np.stack([text[i : i + length] for i in begins]))


def trained(text: np.ndarray, substeps: int, steps: int, seed: int) -> Ghost:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    ghost = Ghost(replace(GhostConfig(**TEXT), substeps=substeps))
    optimizer = torch.optim.AdamW(ghost.parameters(), lr=3e-3)
    for step in range(steps):
        for group_ in optimizer.param_groups:
            group_["lr"] = 3e-3 * min(1, (step + 1) / 10) * (1 - step / steps)
        x = pieces(text, 8, 128, rng)
        loss = F.cross_entropy(ghost(x)[:, :-1].mT, x[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(ghost.parameters(), 1.0)
        optimizer.step()
    return ghost.eval()


def with_substeps(ghost: Ghost, count: int) -> Ghost:
    for block in ghost.backbone.layers:
        assert isinstance(block, Block)
        block.substeps = count
    return ghost


@torch.inference_mode()
def one_depth(text: np.ndarray, unseen: np.ndarray, substeps: int, steps: int, seed: int) -> dict[str, Any]:
    ghost = trained_outside(text, substeps, steps, seed)
    x = pieces(unseen, 16, 256, np.random.default_rng(0))
    finest = with_substeps(ghost, FINEST).read(x).hidden
    found: dict[str, Any] = {"trained with": substeps, "seed": seed, "read with": {}}
    for count in SUBSTEPS:
        read = with_substeps(ghost, count).read(x)
        took = []
        for _ in range(3):
            began = time.process_time()
            ghost(x[:1, :].repeat(1, 2))
            took.append(time.process_time() - began)
        bits = float(F.cross_entropy(read.logits[:, :-1].mT, x[:, 1:])) / math.log(2)
        error = float((read.hidden - finest).norm() / finest.norm())
        found["read with"][count] = {
            "error": round(error, 5),
            "bits": round(bits, 3),
            "ms": round(1e3 * float(np.median(took)), 1),
        }
    return found


@torch.inference_mode(False)
def trained_outside(text: np.ndarray, substeps: int, steps: int, seed: int) -> Ghost:
    with torch.enable_grad():
        return trained(text, substeps, steps, seed)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", nargs="+", choices=("words", "substeps"), default=["words", "substeps"])
    parser.add_argument("--of", nargs="+", default=["parity", "S3", "S5"])
    parser.add_argument(
        "--start", choices=("slow", "default"), default="slow", help="of a state's decays and steps"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400, help="updates of each network")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if "words" in given.what:
        for name, seed, way in itertools.product(given.of, range(given.seeds), WAYS):
            print(json.dumps(one_word(name, way, seed, given.steps, given.start)), flush=True)
    if "substeps" in given.what:
        text, unseen = definitions()
        print(f"{len(text):,} bytes of definitions to train on, {len(unseen):,} held out", flush=True)
        for seed, substeps in itertools.product(range(given.seeds), (1, 2, 4)):
            print(json.dumps(one_depth(text, unseen, substeps, min(given.steps, 100), seed)), flush=True)


if __name__ == "__main__":
    main()
