"""``workbench geometry``: train a kind of attention, compare kinds, check what they promise, tour one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.commands import _answers
from workbench.commands._options import given, option
from workbench.commands.console import progress, say, say_json, say_table
from workbench.commands.notebooks import report
from workbench.numerics import attention, optimization, schedules

if TYPE_CHECKING:
    import torch

    from workbench.numerics.geometry.gpt import GPT

BROKEN = 1
READ = (2, 64)  # texts and their length, on which promises are checked
SHARES = (0.01, 0.1, 0.5, 0.9)
TOUR = "geometry_tour"


@click.group("geometry", short_help="Kinds of attention: train, compare, check, tour.")
def geometry() -> None:
    """A compact GPT whose attention, optimizer and schedule have names.

    \b
    workbench geometry train gauge --text plays --out gauge/
    workbench geometry certify gauge/
    workbench geometry compare --kinds standard,gauge --steps 150
    workbench geometry tour gauge
    """


class Training(click.Command):
    """``train``: its options are those of the source geometry_descent, which is looked up when they are needed."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The arguments, and an option for each of the source's parameters."""
        from workbench.commands.catalogue import find

        if len(self.params) == 2:
            method = find("geometry_descent")
            self.params += [option(p, method.name) for n, p in method.parameters.items() if n != "mechanism"]
        return super().get_params(ctx)


@geometry.command("train", cls=Training, short_help="Train one kind and save it.")
@click.argument("kind", type=click.Choice(attention.NAMES), metavar="KIND")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="A new folder for the network: model.safetensors and config.json.",
)
def train(kind: str, out: Path, **typed: Any) -> None:
    """Train a GPT with attention of KIND, as workbench run geometry-descent does, and save it as a network that opens again.

    \b
    workbench geometry train tropical --text plays --steps 200 --out tropical/
    """
    from workbench.commands.catalogue import find

    _answers.require_weights(out)
    with progress():
        descent = find("geometry_descent")(mechanism=kind, **given(typed))
        last = int(descent.weight_steps[-1])
        descent.at(last).save(out)
        loss = _held_out(descent, last)
    say(f"{descent.name}: {last} steps; {loss:.3f} nats a token of texts that it wasn't trained on.")
    say(f"Kept in {out}. Check what it promises with: workbench geometry certify {shlex.quote(str(out))}")


def _held_out(descent: Any, step: int) -> float:
    """What the probe costs a network of a descent; the loss that was recorded is of texts that were being trained on."""
    import numpy as np
    import torch

    from workbench.numerics.geometry.training import held_out_loss

    return held_out_loss(descent.network(step), torch.from_numpy(np.array(descent.probe.x)))


def _listed(known: tuple[str, ...]) -> Any:
    """Read names between commas; ``all`` is all of them."""

    def read(ctx: click.Context, parameter: click.Parameter, typed: str) -> tuple[str, ...]:
        names = known if typed == "all" else tuple(name.strip() for name in typed.split(","))
        for name in names:
            if name not in known:
                raise click.BadParameter(f"there is no {name!r}; there are all, {', '.join(known)}.")
        return names

    return read


def _sizes(command: Any) -> Any:
    """The options that say how large a network is, and what of."""
    for name, default, low, high, said in reversed(
        (
            ("steps", 150, 1, 100_000, "Updates of the usual cell."),
            ("width", 64, 8, 1024, "Numbers of a position's state."),
            ("layers", 2, 1, 64, "Layers."),
            ("heads", 4, 1, 64, "Heads, which share the width."),
            ("length", 64, 3, 4096, "Tokens of a text."),
            ("texts", 8, 1, 256, "Texts of an update."),
            ("threads", 1, 1, 1000, "Threads that each trial may take."),
        )
    ):
        command = click.option(
            f"--{name}", type=click.IntRange(low, high), default=default, show_default=True, help=said
        )(command)
    return command


@geometry.command("compare", short_help="Compare kinds, optimizers and schedules.")
@click.option("--kinds", default="all", show_default=True, callback=_listed(attention.NAMES), metavar="NAMES")
@click.option(
    "--optimizers",
    default="adamw",
    show_default=True,
    callback=_listed(optimization.NAMES),
    metavar="NAMES",
)
@click.option(
    "--schedules", default="cosine", show_default=True, callback=_listed(schedules.NAMES), metavar="NAMES"
)
@click.option(
    "--equal",
    type=click.Choice(["flops", "tokens"]),
    default="flops",
    show_default=True,
    help="What all cells have as much of: counted matrix operations, the optimizer's too, or tokens.",
)
@click.option("--seeds", type=click.IntRange(3, 1000), default=3, show_default=True, help="Of each cell.")
@click.option(
    "--text",
    type=click.Choice(["plays", "language"]),
    default="plays",
    show_default=True,
    help="What is read.",
)
@_sizes
@click.option("-j", "--jobs", type=click.IntRange(1, 1000), metavar="N", help="Trials at once.")
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Send trials to a Ray cluster: HOST:PORT, or auto for the one that runs here.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports/geometry"),
    show_default=True,
    metavar="DIR",
    help="Where trials are kept, and what was found.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: the cells.")
