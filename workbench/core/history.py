"""What was asked, so that no question is left out of the correction.

Every analysis leaves its run and its evidence here, whether its answer came from the cache or not and
whether anybody looked at it. Asking the same run again is the same question. What earlier sessions asked of the same
subjects is read from disk (`workbench.core.kept_questions`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from workbench.core import kept_questions
from workbench.core.evidence import Evidence, Outcome
from workbench.core.kept_questions import Test
from workbench.core.lineage import roots
from workbench.core.run import Run, now


@dataclass(frozen=True)
class Asked:
    """One run's questions, without the arrays of its answer."""

    run: Run
    evidence: tuple[Evidence, ...]
    outcome: Outcome
    title: str
    seconds: float
    cached: bool


_asked: dict[str, Asked] = {}
_forgotten = ""  # when


_aside: list[bool] = []


def remember(asked: Asked) -> None:
    """Add a run; the first answer to a run is kept."""
    if not _aside and asked.run.key not in _asked:
        _asked[asked.run.key] = asked
        kept_questions.keep(asked.run, asked.evidence, roots(asked.run))


@contextmanager
def as_control() -> Iterator[None]:
    """Ask what is no question of its own, but what another answer is set beside: it isn't remembered."""
    _aside.append(True)
    try:
        yield
    finally:
        _aside.pop()


def asked() -> list[Asked]:
    """Everything asked so far in this process, in order."""
    return list(_asked.values())


def forget() -> None:
    """Begin a new family of questions: what was asked before, here and in earlier sessions, no longer counts.

    It holds for this process; a page of findings says that it was done.
    """
    global _forgotten
    _asked.clear()
    _forgotten = now()


@dataclass(frozen=True)
class Earlier:
    """What other sessions asked of the subjects that this process asks of.

    Attributes
    ----------
    tests : those of questions that weren't asked in this process.
    counted : whether they are to count, and ``said`` why or why not, in a sentence.
    """

    tests: tuple[Test, ...]
    counted: bool
    said: str

    def to_json(self) -> Mapping[str, Any]:
        """For the page and the manifest."""
        return {"tests": len(self.tests), "counted": self.counted, "said": self.said}


def earlier() -> Earlier:
    """Return what other sessions asked of the same subjects, and whether it counts.

    It does where somebody is at the keyboard: a notebook whose kernel was restarted goes on asking of the same data. A
    notebook that is run as a whole (a report, papermill) asks a fixed set of questions, so there it doesn't.
    """
    if not attended():
        return Earlier(
            (), False, "What other sessions asked isn't counted: this notebook was run as a whole."
        )
    here = asked()
    own = {a.run.question for a in here}
    of = dict.fromkeys(root for a in here for root in roots(a.run))
    tests = tuple(t for t in kept_questions.kept(of) if t.question not in own and t.asked_at > _forgotten)
    where = kept_questions.family()
    among = f" in the family {where!r}" if where else ""
    if _forgotten:
        said = f"What was asked before {_forgotten} was set aside (wb.forget()) and isn't counted."
    elif not kept_questions.wanted():
        said = (
            "What other sessions asked isn't known, and isn't counted: nothing is kept (WORKBENCH_NO_CACHE)."
        )
    elif tests:
        since = min(t.asked_at for t in tests)[:10]
        said = f"{len(tests):,} tests that earlier sessions made of the same data since {since}{among} count too."
    else:
        said = f"No earlier session tested anything else of the same data{among}."
    return Earlier(tests, True, said)


def attended() -> bool:
    """Whether somebody may be at the keyboard: not in a kernel whose cells are run by a program, which can't be asked back."""
    return bool(request().get("content", {}).get("allow_stdin", True))


def request() -> dict[str, Any]:
    """The message that a notebook's kernel is answering now; empty where there is none."""
    if "ipykernel" not in sys.modules:
        return {}
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return kernel.get_parent("shell") if kernel is not None else {}
