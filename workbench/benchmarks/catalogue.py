"""All measurements by name, and running them."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from workbench.benchmarks import costs, cpu, embedding, graphs, landscapes, topology, weights
from workbench.benchmarks.contests import Contest, Entry, hold
from workbench.benchmarks.rows import Setting
from workbench.benchmarks.summary import summary
from workbench.core.device import describe, resolve
from workbench.core.errors import DataError, MissingError, WorkbenchError, suggest
from workbench.core.progress import tell
from workbench.core.storage import writing

PEERS = (
    "torch",
    "triton",
    "numpy",
    "scipy",
    "scikit-learn",
    "numba",
    "cuml",
    "cuml-cu12",
    "cuml-cu13",
    "umap-learn",
    "pynndescent",
    "torchdr",
    "giotto-ph",
    "ripserplusplus",
    "ripser",
    "weightwatcher",
    "weightscope",
)


@dataclass(frozen=True)
class Benchmark:
    """A measurement: its name, the numbers of rows on a GPU and on a CPU, and what makes its contests.

    A number of rows of 0 says that the contests know their own.
    """

    name: str
    contests: Callable[[Setting, int], Iterator[Contest]]
    on_gpu: tuple[int, ...]
    on_cpu: tuple[int, ...]
    processor_only: bool = False
    repeats_others: bool = False  # then it runs only where it is named

    @property
    def about(self) -> str:
        """What is measured, in a sentence."""
        return (self.contests.__doc__ or "").strip()


ALL = {
    b.name: b
    for b in (
        Benchmark("neighbours", embedding.neighbours, (50_000, 1_000_000), (500, 5000, 20_000)),
        Benchmark("umap", embedding.umap, (50_000, 1_000_000), (500, 5000)),
        Benchmark("spectral", graphs.spectral, (50_000, 1_000_000), (500, 5000)),
        Benchmark("barcode", topology.barcode, (1,), (0,)),
        Benchmark("tree", graphs.tree, (50_000, 1_000_000), (500, 5000)),
        Benchmark("several", embedding.several, (10_000_000,), (500,)),
        Benchmark("aligned", embedding.aligned, (200, 50_000), (500,)),
        Benchmark("landscape", landscapes.landscape, (51,), (7,)),
        Benchmark("cpu", cpu.overhead, (5000,), (5000,), processor_only=True),
        Benchmark("costs", costs.costs, (50_000, 1_000_000), (5000, 20_000)),
        Benchmark("weights", weights.weights, (768,), (768,), processor_only=True),
        Benchmark("first", cpu.first, (5000,), (5000,), processor_only=True),
        Benchmark("summary", summary, (1,), (0,), repeats_others=True),
    )
}


def chosen(names: Iterable[str]) -> list[Benchmark]:
    """Return the measurements named; if none is, all but those that repeat others.

    Raises
    ------
    MissingError
        There is none of that name; near names are suggested.
    """
    names = list(names) or [name for name, b in ALL.items() if not b.repeats_others]
    for name in names:
        if name not in ALL:
            raise MissingError(f"There is no measurement {name!r}. {suggest(name, ALL)}")
    return [ALL[name] for name in names]


def setting_of(device: str, scale: float, repeats: int, data: Path | None) -> Setting:
    """Return a setting with the device found.

    Raises
    ------
    MissingError
        A GPU was asked for and there is none.
    """
    from workbench.benchmarks.rows import opened

    if data is not None:
        opened(data)
    return Setting(resolve(device), scale, repeats, data)


def facts(setting: Setting) -> dict[str, Any]:
    """What a record needs beside the figures: when, where and with which versions."""
    versions = {}
    for name in PEERS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": describe(setting.device),
        "cores": _cores(),
        "python": platform.python_version(),
        "versions": versions,
        "scale": setting.scale,
        "repeats": setting.repeats,
        "data": None if setting.data is None else str(setting.data),
    }


def measure(
    benchmarks: Iterable[Benchmark], setting: Setting, out: Path | None = None
) -> Iterator[tuple[Benchmark, list[Entry]]]:
    """Run measurements, and yield each contest's entries as it ends; ``out`` always holds all so far."""
    record: dict[str, Any] = {**facts(setting), "tables": []}
    for benchmark in benchmarks:
        own = (
            Setting("cpu", setting.scale, setting.repeats, setting.data)
            if benchmark.processor_only
            else setting
        )
        table: dict[str, Any] = {"name": benchmark.name, "about": benchmark.about, "entries": []}
        record["tables"].append(table)
        for n in benchmark.on_cpu if own.device == "cpu" else benchmark.on_gpu:
            tell(f"{benchmark.name}: rows")
            try:
                for contest in benchmark.contests(own, n):
                    entries = list(hold(contest, device=own.device, repeats=own.repeats))
                    table["entries"] += [e.to_json() for e in entries]
                    _write(out, record)
                    yield benchmark, entries
            except (DataError, ImportError) as why:
                skipped = Entry(f"{benchmark.name}, {own.scaled(n):,} rows", "all", False, skipped=str(why))
                table["entries"].append(skipped.to_json())
                _write(out, record)
                yield benchmark, [skipped]


def require_ours(entries: Iterable[Entry]) -> None:
    """Raise a `WorkbenchError` that names what of ours failed."""
    failed = [f"{e.work} ({e.who}): {e.failed}" for e in entries if e.ours and e.failed]
    if failed:
        raise WorkbenchError(f"{len(failed)} of our own measurements failed: {'; '.join(failed)}")


def lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Write a contest's entries as text, a line each; the ratio is a peer's seconds by ours."""
    entries = list(entries)
    yield entries[0].work
    width = max(len(e.who) for e in entries)
    for e in entries:
        yield f"  {e.who:<{width}}  {_said(e)}"


def _said(e: Entry) -> str:
    if e.skipped or e.failed:
        return f"skipped: {e.skipped}" if e.skipped else f"FAILED: {e.failed}"
    spread = f" [{_seconds(min(e.times))}, {_seconds(max(e.times))}]" if len(e.times) > 1 else ""
    said = f"{_seconds(e.median)} s{spread}"
    if e.seconds:
        said += f", first {_seconds(e.first or 0)} s"
    if e.ratio is not None and e.ratio_range is not None:
        low, high = e.ratio_range
        said += f", {e.ratio:.3g} × ours" + (f" [{low:.3g}, {high:.3g}]" if spread else "")
    return said + "".join(
        f", {k} {v:.4g}" if isinstance(v, float) else f", {k} {v}" for k, v in e.quality.items()
    )


def heading(setting: Setting) -> str:
    """Return the device, cores and versions in a line."""
    known = facts(setting)
    versions = ", ".join(f"{k} {v}" for k, v in known["versions"].items())
    return f"{known['device']}, {known['cores']} cores, Python {known['python']}; {versions}"


def _write(out: Path | None, record: dict[str, Any]) -> None:
    if out is not None:
        with writing(out) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _seconds(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
