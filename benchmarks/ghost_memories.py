"""What a written memory recalls of all its rows and of few that are fetched, and what consolidation and relearning tell.

``python benchmarks/ghost_memories.py --seeds 3 --steps 100`` teaches one network a seed and writes a line a measurement.

- ``recall``: facts of random bytes, never trained (a third of the questions end alike, a third of the answers begin alike);
  exact answers, every byte the likeliest given those before it.
- ``paraphrases``: the ten questions among sentences of this repository's own pages, cut in the middle (a fact's question is the
  first half): what is answered as it was written, and how often a paraphrase's own row is among those fetched for it, beside
  the overlap in pairs of bytes, which knows nothing, and chance. ``untrained`` keys are those of a network before any update.
- ``consolidation``: ten facts of random bytes and then the ten questions are trained into the weights, with the first rehearsed
  or not; both are asked with an emptied memory, and 64 other facts with their rows.
- ``switches``: networks that were taught with each way to let in what is read, paired by seed: exact of 64 facts, of memories of
  several sizes and of natural sentences, all rows read and one fetched; a difference from the plain one with Student's interval,
  corrected by Holm. ``python benchmarks/ghost_memories.py --what switches --seeds 5 --width 96``.
- ``topics``: how many rows are looked at to find the nearest, and that they are the same; ``temperature``: what is answered where
  reading is made sharper or blunter than was learned. Both of a plain network.
- ``relearning``: p-values of the two questions that `forgetting` asks of the weights, of facts that were trained into them for
  few updates, and of facts that never were: how often each claims, at 0.05.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import workbench as wb
from workbench.numerics.ghost.consolidating import consolidated
from workbench.numerics.ghost.fetching import Index
from workbench.numerics.ghost.lessons import padded, random_facts
from workbench.numerics.ghost.memory import Rows
from workbench.numerics.ghost.model import Ghost
from workbench.numerics.ghost.questions import questions
from workbench.subjects.memory import Memory
from workbench.subjects.own_checkpoints import checkpoint_of

ROOT = Path(__file__).parents[1]
COUNTS, FETCHED, ASKED = (64, 256, 1024), (1, 4, 16), 64


@torch.inference_mode()
def exact(ghost: Ghost, facts: list[bytes], rows: Rows | None) -> int:
    x, of_answer, _ = padded(facts)
    right = 0
    for i in range(0, len(x), 16):
        likeliest = ghost.read(x[i : i + 16], None, rows).logits[:, :-1].argmax(-1)
        right += int(((likeliest == x[i : i + 16, 1:]) | ~of_answer[i : i + 16, 1:]).all(1).sum())
    return right


@torch.inference_mode()
def exact_fetched(ghost: Ghost, facts: list[bytes], index: Index, count: int) -> tuple[int, int]:
    """Exact answers of what is fetched for each question; and how often its own row is among that."""
    right, own = 0, 0
    for i, fact in enumerate(facts):
        asked = ghost.keys(torch.tensor([list(fact[: fact.index(b"\n") + 1])]))[0]
        rows, which = index.fetched(asked, count)
        right += exact(ghost, [fact], rows)
        own += i in which.tolist()
    return right, own


def recall(ghost: Ghost, seed: int) -> None:
    facts = random_facts(np.random.default_rng([seed, 1]), max(COUNTS))
    for count in COUNTS:
        rows = ghost.written(facts[:count])
        asked = facts[:ASKED]
        line = [f"all {exact(ghost, asked, rows)}"]
        for by in ("end", "mean"):
            index = Index.of(rows, by)
            for k in FETCHED:
                right, own = exact_fetched(ghost, asked, index, k)
                line.append(f"{by} {k}: {right} (own row in {own})")
        print(f"seed {seed}, {count} facts, exact of {ASKED}: {', '.join(line)}", flush=True)


def sentences(count: int) -> list[bytes]:
    """Facts of natural language: sentences of the pages in docs and benchmarks, the first half asking for the second."""
    text = " ".join(
        p.read_text(encoding="utf-8")
        for p in sorted(ROOT.glob("docs/*.md")) + sorted(ROOT.glob("benchmarks/*.md"))
    )
    plain = [" ".join(s.split()) for s in re.split(r"(?<=[.:;])\s+", text)]
    plain = list(dict.fromkeys(s for s in plain if 30 < len(s) < 120 and not set(s) & set('`|#*<>[](){}=_"')))
    found = {}
    for sentence in plain:
        words = sentence.split(" ")
        half = len(words) // 2
        found.setdefault(" ".join(words[:half]), " ".join(words[half:]))
    assert len(found) >= count, len(found)
    return [f"{asked}\n{answer}\n".encode() for asked, answer in list(found.items())[:count]]


def by_pairs(asked: str, facts: list[bytes]) -> list[int]:
    """Facts by how far their questions overlap in pairs of bytes, the nearest first."""

    def pairs(text: str) -> Counter[str]:
        return Counter(a + b for a, b in pairwise(text.lower()))

    own = pairs(asked)
    others = [pairs(f.decode().partition("\n")[0]) for f in facts]
    overlaps = [2 * (own & o).total() / max(own.total() + o.total(), 1) for o in others]
    return np.argsort(-np.array(overlaps), kind="stable").tolist()


def paraphrases(ghost: Ghost, seed: int) -> None:
    asked = [(i, p) for i, q in enumerate(questions()) for p in q.paraphrases]
    facts = [f"{q.question}\n{q.answer}\n".encode() for q in questions()] + sentences(COUNTS[1] - 10)
    rows = ghost.written(facts)
    found = [f"written, all rows: {exact(ghost, facts[:ASKED], rows)} of {ASKED}"]
    torch.manual_seed(seed)
    for name, network in (("taught", ghost), ("untrained", Ghost(ghost.config))):
        for by in ("end", "mean"):
            index = Index.of(network.written(facts), by)
            if name == "taught":
                right, own = exact_fetched(ghost, facts[:ASKED], Index.of(rows, by), 1)
                found.append(f"written, 1 fetched by {by}: {right} (own row in {own})")
            for k in FETCHED:
                with torch.inference_mode():
                    own = sum(
                        i
                        in index.fetched(network.keys(torch.tensor([list(f"{p}\n".encode())]))[0], k)[
                            1
                        ].tolist()
                        for i, p in asked
                    )
                found.append(f"{name} {by} {k}: {own}")
    found += [f"pairs {k}: {sum(i in by_pairs(p, facts)[:k] for i, p in asked)}" for k in FETCHED]
    chance = ", ".join(f"{len(asked) * k / len(facts):.1f}" for k in FETCHED)
    print(
        f"seed {seed}, {len(asked)} paraphrases among {len(facts)} facts, own row fetched: {', '.join(found)}; chance {chance}",
        flush=True,
    )


def consolidation(ghost: Ghost, seed: int, steps: int) -> None:
    rng = np.random.default_rng([seed, 2])
    first, others = random_facts(rng, 10), random_facts(rng, 64)
    second = [f"{q.question}\n{q.answer}\n".encode() for q in questions()]
    told = f"seed {seed}, before: {exact(ghost, first + second, None)} of 20 with an empty memory, "
    print(told + f"{exact(ghost, others, ghost.written(others))} of 64 others with rows", flush=True)
    learned = consolidated(ghost, first, steps=steps, random_state=seed)
    reading = random_facts(rng, 64)
    for name, rehearsed in (("nothing rehearsed", []), ("the first rehearsed", first)):
        made = consolidated(learned, second, steps=steps, rehearsed=rehearsed, random_state=seed)
        print(
            f"seed {seed}, {name}: the first {exact(learned, first, None)} then {exact(made, first, None)} of 10, the second "
            f"{exact(made, second, None)} of 10, with an empty memory; {exact(made, reading, made.written(reading))} of 64 others "
            f"with rows",
            flush=True,
        )


def relearning(ghost: Ghost, seed: int, steps: int) -> None:
    """Facts 0 to 9 are trained, 10 to 19 are not; the network is asked of both."""
    lines = [f.decode("latin-1") for f in random_facts(np.random.default_rng([seed, 3]), 20)]
    table = pd.DataFrame({"text": list(lines)})
    made = (
        consolidated(ghost, [line.encode() for line in lines[:10]], steps=steps, random_state=seed)
        if steps
        else ghost
    )
    memory = Memory(checkpoint_of(made), table, name="facts")
    claimed = {("trained", id): [] for id in ("answer_score", "relearned_score")}
    claimed |= {("never", id): [] for id in ("answer_score", "relearned_score")}
    for fact in range(20):
        for evidence in wb.forgetting(memory, fact=fact, n_null=39, random_state=seed).evidence:
            if evidence.null_values:
                claimed["trained" if fact < 10 else "never", evidence.id].append(evidence.p_value <= 0.05)
    found = ", ".join(f"{which} {id} {sum(c)} of {len(c)}" for (which, id), c in claimed.items())
    x = [line.encode() for line in lines[:10]]
    print(
        f"seed {seed}, trained for {steps}: answered {exact(made, x, None)} of 10; claimed {found}",
        flush=True,
    )


SWITCHES: dict[str, dict[str, bool]] = {
    "plain": {},
    "every layer": {"every_layer": True},
    "raw bytes": {"raw_bytes": True},
}
TEMPERATURES = (1 / 64, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4)


def switches(seeds: range, steps: int, width: int) -> None:
    """One line a network, and the differences."""
    found = []
    for seed in seeds:
        facts = random_facts(np.random.default_rng([seed, 1]), max(COUNTS))
        natural = [f"{q.question}\n{q.answer}\n".encode() for q in questions()] + sentences(COUNTS[1] - 10)
        for name, switch in SWITCHES.items():
            began = time.process_time()
            ghost = wb.ghost_memory(steps=steps, width=width, random_state=seed, **switch).module
            told: dict[str, object] = {
                "switch": name,
                "seed": seed,
                "seconds": round(time.process_time() - began),
            }
            told["parameters"] = sum(p.numel() for p in ghost.parameters())
            for count, lines in ((64, facts), (256, facts), (1024, facts), ("sentences", natural)):
                rows = ghost.written(lines[:count] if isinstance(count, int) else lines)
                told[f"{count}"] = exact(ghost, lines[:ASKED], rows)
                told[f"{count}, 1 fetched"] = exact_fetched(ghost, lines[:ASKED], Index.of(rows), 1)[0]
            print(told, flush=True)
            found.append(told)
    differences(pd.DataFrame(found))


def differences(found: pd.DataFrame) -> None:
    """Of each switch from the plain network, paired by seed, in facts of 64."""
    from scipy.stats import ttest_1samp

    rows = []
    for column in [c for c in found if c not in ("switch", "seed", "seconds", "parameters")]:
        wide = found.pivot(index="seed", columns="switch", values=column)
        for name in list(SWITCHES)[1:]:
            d = (wide[name] - wide["plain"]).to_numpy(float)
            test = ttest_1samp(d, 0) if np.ptp(d) else None
            low, high = test.confidence_interval() if test else (np.nan, np.nan)
            rows.append((name, column, d.mean(), low, high, test.pvalue if test else np.nan))
    table = pd.DataFrame(rows, columns=["switch", "facts", "difference", "low", "high", "p"]).sort_values("p")
    tested = int(table["p"].notna().sum())
    table["Holm"] = ((tested - np.arange(len(table))) * table["p"]).cummax().clip(upper=1)
    print(table.round(3).to_string(index=False), flush=True)


def topics(ghost: Ghost, seed: int) -> None:
    """Rows that are looked at for a question as it was written, and for one that no fact has; and whether they are the nearest."""
    facts = random_facts(np.random.default_rng([seed, 1]), max(COUNTS))
    natural = [f"{q.question}\n{q.answer}\n".encode() for q in questions()] + sentences(COUNTS[1] - 10)
    others = random_facts(np.random.default_rng([seed, 4]), ASKED)
    said = [f"{p}\n".encode() for q in questions() for p in q.paraphrases]
    for name, lines, unknown in (("random", facts, others), ("natural", natural, said)):
        rows = ghost.written(lines)
        plain, cut = Index.of(rows), Index.of(rows, topics=round(len(lines) ** 0.5))
        for asked_of, asked in (("as written", lines[:ASKED]), ("others", unknown)):
            for count in FETCHED:
                looked, same = [], 0
                for line in asked:
                    with torch.inference_mode():
                        keys = ghost.keys(torch.tensor([list(line[: line.index(b"\n") + 1])]))[0]
                    which, seen = cut.topics.nearest(cut.embeddings, keys[-1], count)
                    same += torch.equal(which, plain.fetched(keys, count)[1])
                    looked.append(seen)
                print(
                    f"seed {seed}, {name}, {len(lines)} facts in {len(cut.topics.centres)} topics, {asked_of}, {count} fetched: "
                    f"the same rows for {same} of {len(asked)}, {np.mean(looked):.0f} looked at",
                    flush=True,
                )


def temperature(ghost: Ghost, seed: int) -> None:
    facts = random_facts(np.random.default_rng([seed, 1]), max(COUNTS))
    natural = [f"{q.question}\n{q.answer}\n".encode() for q in questions()] + sentences(COUNTS[1] - 10)
    log_sharpness = ghost.backbone.memory.log_sharpness.data
    learned = float(log_sharpness)
    for name, lines in [(f"{count} random", facts[:count]) for count in COUNTS] + [("256 natural", natural)]:
        rows, line = ghost.written(lines), []
        for t in TEMPERATURES:
            log_sharpness.fill_(learned - float(np.log(t)))
            line.append(f"× {t:g}: {exact(ghost, lines[:ASKED], rows)}")
        log_sharpness.fill_(learned)
        told = f"learned sharpness {np.exp(learned):.1f}, temperature"
        print(f"seed {seed}, {name} facts, {told} {', '.join(line)} of {ASKED}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="seed")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--what", default="recall,paraphrases,consolidation,relearning")
    given = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(given.first, given.first + given.seeds)
    if given.what == "switches":
        switches(seeds, given.steps, given.width)
        return
    for seed in seeds:
        began = time.process_time()
        ghost = wb.ghost_memory(steps=given.steps, width=given.width, random_state=seed).module
        print(f"seed {seed}: taught in {time.process_time() - began:.0f} s", flush=True)
        if "recall" in given.what:
            recall(ghost, seed)
        if "paraphrases" in given.what:
            paraphrases(ghost, seed)
        if "consolidation" in given.what:
            consolidation(ghost, seed, 40)
        if "topics" in given.what:
            topics(ghost, seed)
        if "temperature" in given.what:
            temperature(ghost, seed)
        if "relearning" in given.what:
            for steps in (0, 2, 5, 10):
                relearning(ghost, seed, steps)


if __name__ == "__main__":
    main()
