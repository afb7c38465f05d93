"""How often `equivalence` decides pairs of networks of rectifiers whose truth is known, and in which time.

    python benchmarks/equivalence_rates.py --seeds 5 --widths 4,16,16,1 --widths 4,16,16,16,1

A pair that isn't equal and is called proven, or one that is and is refuted, is counted as wrong: there must be none. With
``--bare`` the decision is asked for without inputs that were drawn beforehand.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

import workbench as wb
from workbench.calibrating.planted.rectifiers import KINDS, Pair
from workbench.numerics.exact.equality import decide
from workbench.numerics.exact.reading import program_of
from workbench.numerics.exact.sampling import domain


def verdict(pair: Pair, effort: int, bare: bool) -> str:
    """What is said of one pair."""
    if bare:
        programs = [program_of(m) for m in (pair.first, pair.second)]
        return decide(programs[0], programs[1], **domain(pair.low, pair.high), work=effort).verdict
    networks = [wb.open(m, name=n) for m, n in ((pair.first, "a"), (pair.second, "b"))]
    return wb.equivalence(*networks, low=pair.low, high=pair.high, effort=effort, n_samples=2000).verdict


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--widths", action="append", help="of the layers, inputs first")
    parser.add_argument("--effort", type=int, default=20)
    parser.add_argument("--bare", action="store_true")
    asked = parser.parse_args()
    os.environ["WORKBENCH_NO_CACHE"] = "1"
    for text in asked.widths or ["4,16,16,1"]:
        widths = [int(w) for w in text.split(",")]
        for name, make in KINDS.items():
            for equal in (True, False):
                said, seconds = [], []
                for seed in range(asked.seeds):
                    pair = make(np.random.default_rng([seed, len(name)]), widths, equal=equal)
                    begun = time.process_time()
                    said.append(verdict(pair, asked.effort, asked.bare))
                    seconds.append(time.process_time() - begun)
                right, wrong = ("proven", "refuted")[:: 1 if equal else -1]
                print(
                    f"{text} {name}, {'equal' if equal else 'unequal'}: {right} {said.count(right)}, untold "
                    f"{said.count('untold')}, wrong {said.count(wrong)} of {len(said)}; seconds {min(seconds):.2f} to {max(seconds):.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
