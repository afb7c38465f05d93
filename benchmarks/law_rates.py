"""How often `laws` finds a law that is there, exactly, and claims one that isn't, at its defaults.

    python benchmarks/law_rates.py --seeds 3 --noise 0.01 --targets 100

Found means the exact form: on fresh rows it equals the law to 1e-9 of its largest value, constants too.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

import workbench as wb

ROWS = 200
TOLERANCE = 1e-9
Law = tuple[
    Callable[..., np.ndarray], int, float, float
]  # the law, its inputs, and between what they are drawn
PLAIN: dict[str, Law] = {
    "m a": (lambda m, a: m * a, 2, 1, 5),
    "m v² / 2": (lambda m, v: m * v**2 / 2, 2, 1, 5),
    "m₁ m₂ / r²": (lambda a, b, r: a * b / r**2, 3, 1, 5),
    "x³ + x² + x": (lambda x: x**3 + x**2 + x, 1, -2, 2),
    "2 sin x + 3": (lambda x: 2 * np.sin(x) + 3, 1, -3, 3),
    "exp(-x/2)": (lambda x: np.exp(-x / 2), 1, 0, 4),
    "√(x² + y²)": (lambda x, y: np.sqrt(x**2 + y**2), 2, 1, 5),
    "n T / V": (lambda n, t, v: n * t / v, 3, 1, 5),
    "3x - 2y + 1": (lambda x, y: 3 * x - 2 * y + 1, 2, -3, 3),
    "log x + y/2": (lambda x, y: np.log(x) + y / 2, 2, 1, 5),
}
HARD: dict[str, Law] = {
    "exp(-x²/2) / √(2π)": (lambda x: np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), 1, -3, 3),
    "exp(-x/2) sin 3x": (lambda x: np.exp(-x / 2) * np.sin(3 * x), 1, 0, 6),
    "m / √(1 - v²)": (lambda m, v: m / np.sqrt(1 - v**2), 2, 0.1, 0.9),
    "log(x + 1) + log(x² + 1)": (lambda x: np.log(x + 1) + np.log(x**2 + 1), 1, 0, 2),
    "√((x - y)² + (z - w)²)": (lambda x, y, z, w: np.sqrt((x - y) ** 2 + (z - w) ** 2), 4, 1, 5),
    "2π √(l/g)": (lambda length, g: 2 * np.pi * np.sqrt(length / g), 2, 1, 5),
    "sin(x²) cos x - 1": (lambda x: np.sin(x**2) * np.cos(x) - 1, 1, -2, 2),
    "1 / (1/a + n/b)": (lambda a, b, n: 1 / (1 / a + n / b), 3, 1, 5),
}


def drawn(law: Law, noise: float, rng: np.random.Generator, *, shuffled: bool = False) -> pd.DataFrame:
    """Rows of a law, with noise in units of its standard deviation; or with its outputs in random order."""
    f, inputs, low, high = law
    x = rng.uniform(low, high, (ROWS, inputs))
    y = f(*x.T)
    y = y + noise * y.std() * rng.standard_normal(ROWS)
    return pd.DataFrame(x, columns=[f"x{i + 1}" for i in range(inputs)]).assign(
        y=rng.permutation(y) if shuffled else y
    )


def is_exact(form: str, law: Law) -> bool:
    """Whether a form that `laws` wrote is the law, on rows that nobody has seen."""
    import sympy

    f, inputs, low, high = law
    x = np.random.default_rng(9).uniform(low, high, (500, inputs))
    names = [f"x{i + 1}" for i in range(inputs)]
    values = sympy.lambdify(names, sympy.sympify(_spelled(form), locals={"e": sympy.E}), "numpy")(*x.T)
    truth = f(*x.T)
    return bool(np.max(np.abs(values - truth)) <= TOLERANCE * np.abs(truth).max())


def _spelled(form: str) -> str:
    """A form as SymPy reads it: its constants are written as people write them."""
    form = re.sub(r"√(\d+)", r"sqrt(\1)", form.replace("√(", "sqrt("))
    return re.sub(r"([\d)])(?=π|sqrt|\(1/sqrt|e(?![\w+-]))", r"\1*", form).replace("π", "pi")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--kind", choices=["plain", "hard"], action="append", help="only these laws")
    parser.add_argument("--noise", type=float, default=0.01)
    parser.add_argument("--targets", type=int, default=100, help="outputs in random order")
    parser.add_argument(
        "--first", type=int, default=0, help="the seed of the first of these, to run them in pieces"
    )
    asked = parser.parse_args()
    for kind, laws in (("plain", PLAIN), ("hard", HARD)):
        if asked.kind and kind not in asked.kind:
            continue
        for seed in range(asked.seeds):
            begun, missed = time.process_time(), []
            for name, law in laws.items():
                rows = wb.open(drawn(law, asked.noise, np.random.default_rng([seed, 7])))
                found = wb.laws(rows, target="y", random_state=seed)
                if not is_exact(found.forms[0], law):
                    missed.append(f"{name} ({found.forms[0]})")
            seconds = (time.process_time() - begun) / len(laws)
            print(
                f"{kind}, seed {seed}: {len(laws) - len(missed)} of {len(laws)}, {seconds:.1f} s each",
                flush=True,
            )
            for line in missed:
                print(f"  missed {line}", flush=True)
    of_all = [*PLAIN.values(), *HARD.values()]
    claims, p = 0, []
    for seed in range(asked.first, asked.first + asked.targets):
        law = of_all[seed % len(of_all)]
        rows = wb.open(drawn(law, asked.noise, np.random.default_rng([seed, 99]), shuffled=True))
        found = wb.laws(rows, target="y", random_state=seed)
        claims += not found.title.startswith("No law")
        p.append(found.evidence[0].p_value)
    print(
        f"in random order: claimed of {claims} of {asked.targets}; p <= 0.05 in {sum(v <= 0.05 for v in p)}"
    )


if __name__ == "__main__":
    main()
