"""How useful, how close and how easily told are series made by each method: five real series, settings chosen inside what is learnt from.

    python benchmarks/synthetic_usefulness.py --aeon FOLDER [--only NAME] [--methods NAME ...]

statsmodels brings three of the series; FOLDER holds aeon's files (its wheel, unpacked), which are read as files.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import t

import workbench as wb
from workbench.numerics.synthesis.makers import MAKERS, chosen, make

HELD_OUT = 1 / 3
SEEDS = 5
TRUNK = ["trunk_horiz_fwd", "trunk_vert", "trunk_horiz_lateral"]
MACRO = ["realgdp", "realcons", "realinv", "cpi", "m1"]


def el_nino(_: Path) -> np.ndarray:
    """Sea surface temperatures, month by month, 1950 to 2010."""
    from statsmodels.datasets import elnino

    return elnino.load_pandas().data.to_numpy()[:, 1:].reshape(-1, 1)


def us_macro(_: Path) -> np.ndarray:
    """Growth of five quantities, quarter by quarter, 1959 to 2009."""
    from statsmodels.datasets import macrodata

    return np.diff(np.log(macrodata.load_pandas().data[MACRO].to_numpy()), axis=0)


def sunspots(_: Path) -> np.ndarray:
    """Yearly numbers, 1700 to 2008."""
    from statsmodels.datasets import sunspots as numbers

    return numbers.load_pandas().data[["SUNACTIVITY"]].to_numpy()


def walking(folder: Path) -> np.ndarray:
    """Acceleration of a walker's trunk, 2,000 steps from the 2,000th of Daphnet's S06R02E0 on."""
    import pandas as pd

    file = next(folder.rglob("S06R02E0.csv"))
    return pd.read_csv(file)[TRUNK].to_numpy(float)[2000:4000]


def vessel(folder: Path) -> np.ndarray:
    """The first 2,000 steps of KDD-TSAD_135, a pressure in a vessel."""
    import pandas as pd

    file = next(
        folder.rglob("135_UCR_Anomaly_InternalBleeding16_TEST.csv")
    )  # which has the other file's steps too
    return pd.read_csv(file)[["value"]].to_numpy(float)[:2000]


SERIES: dict[str, Callable[[Path], np.ndarray]] = {
    "El Niño": el_nino,
    "US macro": us_macro,
    "walking": walking,
    "sunspots": sunspots,
    "vessel": vessel,
}


def spread(values: list[float]) -> str:
    """A mean over seeds with the half of its 95 % interval (Student's)."""
    x = np.array(values)
    return f"{x.mean():.2f} ± {t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)):.2f}"


def measure(real: wb.TimeSeries, method: str) -> None:
    """Print a line of the table: numbers of the methods of two series, over seeds."""
    known = real.values[: len(real) - round(HELD_OUT * len(real))]
    start = time.process_time()
    settings = chosen(known, method, 1000)
    took = time.process_time() - start
    found: dict[str, list[float]] = {}
    tests = []
    start = time.process_time()
    for seed in range(SEEDS):
        made = wb.TimeSeries(make(known, method, len(known), seed, settings), name=method)
        for e in (
            *wb.usefulness(real, made, n_null=0, n_boot=0).evidence,
            *wb.copying(real, made, n_null=0).evidence,
            *wb.discriminator(real, made).evidence[:1],
            *wb.likeness(real, made, n_null=0).evidence,
        ):
            found.setdefault(e.name, []).append(e.value)
            if e.id == "told_apart" and e.p_value is not None:
                tests.append(e.p_value)
    said = "untested" if not tests else f"p ≤ 0.05 in {sum(p <= 0.05 for p in tests)} of {len(tests)}"
    print(
        f"  {method} {settings}, tuning {took:.1f} s, {SEEDS} made and scored {time.process_time() - start:.1f} s"
    )
    print("    " + "; ".join(f"{name} {spread(v)}" for name, v in found.items()) + f"; {said}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--aeon", type=Path, required=True)
    parser.add_argument("--only", choices=SERIES)
    parser.add_argument("--methods", nargs="*", choices=MAKERS, default=list(MAKERS))
    asked = parser.parse_args()
    for name, read in SERIES.items():
        if asked.only in (None, name):
            real = wb.TimeSeries(read(asked.aeon), name=name)
            print(f"{name}: {real.values.shape[0]} x {real.values.shape[1]}", flush=True)
            for method in asked.methods:
                measure(real, method)


if __name__ == "__main__":
    main()
