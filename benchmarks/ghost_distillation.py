"""Whether Ghost teaches itself to answer questions in other words, beside what takes no network to do.

``python benchmarks/ghost_distillation.py --seeds 5`` trains a small Ghost on the ten questions, and from there, each with as many
updates on as many lines:

- ``the ten``: goes on with the ten questions alone (equal steps without distillation);
- ``templates``: with variations by rule (a word left out, two words in each other's place, an opening, lower case) of each
  question, 1,000 in all, with their true answers;
- ``itself``: with variations that it writes, from a question's first bytes on, by drawing; kept where its own answer is confident
  (a mean probability of a byte above 0.9) and consistent (the same with a word left out, and in lower case). Their answers are its
  own. Three rounds.

Counted are the fifty paraphrases that people wrote, which none has seen. ``kept`` are variations, ``distinct`` those of them that
differ from each other and from the questions, ``right`` those whose own answer is that of the question that they began as.
"""

from __future__ import annotations

import argparse
import copy
import math

import numpy as np
import pandas as pd
import torch

from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.lessons import padded
from workbench.numerics.ghost.model import Ghost, GhostState
from workbench.numerics.ghost.questions import lesson_loss, questions
from workbench.subjects.byte_reading import answers_of

SIZES = {"width": 96, "blocks": 5, "heads": 3, "head": 32, "states": 16, "attend_every": 2}
ASKED = [(q.question, q.answer) for q in questions()]
PARAPHRASES = [(p, q.answer) for q in questions() for p in q.paraphrases]
OPENINGS = ("", "Tell me: ", "Please say, ", "I ask: ", "Now, ")
SAMPLES, BEGUN, MOST, SURE = 12, 8, 64, 0.9
LINE_END = 10


def without_a_word(text: str, rng: np.random.Generator) -> str:
    words = text.split()
    words.pop(int(rng.integers(len(words))))
    return " ".join(words)


def by_rule(text: str, rng: np.random.Generator) -> str:
    words = text.split()
    kind = int(rng.integers(4))
    if kind == 0:
        text = without_a_word(text, rng)
    elif kind == 1:
        i = int(rng.integers(len(words) - 1))
        words[i], words[i + 1] = words[i + 1], words[i]
        text = " ".join(words)
    elif kind == 2:
        text = text.lower()
    return OPENINGS[rng.integers(len(OPENINGS))] + text


@torch.inference_mode()
def written(ghost: Ghost, begun: list[bytes], gen: torch.Generator) -> list[tuple[str, str, float]]:
    """A question drawn from its beginning on, the likeliest answer, and the mean probability of the answer's bytes."""
    x, state = torch.tensor([list(b) for b in begun]), GhostState()
    lines = [bytearray(b) for b in begun]
    ends, log_p = np.zeros(len(lines), int), np.zeros(len(lines))
    for _ in range(MOST):
        p = ghost(x, state)[:, -1].softmax(-1)
        drawn, likeliest = torch.multinomial(p, 1, generator=gen)[:, 0], p.argmax(-1)
        x = torch.where(torch.from_numpy(ends > 0), likeliest, drawn)[:, None]
        for i, byte in enumerate(x[:, 0].tolist()):
            if ends[i] < 2:
                lines[i].append(byte)
                log_p[i] += math.log(float(p[i, byte])) if ends[i] else 0
                ends[i] += byte == LINE_END
    found = []
    for line, over, total in zip(lines, ends, log_p, strict=True):
        if over == 2:
            question, answer, _ = bytes(line).split(b"\n")
            found.append(
                (
                    question.decode("utf-8", "replace"),
                    answer.decode("utf-8", "replace"),
                    math.exp(total / (len(answer) + 1)),
                )
            )
        else:
            found.append(("", "", 0.0))
    return found


def by_itself(
    ghost: Ghost, rng: np.random.Generator, gen: torch.Generator
) -> tuple[list[tuple[str, str]], dict[str, int]]:
    begun = [q.encode()[:BEGUN] for q, _ in ASKED for _ in range(SAMPLES)]
    true = [a for _, a in ASKED for _ in range(SAMPLES)]
    sure = [
        (q, a, t)
        for (q, a, p), t in zip(written(ghost, begun, gen), true, strict=True)
        if p > SURE and len(q.split()) > 1
    ]
    kept = []
    for question, answer, expected in sure:
        others = [without_a_word(question, rng) + "\n", question.lower() + "\n"]
        if answers_of(ghost, others, 24) == [answer, answer]:
            kept.append((question, answer, expected))
    distinct = {q for q, _, _ in kept} - {q for q, _ in ASKED}
    counted = {"drawn": len(begun), "sure": len(sure), "kept": len(kept), "distinct": len(distinct)}
    counted["right"] = sum(a == t for _, a, t in kept)
    return [(q, a) for q, a, _ in kept], counted


def train(ghost: Ghost, variations: list[tuple[str, str]], steps: int, rng: np.random.Generator) -> Ghost:
    """Every update of the ten questions, and of as many lines that are drawn from variations, or from the ten again."""
    made = copy.deepcopy(ghost).train()
    optimizer = torch.optim.AdamW(made.parameters(), lr=2e-3)
    pool = variations or ASKED
    for _ in range(steps):
        lines = ASKED + [pool[i] for i in rng.integers(len(pool), size=len(ASKED))]
        x, of_answer, real = padded([f"{q}\n{a}\n".encode() for q, a in lines])
        optimizer.zero_grad()
        lesson_loss(made, x, torch.where(of_answer, 1.0, 0.1) * real).backward()
        optimizer.step()
    return made.eval()


def exact(ghost: Ghost, lines: list[tuple[str, str]]) -> int:
    found = answers_of(ghost, [q + "\n" for q, _ in lines], 24)
    return sum(a == b for a, (_, b) in zip(found, lines, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="of each of three rounds")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in range(given.seeds):
        torch.manual_seed(seed)
        rng, gen = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        base = train(Ghost(GhostConfig(**SIZES)), [], 40, rng)
        templates = [(by_rule(q, rng), a) for q, a in ASKED for _ in range(100)]
        arms = {"the ten": base, "templates": base, "itself": base}
        for turn in range(3):
            own, counted = by_itself(arms["itself"], rng, gen)
            print(f"seed {seed}, round {turn}: {counted}", flush=True)
            for name, variations in (("the ten", []), ("templates", templates), ("itself", own)):
                arms[name] = train(arms[name], variations, given.steps, np.random.default_rng([seed, turn]))
        row = {"before": exact(base, PARAPHRASES)} | {n: exact(g, PARAPHRASES) for n, g in arms.items()}
        print(
            f"seed {seed}: exact {[exact(g, ASKED) for g in arms.values()]}, paraphrases of 50 {row}",
            flush=True,
        )
        rows.append(row)
    table = pd.DataFrame(rows)
    if len(table) > 1:
        from scipy.stats import ttest_1samp

        for name in ("templates", "itself"):
            test = ttest_1samp(table[name] - table["the ten"], 0)
            low, high = test.confidence_interval()
            print(
                f"{name} less the ten: {(table[name] - table['the ten']).mean():+.1f} of 50 ({low:+.1f} to {high:+.1f}; "
                f"p = {test.pvalue:.3f}, {min(1, 2 * test.pvalue):.3f} for two)"
            )


if __name__ == "__main__":
    main()
