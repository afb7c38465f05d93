"""Each of Ghost's switches against Ghost without it: one small model, a few hundred updates, paired seeds.

``python benchmarks/ghost_ablations.py FOLDER --seeds 3 --steps 150 --out table.json`` reads plays (``*.txt``; those whose names
begin with ``--held-out`` are never trained on, whatever their edition) and writes a line a run, then the table:

- bits a byte of held-out plays, of a model that was trained on the others, and of the definitions that ship, of which none was
  trained on; for ``diffusion`` an upper bound, of many draws;
- exact of ten, and paraphrases of fifty, of a model of the same shape that was trained on the ten questions alone
  (``--without-questions`` leaves it out);
- bytes a processor second (forward, 512 bytes, one thread), parameters, and FLOPs a byte as torch counts them (products of
  matrices, not the elementwise work, which is most of S6's).

A difference is paired by seed, with Student's interval; p-values are corrected by Holm over the table's rows for each column.
All models have the same width and number of blocks, so a switch that adds parameters has more.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

import workbench as wb
from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.diffusion import ByteDiffusion
from workbench.numerics.ghost.infilling import MARKS, asked_between, rearranged
from workbench.numerics.ghost.model import Ghost
from workbench.numerics.ghost.questions import RATIO_WEIGHT, UNITS_LONG, lesson, lesson_loss, questions
from workbench.subjects.byte_reading import answers_of

SIZES: dict[str, Any] = {"width": 96, "blocks": 5, "heads": 3, "head": 32, "states": 16, "attend_every": 2}
PLAIN = "plain"
SWITCHES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "S6 blocks": {"mixing": "s6"},
    "trapezoid": {"step": "trapezoid"},
    "rotating state": {"rotating": True},
    "two substeps": {"substeps": 2},
    "no attention": {"attend_every": 0},
    "content positions": {"places": "content"},
    "learned units": {"tokenizer": "learned"},
    "every fourth byte": {"tokenizer": "fourth"},
    "units at spaces": {"tokenizer": "spaces"},
    "slots": {"slots": 64},
    "slots, mean query": {"slots": 64, "slot_query": "mean"},
    "infilling": {},
    "diffusion": {"attend_every": 0},
}
BATCH, LENGTH, HELD, GAP = 8, 128, 32, 8
RATE = 3e-3


def texts_of(folder: Path, held_out: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Bytes of the plays that are trained on, and of those that are held out; marks of infilling become spaces."""
    found: tuple[list[bytes], list[bytes]] = ([], [])
    for path in sorted(folder.glob("*.txt")):
        if path.name != "metadata.txt":
            found[path.name.startswith(tuple(held_out))].append(path.read_bytes())
    table = bytes.maketrans(MARKS, b" " * len(MARKS))
    seen, unseen = (
        np.frombuffer(b"\n".join(texts).translate(table), np.uint8).astype(np.int64) for texts in found
    )
    return seen, unseen


def definitions() -> np.ndarray:
    """Bytes of the definitions that ship."""
    texts = "\n".join(wb.corpus("default").table["text"].tolist()).encode()
    return np.frombuffer(texts.translate(bytes.maketrans(MARKS, b" " * len(MARKS))), np.uint8).astype(
        np.int64
    )


def pieces(text: np.ndarray, count: int, length: int, rng: np.random.Generator) -> torch.Tensor:
    begins = rng.integers(0, len(text) - length, count)
    return torch.from_numpy(np.stack([text[i : i + length] for i in begins]))


def loss_of(model: Any, x: torch.Tensor, rng: np.random.Generator, gen: torch.Generator, name: str) -> Any:
    if name == "diffusion":
        return model.bound(x, gen).mean()
    if name == "infilling":  # half the lines, as its authors advise
        half = len(x) // 2
        cut = [list(rearranged(bytes(line.tolist()), rng)) for line in x[:half, : LENGTH - 4]]
        x = torch.cat([torch.tensor(cut), x[half:]])
    read = model.read(x)
    loss = F.cross_entropy(read.logits[:, :-1].mT, x[:, 1:])
    if model.config.tokenizer == "learned":
        loss = loss + RATIO_WEIGHT * read.boundaries.ratio_loss(UNITS_LONG)
    return loss


def trained(name: str, switch: dict[str, Any], text: np.ndarray, steps: int, seed: int) -> Any:
    torch.manual_seed(seed)
    rng, gen = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    config = GhostConfig(**{**SIZES, **switch})
    model = ByteDiffusion(config) if name == "diffusion" else Ghost(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 10) * (1 - step / steps)
        loss = loss_of(model, pieces(text, BATCH, LENGTH, rng), rng, gen, name)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


@torch.inference_mode()
def bits(model: Any, text: np.ndarray, name: str) -> float:
    """Of the same held-out pieces for all, each foretold from its first byte on."""
    x = pieces(text, HELD, 2 * LENGTH, np.random.default_rng(0))
    if name == "diffusion":
        gen = torch.Generator().manual_seed(0)
        return float(np.mean([float(model.bound(x, gen).mean()) for _ in range(8)]))
    return float(F.cross_entropy(model(x)[:, :-1].mT, x[:, 1:])) / math.log(2)