def compare(
    kinds: tuple[str, ...],
    optimizers: tuple[str, ...],
    schedules: tuple[str, ...],
    out: Path,
    as_json: bool,
    **how: Any,
) -> None:
    """Train every combination from paired seeds, and judge each beside the usual cell: standard, adamw, cosine.

    NAMES stand between commas, or are all. A trial that is done is kept and found again, so the same command goes on with what
    was stopped. Verdicts are of paired differences in bits of held-out text, corrected for the number of cells.

    \b
    workbench geometry compare --kinds standard,gauge,braid --steps 150
    workbench geometry compare --kinds standard --optimizers all --seeds 5 --equal tokens
    """
    from workbench.report.geometry import compare as run_comparison

    with progress():
        found = run_comparison(kinds, optimizers, schedules, folder=out, **how)
        written = found.save(out)
    if as_json:
        say_json({"cells": found.cells.to_dict("records"), "written": [p.absolute() for p in written]})
        return
    header = ["cell", "steps", "bits", "difference, 95 %", "corrected p", "verdict", "tokens/s", "MB"]
    say_table(header, (_line(row) for row in found.cells.to_dict("records")))
    for row in found.cells.to_dict("records"):
        if row["reason"]:
            say(f"{row['mechanism']} {row['optimizer']} {row['schedule']}: {row['reason']}.")
    say(f"Written: {', '.join(map(str, written))}")


def _line(row: dict[str, Any]) -> list[str]:
    cell = f"{row['mechanism']} {row['optimizer']} {row['schedule']}"
    if row["verdict"] == "refused":
        return [cell, "", "", "", "", "refused", "", ""]

    def spread(name: str, form: str) -> str:
        return f"{row[name]:{form}} ({row[f'{name}_low']:{form}} to {row[f'{name}_high']:{form}})"

    usual = row["verdict"] == "usual"
    return [
        cell,
        f"{row['steps']:.0f}",
        spread("bits", ".3f"),
        "" if usual else spread("difference", "+.3f"),
        "" if usual else f"{row['corrected']:.2g}",
        row["verdict"],
        f"{row['tokens_per_second']:,.0f}",
        f"{row['memory_mb']:.0f}",
    ]


@geometry.command("certify", short_help="Check what a network's kind of attention promises.")
@click.argument("network", metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Write JSON: what was measured.")
@click.pass_context
def certify(ctx: click.Context, network: str, as_json: bool) -> None:
    """Measure what the kind of attention of the network in DIR promises, beside controls that needn't keep it.

    It reads held-out text: pieces of plays if it reads bytes, else of a drawn language. Of the tropical kind it says too how
    sure winners are. Ends with 1 if a promise is broken.

    \b
    workbench geometry certify tropical/
    """
    from workbench.numerics.geometry.invariants import checks

    with progress():
        gpt = _opened(network)
        tokens = _tokens(gpt)
        found, certain = checks(gpt, tokens), _certain(gpt, tokens)
    held = all(check.holds for check in found)
    if as_json:
        said = [{**check._asdict(), "holds": check.holds} for check in found]
        say_json({"kind": gpt.config.mechanism, "checks": said, "holds": held, "margins": certain})
    else:
        say(f"{gpt.config.mechanism}, on {READ[0]} held-out texts of {READ[1]} tokens")
        rows = (
            [c.claim, f"{c.measured:.2g}", f"{c.bound:.2g}", _control(c), "yes" if c.holds else "no"]
            for c in found
        )
        say_table(["claim", "measured", "bound", "control", "holds"], rows)
        for line in certain:
            say(
                f"Layer {line['layer']}: a winner stays while q, k and v change by less than "
                + ", ".join(f"{line[f'{s:.0%}']:.2g} ({s:.0%})" for s in SHARES)
                + "; so many of winners are less sure than that."
            )
    ctx.exit(0 if held else BROKEN)


def _control(check: Any) -> str:
    return f"{check.control:.2g}: {check.beside}" if check.beside else ""


def _opened(network: str) -> GPT:
    import workbench
    from workbench.core.errors import ParameterError
    from workbench.numerics.geometry.gpt import GPT

    opened: Any = workbench.open(network)
    module = opened.network().module if hasattr(opened, "network") else None
    if not isinstance(module, GPT):
        raise ParameterError(
            f"{network} isn't a network of the geometry lab: make one with workbench geometry train KIND --out DIR."
        )
    return module


def _tokens(gpt: GPT) -> torch.Tensor:
    import numpy as np
    import torch

    from workbench.numerics.geometry.text import BYTES, Language, Plays

    known = gpt.config.vocabulary
    text = Plays.read() if known >= BYTES else Language.drawn(known, 0)
    return torch.from_numpy(text.held_out(*READ, np.random.default_rng(0)))


def _certain(gpt: GPT, tokens: torch.Tensor) -> list[dict[str, float]]:
    """Of each tropical layer, by how much q, k and v may change until so many winners may; nothing of other kinds."""
    from workbench.numerics.geometry.invariants import tropical_radii

    if gpt.config.mechanism != "tropical":
        return []
    return [
        {"layer": i, **{f"{s:.0%}": float(radii.quantile(s)) for s in SHARES}}
        for i, radii in enumerate(tropical_radii(gpt, tokens))
    ]


@geometry.command("tour", short_help="Make the page that shows one kind.")
@click.argument("kind", type=click.Choice(attention.NAMES), metavar="KIND")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the page goes. Default: reports/geometry_KIND.html.",
)
@click.pass_context
def tour(ctx: click.Context, kind: str, output: Path | None) -> None:
    """Run the notebook geometry_tour about KIND to a page, as workbench report geometry_tour -p kind=KIND does."""
    page = (
        output or Path("reports") / f"geometry_{kind}.html"
    )  # so that one kind's page doesn't take another's place
    ctx.invoke(report, notebook=TOUR, pairs=(f"kind={kind}",), output=page, cwd=None, as_json=False)
