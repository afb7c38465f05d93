"""``workbench convert``: weights of any kind that is read, written as safetensors."""

from __future__ import annotations

from pathlib import Path

import click

from workbench.commands.console import progress, say


@click.command("convert", short_help="Write weights as safetensors, without running anything.")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def convert(source: Path, target: Path) -> None:
    """Write the tensors of SOURCE to TARGET, a .safetensors file (or a new folder in Hugging Face's layout).

    SOURCE is whatever opens as a checkpoint, and a file of torch.save that doesn't because loading it would run code:
    its tensors are read as they are in any such file, under the paths where they stand; whatever the file would have
    called is set aside, and nothing is run.
    """
    from workbench.io.converting import convert as converted

    with progress():
        written, checkpoint = converted(source, target)
    say(f"{written}: {checkpoint.holds}")
