"""Tours of networks whose truth is known: how often a tour claims what isn't there, and finds what is.

The tour is the notebook that is shipped: its cells are run as they stand, those of the tags below, on networks, texts and
descents that are given to it (`workbench.calibrating.planted`).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import io
import json
import math
import multiprocessing
import os
import re
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

from workbench.calibrating.ledger import FIRST, FOLDER, Rate
from workbench.calibrating.planted import Planted
from workbench.calibrating.running import kept
from workbench.core import history
from workbench.core.cache import cache_dir
from workbench.core.digest import digest
from workbench.core.evidence import words
from workbench.core.storage import writing
from workbench.core.version import source_digest
from workbench.evidence.correction import Finding
from workbench.report.notebooks import find_notebook

TAGS = ("parameters", "rows", "arms", "questions", "findings")
PLANTED = {
    tour: f"workbench.calibrating.planted.{module}"
    for tour, module in (
        ("atlas", "readers"),
        ("explore", "own"),
        ("descent", "descents"),
        ("tethers", "siblings"),
    )
}
"""What each tour is tried on."""


def kinds(tour: str) -> Mapping[str, Planted]:
    """What is planted for a tour, by name."""
    found: Mapping[str, Planted] = _planted(tour).KINDS
    return found


def _planted(tour: str) -> Any:
    return importlib.import_module(PLANTED[tour])


def claims_of(tour: str, kind: str, seed: int, **parameters: Any) -> dict[str, Any]:
    """Run a tour on one network of a kind: each answer's p-value, and which way it was claimed ("" for not)."""
    import workbench as wb
    from workbench import asking, evidence

    planted = _planted(tour)
    start = time.process_time()
    used = ("answers", "ask", "ask_each", "ask_untrained", "as_control", "begin_each", "helping")
    names: dict[str, Any] = {
        "wb": wb,
        "asking": asking,
        "pairwise": pairwise,
        **{n: getattr(evidence, n) for n in used},
    }
    if planted.CONTRASTS_ALONE:
        for ask in ("ask_each", "begin_each"):
            names[ask] = functools.partial(_bare, getattr(evidence, ask))
    history.forget()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for tag, source in _cells(tour):
            exec(compile(source, f"{tour}.ipynb", "exec"), names)
            if tag == "parameters":
                names |= planted.PARAMETERS | planted.opened(kind, seed) | parameters
    history.forget()
    claims = names["findings"].claims
    often = Counter(_name(c.finding) for c in claims)
    answers = {
        _name(c.finding) + (f" of {c.finding.subject}" if often[_name(c.finding)] > 1 else ""): {
            "p": c.finding.evidence.p_value,
            "claimed": _way(c.finding.evidence) if c.verdict == "beyond chance" else "",
        }
        for c in claims
    }
    return {"seed": seed, "seconds": round(time.process_time() - start, 2), "answers": answers}


def _name(f: Finding) -> str:
    """What an answer is called in the counts: without the layers, where it is about all of them together."""
    return f.evidence.name.split(" and ")[0].split("@block")[0]


def _way(e: Any) -> str:
    import numpy as np

    return "more" if e.value > np.median(e.null_values) else "less"


def _bare(ask: Any, method: Any, subjects: Any, **parameters: Any) -> Any:
    return ask(
        method, subjects, **{**parameters, **{n: 0 for n in ("n_null", "n_boot") if n in method.parameters}}
    )


@functools.cache
def _cells(tour: str) -> list[tuple[str, str]]:
    """The code of a notebook's cells that have one of the tags, in order."""
    cells = json.loads(find_notebook(tour).read_text("utf-8"))["cells"]
    tagged = [
        (c["metadata"].get("tags", []), "".join(c["source"])) for c in cells if c["cell_type"] == "code"
    ]
    return [(tags[0], source) for tags, source in tagged if tags and tags[0] in TAGS]


