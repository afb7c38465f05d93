"""How fast Ghost learns its ten questions, and how many paraphrases that it never saw it answers, beside its neighbours.

``python benchmarks/ghost_questions.py --seeds 5 --steps 40`` writes one line a seed and checkpoint, and the shares with their
95 % intervals (Wilson; of 50 paraphrases of ten questions, so wider in truth: paraphrases of one question aren't independent).
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np
import torch

import workbench as wb
from workbench.numerics.ghost.questions import questions
from workbench.subjects.byte_reading import answers_of

ASKED = [q.question for q in questions()]
ANSWERS = [q.answer for q in questions()]
PARAPHRASES = [(p, i) for i, q in enumerate(questions()) for p in q.paraphrases]


def pairs(text: str) -> Counter[str]:
    return Counter(text.lower()[i : i + 2] for i in range(len(text) - 1))


def nearest_by_bytes(paraphrase: str) -> int:
    own = pairs(paraphrase)
    overlaps = [2 * (own & pairs(q)).total() / (own.total() + pairs(q).total()) for q in ASKED]
    return int(np.argmax(overlaps))


def nearest_by_minilm() -> list[int]:
    network = wb.open("minilm").network()
    found = []
    for paraphrase, _ in PARAPHRASES:
        nearest = network.answer([paraphrase, *ASKED])[0][0]
        found.append(ASKED.index(nearest))
    return found


def share(right: int, of: int) -> str:
    from scipy.stats import binomtest

    low, high = binomtest(right, of).proportion_ci(method="wilson")
    return f"{right} of {of} ({100 * low:.0f} to {100 * high:.0f} %)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--paraphrases", type=int, default=0, help="of each question that are trained on")
    given = parser.parse_args()
    torch.set_num_threads(1)
    asked = [(p, i) for k, (p, i) in enumerate(PARAPHRASES) if k % 5 >= given.paraphrases]
    print(
        "nearest question by pairs of bytes:",
        share(sum(nearest_by_bytes(p) == i for p, i in asked), len(asked)),
    )
    near = dict(zip([p for p, _ in PARAPHRASES], nearest_by_minilm(), strict=True))
    print("nearest question by MiniLM:", share(sum(near[p] == i for p, i in asked), len(asked)))
    for seed in range(given.seeds):
        began = time.process_time()
        descent = wb.ghost_descent(steps=given.steps, paraphrases=given.paraphrases, random_state=seed)
        took = time.process_time() - began
        for step in descent.weight_steps[descent.weight_steps >= 3]:
            network = descent.network(int(step))
            exact = sum(
                a == b
                for a, b in zip(answers_of(network, [q + "\n" for q in ASKED], 40), ANSWERS, strict=True)
            )
            if exact < 10 and step < given.steps:
                print(f"seed {seed}, step {step}: {exact} of 10", flush=True)
                continue
            found = answers_of(network, [p + "\n" for p, _ in asked], 40)
            right = sum(a == ANSWERS[i] for a, (_, i) in zip(found, asked, strict=True))
            print(
                f"seed {seed}, step {step}: {exact} of 10, paraphrases {share(right, len(asked))}", flush=True
            )
        print(f"seed {seed}: {took:.1f} s of processor time for {given.steps} steps, recorded", flush=True)


if __name__ == "__main__":
    main()
