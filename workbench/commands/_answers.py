"""Answers on their way out: shown, written as JSON, kept in a folder."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from workbench.commands.console import bytes_words, say, say_json, say_table, time_words

if TYPE_CHECKING:
    from workbench.core.method import Method
    from workbench.core.result import Result
    from workbench.core.subject import Subject

PAGE = ".html"
KEPT = ("result.json", "arrays.safetensors", "table.csv", "figure.html")
SHOWN_ROWS = 10
# Kinds whose table says more than their evidence.
TABULAR = ("ranking", "curve", "spectrum", "matrix", "diagram")


def options(method: Method) -> list[click.Option]:
    """Where the answer goes; what is written depends on the verb."""
    said = {
        "analysis": (
            "DIR|PAGE.html",
            f"Keep the answer in this folder ({', '.join(KEPT)}), or write it as a page, with what makes it again beside it.",
        ),
        "source": ("FILE", "Keep what is made: .npz with its table, .npy without."),
        "edit": (
            "FILE|DIR",
            "The edited weights: one .safetensors file, or a folder that opens as the network it was.",
        ),
    }
    metavar, words = said[method.verb]
    path = click.Path(path_type=Path)
    out = click.Option(
        ["-o", "--out"], type=path, metavar=metavar, required=method.verb == "edit", help=words
    )
    return [out, _written_as()] if method.verb == "edit" else [out]


def _written_as() -> click.Option:
    from workbench.subjects.saving import Saved

    return click.Option(
        ["--dtype"],
        type=click.Choice(get_args(Saved)),
        default="stored",
        help="As what floating point is written. 'stored' keeps each tensor's own: what wasn't edited is copied byte by byte, "
        "what was is rounded to the nearest number; quantized tensors become float32.  [default stored]",
    )


def require_folder(out: Path) -> None:
    """Refuse a folder that can't be written, or that holds other things, before anything is computed.

    Raises
    ------
    StorageError
        An answer takes the folder's place, so that only an earlier answer may be there.
    """
    from workbench.core.errors import StorageError

    _require_writable(out)
    if out.is_dir() and (others := [p.name for p in out.iterdir() if p.name not in KEPT]):
        raise StorageError(
            f"{out} holds other things ({', '.join(sorted(others)[:3])}) and the answer would take its "
            f"place: give a folder of its own, such as --out {shlex.quote(str(out / 'answer'))}."
        )
    if out.exists() and not out.is_dir():
        raise StorageError(
            f"{out} is a file, and the answer is a folder of several: give another name with --out."
        )


def require_answer(out: Path) -> None:
    """Refuse a place for an answer before anything is computed: a page, or a folder."""
    if out.suffix == PAGE:
        require_file(out, (PAGE,))
    else:
        require_folder(out)


def require_weights(out: Path) -> None:
    """Refuse a place for weights before anything is computed: a .safetensors file, or a folder that isn't there yet."""
    from workbench.core.errors import StorageError

    if out.suffix or out.is_file():
        require_file(out, (".safetensors",))
    elif out.is_dir() and any(out.iterdir()):
        raise StorageError(f"{out} is there already and isn't empty: give a new folder with --out.")
    _require_writable(out)


