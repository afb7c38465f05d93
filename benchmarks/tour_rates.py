"""How often a tour claims what isn't there and finds what is, on small networks whose truth is known.

    python benchmarks/tour_rates.py atlas --runs 40 --write

What was run is kept in the cache, so that a command that was stopped goes on where it was. With ``--write`` the rates go
into the file that ships, which the tour prints beside its findings. With ``--confirm`` the first three runs of what was
measured of an earlier version are made again: where they come out alike, the rates are this version's too.
"""

from __future__ import annotations

import argparse

from workbench.report.touring import PLANTED, confirm, kinds, said, tour_rates, write


def main() -> None:
    """Run, print and, where asked to, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tour", choices=list(PLANTED))
    parser.add_argument("--kind", action="append", help="only this kind; may be repeated")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--confirm", action="store_true")
    asked = parser.parse_args()
    if asked.confirm:
        for kind, same in confirm(asked.tour, asked.jobs):
            print(f"{kind}: {'unchanged' if same else 'the claims changed: measure it again'}.", flush=True)
        return
    there = list(kinds(asked.tour))
    for kind in asked.kind or ():
        if kind not in there:
            parser.error(f"--kind {kind} is none of those planted for {asked.tour}: {', '.join(there)}")
    for kind, counted in tour_rates(asked.tour, asked.kind or there, asked.runs, asked.jobs):
        false = "" if counted["false"] is None else f", falsely of {counted['false']}"
        print(
            f"{kind}: something claimed of {counted['claimed']} of {counted['networks']}{false}", flush=True
        )
        for name, ways in counted["claims"].items():
            if ways:
                print(f"  {name}: {', '.join(f'{way} {n}' for way, n in ways.items())}", flush=True)
        for name, f in counted["found"].items():
            print(f"  planted: {name} {f['way']}, found in {f['times']}", flush=True)
        if asked.write:
            write(asked.tour, {kind: counted})
    print(said(asked.tour))


if __name__ == "__main__":
    main()
