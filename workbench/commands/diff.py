"""``workbench diff``: what became of each tensor between two checkpoints; and ``workbench apply``: edits that were kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from workbench.commands import _answers, _subjects
from workbench.commands.console import progress, say, say_table

SHOWN = 20  # tensors in the table


@click.command("diff", short_help="Compare two checkpoints, tensor by tensor.")
@click.argument("before")
@click.argument("after")
@click.option(
    "--at",
    multiple=True,
    metavar="PATTERN",
    help="Only tensors whose names match, such as 'encoder.layer.0.**'; may be given several times.",
)
@click.option(
    "--n-null",
    type=int,
    default=99,
    show_default=True,
    help="Draws of noise that the changes are compared with.",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="DIR|PAGE.html", help="Keep the answer."
)
@click.option(
    "--patch",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Save the changed bits as an edit: workbench apply turns BEFORE into AFTER with it, and with --back AFTER into BEFORE.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the answer as JSON on stdout.")
def diff(
    before: str,
    after: str,
    at: tuple[str, ...],
    n_null: int,
    out: Path | None,
    patch: Path | None,
    as_json: bool,
) -> None:
    """Compare the checkpoints BEFORE and AFTER, tensor by tensor (those of up to 33 million numbers are read once).

    Says how BEFORE could have become AFTER (identical, low-rank, sparse, requantized, permuted, permuted and trained on, trained on,
    unrelated), with the norm, rank, spectrum and principal angles of each change, the most surprising first.
    """
    from workbench.analyses.weights.weight_changes import weight_changes
    from workbench.edits.bits import Bits

    things = [_subjects.open_checkpoint(what) for what in (before, after)]
    if at:
        things = [thing.at(*at) for thing in things]
    if out is not None:
        _answers.require_answer(out)
        _answers.keep_inputs([before, after], out)
    if patch is not None:
        _answers.keep_inputs([before, after], patch)
    with progress():
        result = weight_changes(*things, n_null=n_null)
        if out is not None:
            _answers.save(result, out)
        if patch is not None:
            Bits.between(*things).save(patch)
    _answers.show(result, out, as_json=as_json)
    if as_json:
        return
    moved = int((result.changed > 0).sum())
    same = len(result.names) - moved
    if moved:
        header = ["tensor", "verdict", "shape", "over the weights", "rank", "changed", "over noise"]
        columns = (
            result.columns()
        )  # a table would have pandas loaded, which takes longer than many a comparison
        say_table(header, ([_short(columns[c][i]) for c in header] for i in range(min(moved, SHOWN))))
        say(
            f"{min(moved, SHOWN)} of {moved:,} changed tensors; unchanged, bit for bit: {same:,} of {len(result.names):,}."
        )
    else:
        say(f"All {same:,} tensors that both have are identical.")
    for words, names in (
        ("missing", result.missing),
        ("extra", result.extra),
        ("of another shape", result.reshaped),
    ):
        if names:
            say(f"{len(names):,} {words}: {', '.join(names[:SHOWN])}{' ...' if len(names) > SHOWN else ''}")
    if patch is not None:
        say(f"Changed bits saved in {patch}.")


@click.command("apply", short_help="Apply saved edits, patches or PEFT adapters to a checkpoint.")
@click.argument("checkpoint")
@click.argument("edits", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE|DIR",
    help="The edited weights.",
)
@click.option(
    "--strength",
    type=click.FloatRange(0, 1.5),
    default=1.0,
    help="Strength of adapters; 1 is as they were trained.",
)
@click.option("--back", is_flag=True, help="Go back: apply a patch in reverse.")
@click.option(
    "--undo",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Save an edit that takes the adapter out again, bit for bit.",
)
def apply(
    checkpoint: str, edits: tuple[Path, ...], out: Path, strength: float, back: bool, undo: Path | None
) -> None:
    """Apply EDITS to CHECKPOINT, in order, and write the weights; if one doesn't fit, nothing is written.

    An EDIT is a folder with a saved edit (a patch of workbench diff, an undo of this command), or with an adapter that
    PEFT wrote (LoRA, rank-stabilized LoRA, DoRA), which is merged.
    """
    from workbench.core.edit import load
    from workbench.core.errors import ParameterError
    from workbench.edits.lora import LoRA, Unmerge
    from workbench.io.adapters import is_adapter, read_adapter

    base = _subjects.open_checkpoint(checkpoint)
    _answers.require_weights(out)
    for place in filter(None, (out, undo)):
        _answers.keep_inputs([checkpoint, *map(str, edits)], place)
    loaded = [read_adapter(path, base) if is_adapter(path) else load(path) for path in edits]
    if strength != 1:
        loaded = [edit * strength for edit in loaded]
    if back:
        loaded = [-edit for edit in reversed(loaded)]
    adapter = loaded[0]
    of_one = len(loaded) == 1 and isinstance(adapter, LoRA) and not isinstance(adapter, Unmerge)
    if undo is not None and not of_one:
        raise ParameterError(
            "--undo works for one adapter. Merge several one after the other, or save a patch: workbench diff --patch."
        )
    with progress():
        changed = base
        for edit in loaded:
            changed = changed + edit
        if undo is not None:
            assert isinstance(adapter, LoRA)
            Unmerge.of(base, adapter).save(undo)
        changed.save(out)
    say(f"{out}: {changed.name}")
    if undo is not None:
        say(f"{undo} takes it out again: workbench apply {out} {undo} --out BASE")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
