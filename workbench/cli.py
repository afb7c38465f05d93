"""The command line: ``workbench list``, ``info``, ``run``, ``report``, ``sweep``, ``reproduce``, ``lab``, ``convert``, ``diff``,
``apply``, ``certify``, ``geometry``, ``bench``, ``calibrate``, ``cache``, ``doctor``.

A refusal is one paragraph on stderr and an exit code; a traceback is written to a log, never to the terminal.
"""

from __future__ import annotations

import sys

STOPPED = (
    "Stopped. Nothing half-written is left; what was finished is kept, and a second run goes on from there."
)
INTERRUPTED = 130

try:
    import io
    import os
    import re
    import tempfile
    import time
    import traceback
    import warnings
    from collections.abc import Sequence
    from dataclasses import dataclass
    from pathlib import Path

    import click

    from workbench import __version__
    from workbench.commands.bench import bench
    from workbench.commands.cache import cache
    from workbench.commands.calibrate import calibrate
    from workbench.commands.catalogue import info, list_methods
    from workbench.commands.certify import certify
    from workbench.commands.console import clean
    from workbench.commands.convert import convert
    from workbench.commands.diff import apply, diff
    from workbench.commands.doctor import doctor
    from workbench.commands.geometry import geometry
    from workbench.commands.notebooks import lab, report
    from workbench.commands.reproduce import reproduce
    from workbench.commands.run import run
    from workbench.commands.sweep import sweep
    from workbench.commands.weights import weights
    from workbench.core.errors import WorkbenchError
except KeyboardInterrupt:  # before there is a `main` that could say so
    sys.stderr.write(f"Error: {STOPPED}\n")
    sys.exit(INTERRUPTED)

INTERNAL, MEMORY = 70, 71

HELP = """Open up neural networks: ask methods questions of a network, its activations or any data, and get
answers that come with their control.

\b
workbench list                                     what can be asked
workbench info umap                                what one method does
workbench run umap minilm --at encoder.layer.5     ask it, of a layer
workbench run persistence cloud.csv --out loops    ask it of your data; keep the answer
workbench report mine.csv                          your own data on one page: a table, texts, a network, a series
workbench report atlas                             all layers of a network on one page
workbench sweep atlas -p n_neighbors=5..50:5       the same with many parameters, compared on one page
"""

EPILOG = """\b
Exit codes:
  0  done                                5  something can't be written
  1  failed, or doctor misses something  6  a method failed
  2  a mistake in the command line       7  a cell of a notebook failed
  3  the data can't be used for this     8  run again, something is different
  4  a file or name is missing, or a    70  a bug in the workbench
     file can't be read                 71  memory ran out
                                       130  stopped (Ctrl-C)

WORKBENCH_CACHE is where results are kept, WORKBENCH_NO_CACHE=1 keeps none,
WORKBENCH_DEBUG=1 shows tracebacks.
"""


@dataclass
class Settings:
    """What holds for a whole command line."""

    debug: bool


class InOrder(click.Group):
    """A group whose help keeps the order in which its commands were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, in order."""
        return list(self.commands)


@click.group(
    cls=InOrder,
    help=HELP,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, message="%(version)s")
@click.option("--debug", is_flag=True, help="Show tracebacks and warnings.")
@click.pass_obj
def workbench(settings: Settings | None, debug: bool) -> None:
    if settings is not None and debug:
        settings.debug = True


for command in (
    list_methods,
    info,
    run,
    report,
    sweep,
    reproduce,
    weights,
    lab,
    convert,
    diff,
    apply,
    certify,
    geometry,
    bench,
    calibrate,
    cache,
    doctor,
):
    workbench.add_command(command)


_AT = re.compile(r"\.at\((?:pattern|('[^']*'))\)")
"""How Python names a part, which is ``--at`` at the command line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : without the program's name; those of the process if not given.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in reports, and for the kernels of `lab`
    settings = Settings(debug=os.environ.get("WORKBENCH_DEBUG", "") not in ("", "0"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a letter gets its number
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            if not (settings.debug or sys.warnoptions):
                warnings.simplefilter("ignore")
            code = workbench.main(arguments, prog_name="workbench", standalone_mode=False, obj=settings)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        # Whoever read has had enough; without this the interpreter's last flush would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except click.exceptions.NoArgsIsHelpError as e:
        e.show()
        return e.exit_code
    except (Exception, KeyboardInterrupt) as e:
        if settings.debug and not isinstance(e, click.ClickException | click.Abort):
            traceback.print_exc()
        text, code = refusal(e)
        click.echo(f"{click.style('Error:', fg='red', bold=True)} {clean(text)}", err=True)
        return code


def refusal(error: BaseException) -> tuple[str, int]:
    """Return what a user is told of an error, in one paragraph, and the exit code."""
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return STOPPED, INTERRUPTED
    if isinstance(error, WorkbenchError):
        return _AT.sub(lambda at: f"--at {at[1] or 'PATTERN'}", " ".join(str(error).split())), error.exit_code
    if isinstance(error, click.ClickException):
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "workbench"
        return f"{error.format_message()} See: {path} --help", error.exit_code
    if isinstance(error, MemoryError):
        return (
            f"Memory ran out ({str(error) or 'no details'}). Ask of fewer rows (--sample 1000) or "
            f"of one layer (--at NAME), or close what else runs; workbench doctor shows how much there is."
        ), MEMORY
    log = write_log(error)
    where = f"is in {log}" if log else "is shown with --debug"
    return (
        f"The workbench made a mistake ({type(error).__name__}: {' '.join(str(error).split())[:500]}). The "
        f"traceback {where}; please send it, with the command line, to whoever maintains the workbench."
    ), INTERNAL


def write_log(error: BaseException) -> Path | None:
    """Write the traceback to a file in the cache or the temporary folder; None if neither can be written."""
    from workbench.core.cache import cache_dir

    text = f"{time.ctime()}\n{' '.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}"
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (cache_dir() / "logs", Path(tempfile.gettempdir()) / "workbench-logs"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return folder / name
    return None


if __name__ == "__main__":
    sys.exit(main())
