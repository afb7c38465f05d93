"""Tours of networks whose truth is known: how often a tour claims what isn't there, and finds what is.

The tour is the notebook that is shipped: its cells are run as they stand, those of the tags below, on a network and texts
that are given to it. Intervals and the nulls of single questions are left out, since no claim of it rests on them.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import multiprocessing
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import pairwise
from pathlib import Path
from typing import Any

from workbench.calibrating.ledger import FOLDER, Rate
from workbench.calibrating.planted import KINDS, network, texts
from workbench.calibrating.running import kept
from workbench.core import history
from workbench.core.cache import cache_dir
from workbench.core.digest import digest
from workbench.core.storage import writing
from workbench.core.version import source_digest
from workbench.report.notebooks import find_notebook

TAGS = ("parameters", "rows", "arms", "questions", "findings")
PARAMETERS = {"max_rows": 240, "label": "kind", "n_neighbors": 10}


def claims_of(tour: str, kind: str, seed: int, **parameters: Any) -> dict[str, Any]:
    """Run a tour on one network of a kind: each contrast's p-value, and which way it was claimed ("" for not)."""
    import workbench as wb
    from workbench.evidence import ask_each, ask_untrained

    start = time.process_time()
    given = {**PARAMETERS, "random_state": 1000 * seed, **parameters}
    bare = functools.partial(_bare, ask_each)
    names: dict[str, Any] = {"wb": wb, "pairwise": pairwise, "ask_each": bare, "ask_untrained": ask_untrained}
    history.forget()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for tag, source in _cells(tour):
            exec(compile(source, f"{tour}.ipynb", "exec"), names)
            if tag == "parameters":
                names |= given | {"net": network(kind, 1000 * seed), "texts": texts(seed)}
    history.forget()
    made = names["findings"]
    answers = {
        f.evidence.name.split(" and ")[0].split("@block")[0]: {
            "p": f.evidence.p_value,
            "claimed": _way(f.evidence) if f.found else "",
        }
        for f in made.contrasts
    }
    return {"seed": seed, "seconds": round(time.process_time() - start, 2), "answers": answers}


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


def tour_rates(tour: str, kinds: Sequence[str], runs: int, jobs: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run a tour on ``runs`` networks of each kind; yield each kind and what its runs came to, as it is done.

    Runs are kept as they come, so that what was stopped goes on where it was; those of another notebook or workbench
    aren't taken for these.
    """
    todo = {k: [s for s in range(runs) if s not in kept(_records(tour, k))] for k in kinds}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for kind, seeds in todo.items():
            for future in as_completed([pool.submit(_run, tour, kind, seed) for seed in seeds]):
                path = _records(tour, kind)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(future.result()) + "\n")
            records = kept(_records(tour, kind))
            yield kind, {"version": version(tour), **count(kind, [records[s] for s in range(runs)])}


def _run(tour: str, kind: str, seed: int) -> dict[str, Any]:
    os.environ["WORKBENCH_NO_CACHE"] = "1"
    from workbench.numerics.threads import one_thread

    with one_thread():
        return claims_of(tour, kind, seed)


def count(kind: str, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the runs on one kind of network came to.

    Returns
    -------
    dict
        ``claimed``: tours with any claim; ``claims``: of each question, how often it was claimed to be more and less, and
        ``planted`` which way is true, where something was planted.
    """
    planted = KINDS[kind].claims
    names = list(dict.fromkeys(n for r in records for n in r["answers"]))
    ways = {n: [r["answers"].get(n, {"claimed": ""})["claimed"] for r in records] for n in names}
    return {
        "says": KINDS[kind].says,
        "networks": len(records),
        "claimed": sum(any(a["claimed"] for a in r["answers"].values()) for r in records),
        "claims": {
            n: {"more": w.count("more"), "less": w.count("less"), "planted": planted.get(n, "")}
            for n, w in ways.items()
        },
    }


def rates_of(tour: str) -> dict[str, Any]:
    """What ships of a tour's rates; nothing where none were measured."""
    path = _shipped(tour)
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def write(tour: str, kinds: Mapping[str, Any]) -> None:
    """Put rates into the file that ships, those of the same kinds in place of what was there."""
    path = _shipped(tour)
    path.parent.mkdir(exist_ok=True)
    everything = {**rates_of(tour), **kinds}
    with writing(path) as temporary:
        temporary.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n", "utf-8")


def said(tour: str) -> str:
    """In a sentence or two, how often a tour claims what isn't there and finds what is; "" where that wasn't measured."""
    kinds = rates_of(tour)
    if "untrained" not in kinds:
        return ""
    none = kinds["untrained"]
    hits = [
        f"{c[c['planted']]} of {k['networks']} ({k['says']}: {n.partition('@')[0].replace('_', ' ')})"
        for k in kinds.values()
        for n, c in k["claims"].items()
        if c["planted"]
    ]
    return (
        f"How far such claims can be trusted was measured on small networks whose truth is known: of {none['networks']} that "
        f"learned nothing, something was claimed of {none['claimed']} ({Rate(none['claimed'], none['networks'])})."
        + (f" What was planted was found in {'; '.join(hits)}." if hits else "")
        + (
            ""
            if none["version"] == version(tour)
            else " That was measured of an earlier version of the workbench."
        )
    )


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
    own = [
        source_digest(m).hex()
        for m in (__name__, "workbench.calibrating.planted", "workbench.evidence.findings")
    ]
    return digest("tour", cells, sorted((n, method(n).version) for n in asked), own)
