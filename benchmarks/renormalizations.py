"""Does a renormalization do more than a restart of the learning rate? Several tasks, several descents, one table each.

Usage: python benchmarks/renormalizations.py [--tasks digits,fashion,glassllm] [--device auto]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from typing import Any

import workbench as wb

RESTARTS = (2.0, 4.0, 8.0, 16.0, 32.0)


def experiments(tasks: list[str]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Name, descent and settings of each experiment."""
    if "digits" in tasks:
        for seed in range(3):
            descent = wb.digits_descent(random_state=seed)
            for rate in (1.0, 8.0):
                yield (
                    f"digits {seed}, own restart ×{rate:g}",
                    descent,
                    {"arm_rate": rate, "random_state": seed},
                )
        yield "digits, SGD 0.05", wb.digits_descent(optimizer="sgd", learning_rate=0.05), {}
        yield "digits after 2,000 steps", wb.digits_descent(steps=2000), {}
        tethered = wb.digits_descent()
        for source in ("gradient_weight", "magnitude", "random"):
            yield f"digits 0, tethered by {source}", tethered, {"arm": "tethering", "tether_source": source}
    if "fashion" in tasks:
        for seed in range(2):
            descent = wb.fashion_descent(images=8000, steps=600, random_state=seed)
            for strength in (1.0, 0.5):
                yield (
                    f"fashion {seed}, strength {strength:g}",
                    descent,
                    {"strength": strength, "random_state": seed},
                )
    if "glassllm" in tasks:
        descent = wb.fine_tune(wb.open("glassllm-en"), wb.corpus("default", max_texts=1500), steps=100)
        how = {"budget": 80, "repeats": 6, "batch_size": 8, "rate_factors": (2.0, 8.0, 32.0)}
        yield "glassllm on definitions", descent, how


def main() -> None:
    """Run them and print what each arm ended below the control and below the best restart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", default="digits,fashion")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    os.environ["WORKBENCH_NO_CACHE"] = "1"
    for name, descent, how in experiments(given.tasks.split(",")):
        start = time.perf_counter()
        found = wb.renormalize(
            descent, **{"budget": 300, "rate_factors": RESTARTS, "device": given.device, **how}
        )
        table = found.table()
        first, best = table.columns[1], next(c for c in table.columns if c.startswith("lower than"))
        kept = [first, "low", "high", "p (Holm)", best, "its low", "its high"]
        kept += [c for c in table.columns if c.startswith("p against")]
        kept += ["at equal operations", "operations", "rank at fork", "rank at end"]
        print(f"\n## {name} ({time.perf_counter() - start:.0f} s)\n")
        print(table.set_index("name")[kept].round(4).to_string())
        print(found.caveat, flush=True)


if __name__ == "__main__":
    main()
