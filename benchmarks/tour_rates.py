"""How often a tour claims what isn't there and finds what is, on small networks whose truth is known.

    python benchmarks/tour_rates.py atlas --runs 40 --write

What was run is kept in the cache, so that a command that was stopped goes on where it was. With ``--write`` the rates go
into the file that ships, which the tour prints beside its findings.
"""

from __future__ import annotations

import argparse

from workbench.calibrating.planted import KINDS
from workbench.report.touring import said, tour_rates, write


def main() -> None:
    """Run, print and, where asked to, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tour", choices=["atlas"])
    parser.add_argument(
        "--kind", action="append", choices=list(KINDS), help="only this kind; may be repeated"
    )
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    for kind, counted in tour_rates(asked.tour, asked.kind or list(KINDS), asked.runs, asked.jobs):
        print(f"{kind}: something claimed of {counted['claimed']} of {counted['networks']}", flush=True)
        for name, c in counted["claims"].items():
            planted = f", planted: {c['planted']}" if c["planted"] else ""
            print(f"  {name}: more {c['more']}, less {c['less']}{planted}", flush=True)
        if asked.write:
            write(asked.tour, {kind: counted})
    print(said(asked.tour))


if __name__ == "__main__":
    main()
