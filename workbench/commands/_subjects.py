"""From what is typed as SUBJECT to the subject that a method is asked about."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.commands.console import clean

if TYPE_CHECKING:
    from workbench.core.method import Method
    from workbench.core.subject import Subject
    from workbench.subjects.descents.trajectory import Trajectory

# As in the atlas, so that its captures are found again.
MAX_TEXTS, SAMPLE = 400, 1500


def options(method: Method) -> list[click.Option]:
    """The options that say what exactly of SUBJECT is asked about; which there are depends on the view."""
    if method.verb != "analysis" or method.needs is None:
        return []
    needs = method.needs.__name__
    places = {
        "Points": "The last block without it.",
        "Aligned": "A pattern; all blocks without it.",
        "Matrix": "The tensor; of a descent, STEP/TENSOR.",
    }
    found = []
    if needs in places:
        found.append(
            click.Option(
                ["--at"],
                metavar="SITE",
                help=f"Which part of a network, like encoder.layer.5. {places[needs]}",
            )
        )
    if needs in ("Points", "Aligned"):
        found += [
            click.Option(
                ["--corpus"],
                metavar="NAME|FILE",
                help="The texts that a network reads; the bundled ones without it.",
            ),
            click.Option(["--column"], metavar="NAME", help="The column of the corpus that holds the text."),
            click.Option(
                ["--max-texts"],
                type=click.IntRange(min=1),
                metavar="INTEGER",
                help=f"Texts that a network reads.  [default {MAX_TEXTS}]",
            ),
            click.Option(
                ["--capture-rows"],
                type=click.Choice(["position", "sample"]),
                help="Whether a row is a token, or a text averaged over its tokens.  [default position]",
            ),
            click.Option(
                ["--capture-max-length"],
                type=click.IntRange(min=4),
                metavar="INTEGER",
                help="Tokens of a text that are read.  [default 64]",
            ),
        ]
    if needs != "Matrix":
        found += [
            click.Option(["--select"], metavar="QUERY", help="Only rows where this holds: 'position > 3'."),
            click.Option(
                ["--sample"],
                type=click.IntRange(min=1),
                metavar="INTEGER",
                help=f"At most so many rows, drawn at random.  [default {SAMPLE} of a network's, else all]",
            ),
            click.Option(["--drop-nonfinite"], is_flag=True, help="Leave out rows with NaN or infinities."),
        ]
    return found


def open_named(what: str, kind: str | None = None) -> Subject:
    """Open a path, captured store or bundled name (as ``kind``), or make what the source of that name makes.

    Raises
    ------
    MissingError
        It is none of these.
    """
    from workbench.capturing.store import MANIFEST, TABLE, open_store
    from workbench.core.errors import MissingError, nearest
    from workbench.core.registry import method as registered
    from workbench.core.registry import methods, names

    name = what.replace("-", "_")
    if all(os.path.isfile(os.path.join(what, part)) for part in (MANIFEST, TABLE)):
        return open_store(what)
    if not os.path.exists(what) and name in names() and (found := registered(name)).verb == "source":
        return found()
    from workbench.io import open as open_subject

    try:
        return open_subject(what, kind=kind)
    except MissingError as e:
        if Path(what).suffix or "/" in what:
            raise
        sources = [m.name for m in methods() if m.verb == "source"]
        near = nearest(what, sources)
        raise MissingError(f"{e} Among the sources: {near}" if near else str(e)) from None


def prepare(
    what: str,
    method: Method,
    *,
    at: str | None = None,
    corpus: str | None = None,
    column: str | None = None,
    max_texts: int | None = None,
    sample: int | None = None,
    capture_rows: str | None = None,
    capture_max_length: int | None = None,
    select: str | None = None,
    drop_nonfinite: bool = False,
) -> Subject:
    """Open what was typed and narrow it to what a method is asked about.

    Raises
    ------
    ParameterError
        An option that this subject has no use for.
    """
    from workbench.subjects.checkpoint import Checkpoint

    needs = method.needs.__name__ if method.needs else ""
    subject = open_named(what, _kind(what, needs))
    read = {
        "corpus": corpus,
        "column": column,
        "max_texts": max_texts,
        "capture_rows": capture_rows,
        "capture_max_length": capture_max_length,
    }
    if isinstance(subject, Checkpoint) and needs in ("Points", "Aligned"):
        subject = _captured(subject, at, {k: v for k, v in read.items() if v is not None})
        sample = sample or SAMPLE
    else:
        _refuse(subject, f"reads no text ({subject.holds})", read)
        subject = _at(subject, at)
    if needs == "Points":
        subject = _one_site(subject, at, method.name)
    if needs == "Matrix":
        _require_one_tensor(subject, method.name)
    if select is not None:
        subject = _having("select", subject)(select)
    if drop_nonfinite:
        subject = _having("drop_nonfinite", subject)()
    if sample is not None:
        subject = _having("sample", subject)(sample)
    return subject


def _kind(what: str, needs: str) -> str | None:
    """As what a file is opened that could be several things: what the method asks for decides."""
    suffix = Path(what).suffix.lower()
    if needs == "Series" and suffix in (".npy", ".npz", ".csv", ".tsv", ".txt", ".parquet", ".jsonl"):
        return "series"
    return "points" if needs == "Points" and suffix == ".npz" else None


def _captured(subject: Any, at: str | None, given: dict[str, Any]) -> Subject:
    """What a network computes on texts, at the named sites or at all its blocks."""
    from workbench.capturing import capture
    from workbench.io import corpus

    how = {k.removeprefix("capture_"): given.pop(k) for k in list(given) if k.startswith("capture_")}
    texts = corpus(given.pop("corpus", "default"), **{"max_texts": MAX_TEXTS, **given})
    return capture(subject, texts, at=at or "auto", **how)


def _at(subject: Any, at: str | None) -> Subject:
    if at is None:
        return subject
    from workbench.subjects.descents.trajectory import Trajectory

    _refuse(subject, f"has no sites ({subject.holds})", {} if hasattr(subject, "at") else {"at": at})
    return _at_step(subject, at) if isinstance(subject, Trajectory) else subject.at(at)


def _at_step(descent: Trajectory, at: str) -> Subject:
    """``500`` or ``500/0.weight``: the weights of a step, or one tensor of them."""
    from workbench.core.errors import ParameterError

    step, _, tensor = at.partition("/")
    if not step.isdecimal():
        raise ParameterError(
            f"--at {at}: of a descent it takes STEP or STEP/TENSOR, such as {descent.weight_steps[-1]}."
        )
    found = descent.at(int(step))
    return found.at(tensor) if tensor else found


def _one_site(subject: Any, at: str | None, method: str) -> Subject:
    """Choose the last of several sites if none was asked for, and say so."""
    from workbench.core.errors import ParameterError

    sites = getattr(subject, "sites", [])
    if len(sites) < 2:
        return subject
    if at is not None:
        raise ParameterError(
            f"--at {at} means {len(sites)} sites and {method} is asked of one. Choose: {', '.join(sites)}."
        )
    click.echo(
        clean(
            f"Asked of {sites[-1]}, the last of {len(sites)} sites; --at chooses another: {', '.join(sites)}."
        ),
        err=True,
    )
    return subject.at(sites[-1])


def _require_one_tensor(subject: Any, method: str) -> None:
    from workbench.core.errors import ParameterError

    tensors = getattr(subject, "tensors", {})
    if len(tensors) > 1:
        widest = max(
            (n for n, t in tensors.items() if len(t.shape) == 2),
            key=lambda n: tensors[n].nbytes,
            default="NAME",
        )
        raise ParameterError(
            f"{subject.name} holds {len(tensors)} tensors and {method} is asked of one: choose it with --at, for "
            f"example --at {widest}."
        )


def _refuse(subject: Subject, why: str, given: dict[str, Any]) -> None:
    from workbench.core.errors import ParameterError

    wrong = [f"--{k.replace('_', '-')}" for k, v in given.items() if v is not None]
    if wrong:
        raise ParameterError(f"{subject.name} {why}: leave {' and '.join(wrong)} out.")


def _having(verb: str, subject: Any) -> Any:
    found = getattr(subject, verb, None)
    if found is None:
        _refuse(subject, f"has no rows to choose from ({subject.holds})", {verb: True})
    return found
