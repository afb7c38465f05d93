"""Results: frozen answers. Each kind lies in a file of `workbench.results`, with how it is drawn and tabulated."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.discovery import import_all, named
from workbench.core.errors import FormatError, MissingError, ParameterError, suggest
from workbench.core.evidence import Evidence, Outcome
from workbench.core.lineage import code
from workbench.core.run import Run
from workbench.core.storage import writing
from workbench.core.stored import is_sealed, open_plain, read_json, sealed, unsealed
from workbench.core.view import Giving

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd

KINDS: dict[str, type[Result]] = {}
"""Every kind that was imported, by name; `kind_named` finds those that weren't."""
PACKAGE = "workbench.results"
FACTS, ARRAYS = "result.json", "arrays.safetensors"
RESULT_MIME = "application/vnd.workbench.result+json"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Result(Giving):
    """Base of every answer.

    Attributes
    ----------
    title : what the figure is called; the run fills it in where a method leaves it empty.
    evidence : one entry a question asked, each with its control; see `Evidence`.
    outcome : how the run ended.
    run : what was asked of what; None for a result made by hand.
    space : the set of row ids that the result speaks of; "" when it speaks of none.
    """

    kind: ClassVar[str]
    needs: ClassVar[str] = "a result"
    """What it is, in words, where a method takes this kind."""
    rowwise: ClassVar[tuple[str, ...]] = ()
    """Fields with one entry a row of ``ids``, where a kind speaks of rows that others can be brought to; see `take`."""
    title: str = ""
    evidence: tuple[Evidence, ...] = ()
    outcome: Outcome = field(default_factory=Outcome)
    caveat: str = ""
    run: Run | None = None
    space: str = ""
    rows: Any = field(default=None, repr=False, metadata={"stored": False})
    """The subject's row table, for hover and colour; not stored with the result."""

    def __init_subclass__(cls) -> None:
        if "kind" in cls.__dict__:
            KINDS[cls.kind] = cls
            if "needs" not in cls.__dict__:
                cls.needs = f"a result of kind {cls.kind}"

    def __post_init__(self) -> None:
        names = Counter(e.name for e in self.evidence)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ParameterError(
                f"A {self.kind} answers {twice[0]!r} {names[twice[0]]} times. Each question has an id of its own, or the same "
                "id and another of= (the layer, the step, the arm that it is of)."
            )

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Return a small answer of this kind, for tests and for documentation; variants have other numbers."""
        raise NotImplementedError

    @property
    def called(self) -> str:
        return self.title or f"a {self.kind}"

    @property
    def holds(self) -> str:
        return f"a result of kind {self.kind}"

    @cached_property
    def digest(self) -> str:
        """Digest of the answer: its arrays and everything it says, but not when it was computed."""
        arrays, rest = _split(self)
        return digest(
            {k: v for k, v in rest.items() if k != "run"},
            sorted(arrays),
            *(arrays[n] for n in sorted(arrays)),
        )

    def take(self, at: np.ndarray) -> Self:
        """Return the answer for the rows at some positions, in that order; for kinds that are ``rowwise``."""
        fields = {n: getattr(self, n) for n in (*self.rowwise, "ids")}
        return dataclasses.replace(self, **{n: a[at] if len(a) else a for n, a in fields.items()})

    def code(self) -> str:
        """Return the Python that makes this answer again from the files that it began with.

        Raises
        ------
        MissingError
            It was made by hand, so that nothing is known of how.
        """
        if self.run is None:
            raise MissingError(f"{self.called} has no run: it was made by hand, and nothing is known of how.")
        return code(self.run)

    def drawn(self, **options: Any) -> dict[str, Any]:
        """How the answer is shown, by MIME type: a plotly figure, HTML or LaTeX; options depend on the kind."""
        raise NotImplementedError

    def table(self) -> pd.DataFrame:
        """Return the result as a table."""
        raise NotImplementedError

    def evidence_of(self, id: str, of: str = "") -> Evidence:
        """Return the answer to one of the method's questions.

        Parameters
        ----------
        of : what it is of, where it is asked of several things; "" for the whole.

        Raises
        ------
        MissingError
            There is no such answer; those that there are are named.
        """
        for e in self.evidence:
            if (e.id, e.of) == (id, of):
                return e
        ofs = [e.of for e in self.evidence if e.id == id]
        if ofs:
            there = ", ".join(f"of={o!r}" for o in ofs[:12]) + (" ..." if len(ofs) > 12 else "")
            raise MissingError(f"{self.title or self.kind} has {id!r} not with of={of!r} but with {there}.")
        known = [e.id for e in self.evidence]
        raise MissingError(f"{self.title or self.kind} has no evidence {id!r}. {suggest(id, known)}")

    def sentences(self) -> list[str]:
        """The evidence in plain sentences, the outcome's advice and the caveat last."""
        said = [e.sentence() for e in self.evidence]
        return said + [s for s in (self.outcome.advice, self.caveat) if s]

    def save(self, path: str | Path) -> Path:
        """Write the result to a folder (``result.json`` and ``arrays.safetensors``), whole or not at all.

        Raises
        ------
        StorageError
            The folder can't be written; what was there before is untouched.
        """
        from safetensors.numpy import save

        arrays, rest = _split(self)
        path = Path(path)
        with writing(path) as temporary:
            temporary.mkdir()
            packed = save({n: np.ascontiguousarray(a) for n, a in arrays.items()})
            (temporary / ARRAYS).write_bytes(packed)
            (temporary / FACTS).write_text(sealed(rest, [temporary / ARRAYS]), encoding="utf-8")
        return path

    def facts(self) -> dict[str, Any]:
        """Everything but the arrays, as JSON."""
        return _split(self)[1]

    def __repr__(self) -> str:
        arrays = (f"{n} {v.shape}" for n, v in vars(self).items() if isinstance(v, np.ndarray) and v.size)
        first = next((f"; {e.sentence().rstrip('.')}" for e in self.evidence), "")
        more = f"; {len(self.evidence) - 1} more in .sentences()" if len(self.evidence) > 1 else ""
        title = self.title or "without a title"
        return f"<{type(self).__name__} {title}: {', '.join(arrays) or 'no arrays'}{first}{more}>"

    def show(self, **options: Any) -> None:
        """Display the result in a notebook, drawn with ``options``, its evidence with it."""
        from IPython.display import display

        display(self.mimebundle(**options), raw=True)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return self.mimebundle()

    def mimebundle(self, **options: Any) -> dict[str, Any]:
        """What a notebook stores: the answer as it is drawn, the result's own facts, and plain text for everything else."""
        return {
            **self.drawn(**options),
            RESULT_MIME: self.facts(),
            "text/plain": "\n".join([self.title, *self.sentences()]),
        }


