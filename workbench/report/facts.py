"""A manifest as it is read: checked and bounded, because it may come from anybody."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from workbench.core.errors import FormatError, MissingError
from workbench.core.evidence import Alternative
from workbench.report.manifest import FORMAT, MARK, SAMPLED

MAX_BYTES = 64_000_000  # of a manifest; one of the atlas has 200 KB
Text = Annotated[str, Field(max_length=20_000)]
Name = Annotated[str, Field(max_length=500)]
Names = Annotated[dict[Name, Name], Field(max_length=200)]
Number = float | None
"""None stands for what JSON doesn't have: NaN and infinity."""


class _Facts(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Asked(_Facts):
    """One question of a result: `workbench.core.evidence.Evidence`."""

    id: Name
    of: Name = ""
    question: Text = ""
    label: Text
    value: Number
    n: int = 0
    unit: Name = "rows"
    interval: tuple[Number, Number] | None = None
    conservative: bool = False
    null: Text = ""
    alternative: Alternative = "greater"
    null_values: Annotated[tuple[Number, ...], Field(max_length=1_000_000)] = ()


class ArrayFacts(_Facts):
    """What `manifest.arrays` says of one array."""

    dtype: Name
    shape: Annotated[tuple[int, ...], Field(max_length=32)]
    digest: Name
    largest: Number = None
    sample: Annotated[tuple[Number, ...], Field(max_length=SAMPLED)] = ()


class RunFacts(_Facts):
    """What was asked of what: `workbench.core.run.Run`."""

    method: Name
    verb: Name = "analysis"
    version: Name = ""
    inputs: Annotated[tuple[GivenFacts, ...], Field(max_length=10_000)] = ()
    parameters: Annotated[dict[Name, JsonValue], Field(max_length=1000)]
    aligned: Text = ""
    device: Name = "cpu"
    started: Name = ""
    seconds: float = 0.0
    versions: Names = {}
    key: Name = ""

    @property
    def subject(self) -> str:
        """What was asked about, in words."""
        return " and ".join(given.title for given in self.inputs)


class GivenFacts(_Facts):
    """One input of a run and how it came to be: `workbench.core.run.Given`."""

    name: Name
    title: Text
    kind: Name
    digest: Name
    run: RunFacts | None = None


class OutcomeFacts(_Facts):
    """How a run ended."""

    status: Name = "converged"
    advice: Text = ""


class FileFacts(_Facts):
    """Where a result lies beside the page, from the page's folder; "" where it wasn't kept."""

    table: Name = ""
    arrays: Name = ""


class ResultFacts(_Facts):
    """One result that a report shows."""

    title: Text
    kind: Name
    run: RunFacts
    outcome: OutcomeFacts = OutcomeFacts()
    evidence: Annotated[tuple[Asked, ...], Field(max_length=10_000)] = ()
    arrays: Annotated[dict[Name, ArrayFacts], Field(max_length=100)] = {}
    files: FileFacts = FileFacts()


class Question(_Facts):
    """One question among the findings, corrected for all of them."""

    title: Text
    key: Name
    method: Name
    subject: Text
    id: Name
    of: Name = ""
    question: Text = ""
    label: Text
    value: Number
    interval: tuple[Number, Number] | None = None
    conservative: bool = False
    n: int = 0
    unit: Name = "rows"
    null: Text = ""
    draws: int = 0
    p: Number = None
    q: Number = None
    found: bool = False
    draws_needed: int = 0


class FindingsFacts(_Facts):
    """What a report states."""

    counted: Text = ""
    sentences: Annotated[tuple[Text, ...], Field(max_length=10_000)] = ()
    questions: Annotated[tuple[Question, ...], Field(max_length=100_000)] = ()


class ReportFacts(_Facts):
    """All that a manifest says of one report."""

    format: Literal[2]
    notebook: Name
    notebook_digest: Name
    source_digest: Name = ""
    parameters: Annotated[dict[Name, JsonValue], Field(max_length=1000)]
    started: Name
    seconds: float
    versions: Names
    threads: Annotated[int, Field(ge=1, le=100_000)] | None = None
    results: Annotated[tuple[ResultFacts, ...], Field(max_length=100_000)] = ()
    files: Annotated[dict[Name, Name], Field(max_length=200_000)] = {}
    unkept: int = 0  # results that neither the cache nor a temporary folder had room for
    cwd: Text = "."  # the folder that the notebook ran in, as seen from where the command was given
    findings: FindingsFacts | None = None


def of(page: Path) -> ReportFacts:
    """Return the facts of a report: those in the page, or those in the ``manifest.json`` beside it.

    The page is read as bytes and nothing in it is run or rendered.

    Raises
    ------
    MissingError
        There is no such page, or no manifest in it or beside it.
    FormatError
        The manifest is damaged, or larger than any report's.
    """
    import json

    if not page.is_file():
        raise MissingError(f"There is no report {page}: give the path of a page that workbench report wrote.")
    text = _embedded(page)
    if text is not None:
        return parse(text, f"the manifest in {page}")
    beside = page.parent / "manifest.json"
    if not beside.is_file():
        raise MissingError(
            f"{page} has no manifest in it, and no manifest.json lies beside it: is it a page that workbench report "
            "wrote? If it is of an earlier version, put its manifest.json beside it."
        )
    reports = _reports(beside)
    if page.name not in reports:
        known = ", ".join(sorted(map(str, reports))[:5]) or "none"
        raise MissingError(f"{beside} says nothing of {page.name}; it knows of: {known}.")
    return parse(json.dumps(reports[page.name]).encode(), f"{beside}, {page.name}")


def beside(page: Path) -> ReportFacts:
    """Return what the ``manifest.json`` in a page's folder says of it; quicker than `of`, for pages of our own."""
    import json

    reports = _reports(page.parent / "manifest.json")
    if page.name not in reports:
        raise MissingError(f"{page.parent / 'manifest.json'} says nothing of {page.name}.")
    return parse(json.dumps(reports[page.name]).encode(), f"{page.parent / 'manifest.json'}, {page.name}")


def parse(text: bytes, where: str) -> ReportFacts:
    """Check the JSON of one report's facts; ``where`` it stands is for the refusal."""
    try:
        return ReportFacts.model_validate_json(text)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        if first["loc"] == ("format",):
            raise FormatError(
                f"{where[:1].upper()}{where[1:]} can't be read: another version of the workbench wrote it, in another format "
                f"than this one's ({FORMAT}). Write the report again with this one (workbench report NOTEBOOK), or read it "
                "with that version."
            ) from None
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise FormatError(
            f"{where[:1].upper()}{where[1:]} can't be read: {place}: {first['msg']}. Write the report again, or get an "
            "undamaged copy of it."
        ) from None


def _reports(path: Path) -> dict[str, Any]:
    import json

    try:
        if path.stat().st_size > MAX_BYTES:
            raise FormatError(
                f"{path} has {path.stat().st_size:,} bytes; a manifest has at most {MAX_BYTES:,}."
            )
        reports = json.loads(path.read_bytes())["reports"]
    except FileNotFoundError:
        raise MissingError(f"There is no {path}.") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        raise FormatError(f"{path} can't be read as a manifest ({type(e).__name__}: {e}).") from None
    if not isinstance(reports, dict):
        raise FormatError(f"{path} can't be read as a manifest: its reports are a {type(reports).__name__}.")
    return reports


def _embedded(page: Path) -> bytes | None:
    """The manifest at the end of a page, or None: only so much of the page is read as a manifest may have."""
    with page.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MAX_BYTES))
        tail = file.read(MAX_BYTES)
    start = tail.rfind(MARK.encode())
    end = tail.find(b"</script>", start)
    return None if start < 0 or end < 0 else tail[start + len(MARK) : end]
