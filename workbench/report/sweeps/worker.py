"""A process that performs runs: ``python -m workbench.report.sweeps.worker FOLDER SCRATCH``.

It reads one job a line and answers one line each. When its input ends, whoever started it is gone or wants to
stop: it ends at once, with its kernel and what it had in its scratch folder, so that no run goes on unseen.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import TextIO

STOPPED = 130


def main(folder: Path, scratch: Path) -> None:
    """Perform jobs until the input ends."""
    # What a library prints must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    tempfile.tempdir = str(scratch)
    jobs: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin, jobs, scratch), daemon=True).start()

    from workbench.report.sweeps.runs import Job, perform

    while True:
        outcome = perform(Job.from_json(json.loads(jobs.get())), folder)
        answers.write(json.dumps({"error": outcome.error, "seconds": outcome.seconds}) + "\n")
        answers.flush()


def _listen(lines: TextIO, jobs: queue.Queue[str], scratch: Path) -> None:
    """Pass the jobs on; with the last one, end this process and the kernel that it runs."""
    import psutil

    for line in lines:
        jobs.put(line)
    for child in psutil.Process().children(recursive=True):
        child.kill()
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(STOPPED)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