@torch.inference_mode()
def infilled(model: Ghost, text: np.ndarray) -> dict[str, float]:
    """Share of bytes of gaps that are foretold given those of the gap before them: with what follows the gap, and without."""
    x = pieces(text, 64, LENGTH, np.random.default_rng(1)).numpy().astype(np.uint8)
    at = LENGTH // 2
    right = {"with what follows": 0, "without": 0}
    for line in x:
        before, gap, after = line[:at].tobytes(), line[at : at + GAP].tobytes(), line[at + GAP :].tobytes()
        for name, asked in (("with what follows", asked_between(before, after)), ("without", before)):
            given = torch.tensor([list(asked + gap)])
            likeliest = model(given)[0, len(asked) - 1 : -1].argmax(-1)
            right[name] += int((likeliest == torch.tensor(list(gap))).sum())
    return {name: count / (len(x) * GAP) for name, count in right.items()}


def answered(switch: dict[str, Any], steps: int, seed: int) -> tuple[int, int]:
    torch.manual_seed(seed)
    ghost = Ghost(GhostConfig(**{**SIZES, **switch}))
    optimizer = torch.optim.AdamW(ghost.parameters(), lr=4e-3)
    x, of_answer, real = lesson(0)
    weight = torch.where(of_answer, 1.0, 0.1) * real
    for _ in range(steps):
        optimizer.zero_grad()
        lesson_loss(ghost, x, weight).backward()
        optimizer.step()
    ghost.eval()
    lines = [(q.question, q.answer) for q in questions()]
    lines += [(p, q.answer) for q in questions() for p in q.paraphrases]
    written = answers_of(ghost, [asked + "\n" for asked, _ in lines], 24)
    right = [a == b for a, (_, b) in zip(written, lines, strict=True)]
    return sum(right[:10]), sum(right[10:])


def cost(name: str, switch: dict[str, Any]) -> dict[str, float]:
    from torch.utils.flop_counter import FlopCounterMode

    config = GhostConfig(**{**SIZES, **switch})
    model = (ByteDiffusion(config) if name == "diffusion" else Ghost(config)).eval()
    x = torch.randint(32, 127, (1, 512), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            model(x)
        took = []
        for _ in range(5):
            began = time.process_time()
            model(x)
            took.append(time.process_time() - began)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "kFLOPs a byte": counter.get_total_flops() / 512 / 1e3,
        "bytes a second": 512 / float(np.median(took)),
    }


def runs(
    folder: Path, held_out: list[str], names: list[str], seeds: int, steps: int, asks: bool
) -> Iterator[dict[str, Any]]:
    (seen, unseen), defined = texts_of(folder, held_out), definitions()
    print(f"{len(seen):,} bytes to train on, {len(unseen):,} held out", flush=True)
    for seed in range(seeds):
        for name in names:
            began, switch = time.process_time(), SWITCHES[name]
            model = trained(name, switch, seen, steps, seed)
            found: dict[str, Any] = {"switch": name, "seed": seed, "bits a byte": bits(model, unseen, name)}
            found["bits a byte of definitions"] = bits(model, defined, name)
            if asks and name not in ("diffusion", "infilling"):
                found["exact"], found["paraphrases"] = answered(switch, 40, seed)
            if name == "infilling":
                found |= infilled(model, unseen)
            found["seconds"] = time.process_time() - began
            print(json.dumps(found), flush=True)
            yield found


def compared(found: pd.DataFrame, column: str) -> pd.DataFrame:
    """Differences from the plain model, paired by seed: mean, interval, and p-values corrected over the rows."""
    from scipy.stats import ttest_1samp

    wide = found.pivot(index="seed", columns="switch", values=column).dropna(axis=1)
    rows = {}
    for name in wide.columns.drop(PLAIN):
        d = (wide[name] - wide[PLAIN]).to_numpy(float)
        if np.ptp(d) == 0:
            rows[name] = (d.mean(), np.nan, np.nan, np.nan)
            continue
        test = ttest_1samp(d, 0)
        between = test.confidence_interval()
        rows[name] = (d.mean(), between.low, between.high, test.pvalue)
    table = pd.DataFrame(rows, index=["difference", "low", "high", "p"]).T
    order = table["p"].sort_values().index
    worst = 0.0
    for k, name in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - k) * table.loc[name, "p"]))
        table.loc[name, "Holm"] = worst
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--held-out", default="hamlet,tempest")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--only", default="", help="switches, by name, with commas; all without it")
    parser.add_argument("--without-questions", action="store_true")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = [n.strip() for n in given.only.split(",")] if given.only else list(SWITCHES)
    names = [PLAIN, *(n for n in names if n != PLAIN)]
    asks = not given.without_questions
    made = list(runs(given.folder, given.held_out.split(","), names, given.seeds, given.steps, asks))
    found = pd.DataFrame(made)
    costs = pd.DataFrame({name: cost(name, SWITCHES[name]) for name in names}).T
    means = found.groupby("switch", sort=False).mean(numeric_only=True).drop(columns="seed")
    print(means.join(costs).round(2).to_string())
    tables = {}
    for column in ("bits a byte", "bits a byte of definitions", "paraphrases"):
        if given.seeds > 1 and len(names) > 1 and column in found:
            tables[column] = compared(found, column).sort_values("difference")
            print(f"\n{column}, less the plain model's:\n{tables[column].round(3).to_string()}")
    if given.out:
        written = {"runs": made, "costs": costs.to_dict("index")}
        written |= {f"compared, {c}": t.to_dict("index") for c, t in tables.items()}
        temporary = given.out.with_name(given.out.name + ".part")
        temporary.write_text(json.dumps(written, indent=1))
        temporary.replace(given.out)


if __name__ == "__main__":
    main()