def require_file(out: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse a file that can't be written, or whose name says another format, before anything is computed."""
    from workbench.core.errors import ParameterError, StorageError

    if out.suffix not in suffixes:
        ends = f"ends in {out.suffix!r}" if out.suffix else "has no ending"
        raise ParameterError(f"--out {out} {ends}; this is written as {' or '.join(suffixes)}.")
    if out.is_dir():
        raise StorageError(f"{out} is a folder: give the name of a file with --out.")
    _require_writable(out)


def keep_inputs(inputs: Sequence[str | None], out: Path) -> None:
    """Refuse to write over what is asked about, before anything is computed."""
    from workbench.core.storage import require_apart

    there = [Path(typed) for typed in inputs if typed is not None and Path(typed).exists()]
    require_apart([out], there, "Give another place with --out.")


def _require_writable(out: Path) -> None:
    from workbench.core.errors import StorageError

    there = next(p for p in (out.absolute().parent, *out.absolute().parent.parents) if p.exists())
    if not there.is_dir():
        raise StorageError(
            f"{out} can't be written: {there} is a file, not a folder. Give another place with --out."
        )
    try:
        with tempfile.TemporaryDirectory(prefix=".workbench-", dir=there):
            pass
    except OSError as e:
        raise StorageError(
            f"{out} can't be written ({there}: {e.strerror}). Give another place with --out."
        ) from None


def save(result: Result, out: Path) -> None:
    """Write a result, its table and its figure (one HTML file, plotly inside) to a folder, all or nothing; or a page."""
    if out.suffix == PAGE:
        from workbench.report.answering import page_of_answer

        page_of_answer(result, out)
        return
    from workbench.core.storage import writing
    from workbench.report.figure import page_of

    with writing(out) as temporary:
        result.save(temporary)
        result.table().to_csv(temporary / "table.csv")
        (temporary / "figure.html").write_text(page_of(result), encoding="utf-8", errors="backslashreplace")


def show(result: Result, out: Path | None, *, as_json: bool) -> None:
    """Say what was found: as sentences beside their questions, or as JSON."""
    if as_json:
        say_json(_facts(result, out))
        return
    seconds = f", {time_words(result.run.seconds)}" if result.run else ""
    say(f"{result.title} ({result.kind}{seconds})")
    if result.run is not None and result.run.aligned:
        say(f"Rows were brought together {result.run.aligned}.")
    if result.evidence:
        say_table(["question", "answer"], ([e.question, e.sentence()] for e in result.evidence))
    for sentence in filter(None, (result.outcome.advice, result.caveat)):
        say(sentence)
    if result.kind in TABULAR:
        _show_rows(result)
    if out is None:
        say("--out DIR keeps the answer, its table and its figure; --out PAGE.html writes it as a page.")
    else:
        say(f"Written: {out}" if out.suffix == PAGE else f"Kept in {out}: {', '.join(KEPT)}.")


def _show_rows(result: Result) -> None:
    table = result.table()
    head = table.head(SHOWN_ROWS)
    cells = (
        [index, *map(_cell, row)] for index, row in zip(head.index, head.itertuples(index=False), strict=True)
    )
    say_table([str(table.index.name or ""), *map(str, table.columns)], cells)
    if len(table) > len(head):
        say(f"{len(head)} of {len(table):,} lines.")


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _facts(result: Result, out: Path | None) -> dict[str, Any]:
    run = result.run
    return {
        "title": result.title,
        "kind": result.kind,
        "method": run.method if run else None,
        "subject": run.subject if run else None,
        "aligned": run.aligned if run else "",
        "parameters": run.parameters if run else None,
        "outcome": {"status": result.outcome.status, "advice": result.outcome.advice},
        "caveat": result.caveat,
        "evidence": [
            {**e.to_json(), "p_value": e.p_value, "sentence": e.sentence()} for e in result.evidence
        ],
        "run": run.to_json() if run else None,
        "out": out.absolute() if out else None,
    }


def require_place(out: Path, gives: type[Subject]) -> None:
    """Refuse a place for what a source gives before it is made: a file of the right ending, or a folder."""
    if suffixes := gives.suffixes:
        require_file(out, suffixes)
    else:
        require_folder(out)


def show_subject(made: Any, out: Path | None, *, as_json: bool) -> None:
    """Say what a source or an edit made."""
    from workbench.subjects.world import World

    columns = list(map(str, made.table.columns)) if hasattr(made, "table") else []
    if as_json:
        said = {
            "name": made.name,
            "holds": made.holds,
            "digest": made.digest,
            "columns": columns,
            "gives": made.gives,
        }
        say_json({**said, "out": out.absolute() if out else None})
        return
    say(f"{made.name}: {made.holds}" + (f"; columns {', '.join(columns)}" if columns else ""))
    if out is not None:
        files = [p for p in out.rglob("*") if p.is_file()] if out.is_dir() else [out]
        size = sum(p.stat().st_size for p in files)
        matrices = isinstance(made, World)  # of which nothing else is kept
        command = "workbench weights" if matrices else "workbench run METHOD"
        say(f"Kept in {out} ({bytes_words(size)}). Ask of it with: {command} {shlex.quote(str(out))}")
    else:
        say(f"--out {'FILE' if made.suffixes else 'DIR'} keeps it.")