def kind_named(name: str) -> type[Result]:
    """Return a kind of result by its name: one that this process knows, a file of that name, or another package's.

    Raises
    ------
    MissingError
        There is none; near names are suggested.
    """
    return named(name, KINDS, PACKAGE, "kind of result")


def kinds() -> list[type[Result]]:
    """Every kind of result there is, by name."""
    import_all(PACKAGE)
    return [KINDS[name] for name in sorted(KINDS)]


def load(path: str | Path) -> Result:
    """Read a result that `Result.save` wrote.

    Raises
    ------
    FormatError
        The folder isn't a result, its parts don't fit together, or they were changed after they were stored.
    """
    from safetensors.numpy import load_file

    path = Path(path)
    try:
        rest = read_json(path / FACTS)
        if is_sealed(rest):  # those of earlier versions aren't
            rest = unsealed(rest, path)
        os.close(open_plain(path / ARRAYS))
        arrays: dict[str, Any] = dict(load_file(path / ARRAYS))
        kind = kind_named(rest.pop("kind"))
        rest["evidence"] = tuple(Evidence.from_json(e) for e in rest["evidence"])
        rest["outcome"] = Outcome(**rest["outcome"])
        rest["run"] = Run.from_json(rest["run"]) if rest["run"] else None
        for f in dataclasses.fields(kind):
            if isinstance(rest.get(f.name), list):
                rest[f.name] = tuple(rest[f.name])
        return kind(**rest, **arrays)
    except Exception as e:
        raise FormatError(
            f"{path} is not a saved result ({type(e).__name__}: {e}). Compute it again and save it."
        ) from e


def _split(result: Result) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays for safetensors, the rest for JSON."""
    arrays: dict[str, np.ndarray] = {}
    rest: dict[str, Any] = {"kind": result.kind}
    for f in dataclasses.fields(result):
        value = getattr(result, f.name)
        if not f.metadata.get("stored", True):
            continue
        if isinstance(value, np.ndarray):
            arrays[f.name] = value
        elif f.name == "evidence":
            rest["evidence"] = [e.to_json() for e in value]
        elif f.name == "outcome":
            rest["outcome"] = dataclasses.asdict(value)
        elif f.name == "run":
            rest["run"] = value.to_json() if value else None
        else:
            rest[f.name] = value
    return arrays, rest
