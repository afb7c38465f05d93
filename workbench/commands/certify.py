"""``workbench certify``: how far an adapter that was merged can be taken out again, entry by entry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from workbench.commands import _answers, _subjects
from workbench.commands.console import progress, say, say_table

if TYPE_CHECKING:
    from workbench.edits.lora import LoRA
    from workbench.numerics.rounded_sums import Arithmetic

SHOWN = 20  # tensors in the table


@click.command("certify", short_help="Say which weights are certain once a merged adapter is taken out.")
@click.argument("merged")
@click.argument("adapter", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--arithmetic",
    type=click.Choice(["workbench", "peft"]),
    default="workbench",
    show_default=True,
    help="Which program merged it. PEFT's order of sums isn't known, so fewer entries are certain.",
)
@click.option(
    "--strength",
    type=click.FloatRange(0, 1.5, min_open=True),
    default=1.0,
    show_default=True,
    help="Strength at which the adapter was merged; 1 is as it was trained.",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="DIR|PAGE.html", help="Keep the answer."
)
@click.option("--json", "as_json", is_flag=True, help="Write the answer as JSON on stdout.")
def certify(
    merged: str, adapter: Path, arithmetic: str, strength: float, out: Path | None, as_json: bool
) -> None:
    """For each entry of MERGED, count the base values that merging ADAPTER would have turned into it.

    With exactly one, the base value is certain, without the base checkpoint. With none, another adapter, strength or
    arithmetic was used, or the weights were changed afterwards.

    \b
    workbench certify merged/ adapter/
    workbench certify merged/ adapter/ --arithmetic peft --out certificate.html
    """
    from workbench.edits.taking_out import certify as count
    from workbench.io.adapters import read_adapter

    checkpoint = _subjects.open_checkpoint(merged)
    if out is not None:
        _answers.require_answer(out)
        _answers.keep_inputs([merged, str(adapter)], out)
    edit = cast("LoRA", read_adapter(adapter, checkpoint) * strength)
    with progress():
        result = count(checkpoint, edit, arithmetic=cast("Arithmetic", arithmetic))
        if out is not None:
            _answers.save(result, out)
    _answers.show(result, out, as_json=as_json)
    if as_json:
        return
    table = result.table().sort_values("1: certified").head(SHOWN)
    header = list(map(str, table.columns))
    say_table(header, ([_short(v) for v in row] for row in table.itertuples(index=False, name=None)))
    if len(result.names) > SHOWN:
        say(f"The {SHOWN} least certain of {len(result.names):,} tensors.")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