def tour_rates(tour: str, asked: Sequence[str], runs: int, jobs: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run a tour on ``runs`` networks of each kind; yield each kind and what its runs came to, as it is done.

    Runs are kept as they come, so that what was stopped goes on where it was; those of another notebook or workbench
    aren't taken for these.
    """
    todo = {k: [s for s in range(runs) if s not in kept(_records(tour, k))] for k in asked}
    left = {k: len(seeds) for k, seeds in todo.items()}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        of = {pool.submit(_run, tour, kind, seed): kind for kind, seeds in todo.items() for seed in seeds}
        yield from (_counted(tour, kind, runs) for kind in asked if not left[kind])
        for future in as_completed(of):
            kind = of[future]
            path = _records(tour, kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(future.result()) + "\n")
            left[kind] -= 1
            if not left[kind]:
                yield _counted(tour, kind, runs)


def _counted(tour: str, kind: str, runs: int) -> tuple[str, dict[str, Any]]:
    held = kept(_records(tour, kind))
    records = [held[s] for s in range(runs)]
    first = [r["answers"] for r in records[:FIRST]]
    return kind, {"version": version(tour), **count(kinds(tour)[kind], records), "first": first}


def confirm(tour: str, jobs: int) -> Iterator[tuple[str, bool]]:
    """Make the first runs again of kinds that were measured of an earlier version; yield each, and whether they came out alike.

    Where they did, to one part in 10,000 of each p-value, the rates are said to be this version's.
    """
    measured = {k: r for k, r in rates_of(tour).items() if r["version"] != version(tour)}
    for kind, counted in tour_rates(tour, list(measured), FIRST, jobs):
        same = _alike(counted["first"], measured[kind].get("first", []))
        if same:
            write(tour, {kind: measured[kind] | {"version": version(tour)}})
        yield kind, same


def _alike(here: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> bool:
    if [r.keys() for r in here] != [r.keys() for r in before]:
        return False
    pairs = [(r[n], s[n]) for r, s in zip(here, before, strict=True) for n in r]
    return all(
        a["claimed"] == b["claimed"]
        and (
            a["p"] is b["p"] is None
            or (None not in (a["p"], b["p"]) and math.isclose(a["p"], b["p"], rel_tol=1e-4))
        )
        for a, b in pairs
    )


def _run(tour: str, kind: str, seed: int) -> dict[str, Any]:
    os.environ["WORKBENCH_NO_CACHE"] = "1"
    from workbench.numerics.threads import one_thread

    with one_thread():
        return claims_of(tour, kind, seed)


def count(planted: Planted, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the runs on one kind of network came to.

    Returns
    -------
    dict
        ``claimed``: tours with any claim; ``false``: with a claim about something in which there is nothing, None where
        that isn't known of anything; ``claims``: of each question, how often it was claimed to be more and less;
        ``found``: of what was planted, the way that is true and how often it was claimed.
    """
    names = list(dict.fromkeys(n for r in records for n in r["answers"]))
    ways = [{n: a["claimed"] for n, a in r["answers"].items() if a["claimed"]} for r in records]

    def hit(w: Mapping[str, str], pattern: str) -> bool:
        return any(fnmatchcase(n, pattern) and way == planted.claims[pattern] for n, way in w.items())

    return {
        "says": planted.says,
        "networks": len(records),
        "claimed": sum(map(bool, ways)),
        "false": sum(any(map(planted.is_false, w)) for w in ways) if planted.never else None,
        "claims": {
            n: dict(Counter({"more": 0, "less": 0}) + Counter(w[n] for w in ways if n in w)) for n in names
        },
        "found": {
            pattern: {"way": way, "times": sum(hit(w, pattern) for w in ways)}
            for pattern, way in planted.claims.items()
        },
    }


def rates_of(tour: str) -> dict[str, Any]:
    """What ships of a tour's rates; nothing where none were measured."""
    path = _shipped(tour)
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def write(tour: str, counted: Mapping[str, Any]) -> None:
    """Put rates into the file that ships, those of the same kinds in place of what was there."""
    path = _shipped(tour)
    path.parent.mkdir(exist_ok=True)
    everything = {**rates_of(tour), **counted}
    with writing(path) as temporary:
        temporary.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n", "utf-8")


def said(tour: str) -> str:
    """In a few lines, how often a tour claims what isn't there and finds what is; "" where that wasn't measured."""
    measured = rates_of(tour)
    false = [
        f"{k['false']} of {k['networks']} pages claimed something false "
        f"({k['says'].removeprefix('nothing: ')}; {Rate(k['false'], k['networks'])})"
        for k in measured.values()
        if k["false"] is not None
    ]
    hits = [
        f"found on {f['times']} of {k['networks']} pages: {k['says']} "
        f"({words(name.partition('@')[0])} {'higher' if f['way'] == 'more' else 'lower'})"
        for k in measured.values()
        for name, f in k["found"].items()
    ]
    if not false:
        return ""
    old = any(k["version"] != version(tour) for k in measured.values())
    lines = [
        "Pages like this one were made of small networks for which the answers are known in advance.",
        "",
        *(f"- {_upper(line)}" for line in [*false, *hits]),
    ]
    if old:
        lines += ["", "Some of this was measured with an earlier version of the workbench."]
    return "\n".join(lines)


def _upper(line: str) -> str:
    return line[:1].upper() + line[1:]


def _shipped(tour: str) -> Path:
    return FOLDER.parent / "tours" / f"{tour}.json"


def _records(tour: str, kind: str) -> Path:
    return cache_dir() / "tours" / tour / version(tour)[:16] / f"{kind}.jsonl"


@functools.cache
def version(tour: str) -> str:
    """Digest of all that a tour's claims depend on: its cells, the methods that they ask, and the networks' kinds."""
    from workbench.core.registry import method, names

    cells = _cells(tour)
    asked = set(re.findall(r"\bwb\.(\w+)", " ".join(source for _, source in cells))) & set(names())
    own = [source_digest(m).hex() for m in (PLANTED[tour], "workbench.evidence.findings")]
    run = [inspect.getsource(f) for f in (claims_of, _name, _way, _bare)]
    return digest("tour", cells, sorted((n, method(n).version) for n in asked), own, run)
