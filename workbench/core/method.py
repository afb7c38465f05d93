"""Methods: what ``@source``, ``@analysis`` and ``@edit`` make of a function."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import sys
import textwrap
import time
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from workbench.core import cache, history
from workbench.core.device import describe, refusing_what_does_not_fit, resolve
from workbench.core.digest import digest
from workbench.core.early import answering
from workbench.core.errors import MethodError, MissingError, WorkbenchError
from workbench.core.estimator import estimator_class
from workbench.core.inputs import Input, align, bind, inputs_of, rows_of, seen_digest
from workbench.core.lineage import chosen_by_looking, given
from workbench.core.parameters import Parameter, parameters_of, validate_all
from workbench.core.progress import tell
from workbench.core.result import Result
from workbench.core.run import Given, Run, now, versions
from workbench.core.version import function_digest
from workbench.core.view import View

Verb = Literal["source", "analysis", "edit"]
DOC_WIDTH = 110  # characters of a line of what is said of a parameter


class Method:
    """A registered function, called as it was written: ``umap(acts, n_neighbors=30)``.

    Attributes
    ----------
    name, verb : its name, and which of the three it is.
    title : what it is called in titles.
    inputs : its positional arguments; none for a source.
    parameters : name to `Parameter`.
    gives : the class of what it returns.
    estimator : builds the scikit-learn style estimator (``fit``, ``transform``, ``get_params``) from the
        method's parameters, where there is one; see `make_estimator`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        verb: Verb,
        estimator: Callable[..., Any] | None = None,
        title: str = "",
    ):
        self.function = function
        self.name = function.__name__
        self.verb = verb
        self.title = title or self.name.replace("_", " ").capitalize()
        self.estimator = estimator
        self.parameters: dict[str, Parameter] = parameters_of(function)
        self.inputs: tuple[Input, ...] = inputs_of(function)
        self.gives = typing.get_type_hints(function)["return"]
        functools.update_wrapper(self, function)
        self.__doc__ = _document(function, self.inputs, self.parameters)
        self.__signature__ = _signature(self.inputs, self.parameters, self.gives)

    @property
    def family(self) -> str:
        """The folder that the method's file lies in (``embedding``, ``topology``), or ``notebook`` for one of a cell."""
        module = self.function.__module__
        return "notebook" if module == "__main__" else module.split(".")[-2] if "." in module else module

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return (self.function.__doc__ or "").strip().split("\n")[0]

    @property
    def reference(self) -> str:
        """What stands under References in the docstring, on one line."""
        lines = inspect.cleandoc(self.function.__doc__ or "").split("\n")
        if "References" not in lines:
            return ""
        rest = lines[lines.index("References") + 2 :]
        return " ".join(" ".join(rest).split())

    @cached_property
    def version(self) -> str:
        """Digest of the method's source and of all that it imports of the workbench; see `workbench.core.version`."""
        return function_digest(self.function)

    def __reduce__(self) -> str:
        return self.function.__qualname__  # which leads to it in its module

    def make_estimator(self, **parameters: Any) -> Any:
        """Return the scikit-learn style estimator for these parameters.

        A method without one of its own gets one whose ``fit(X, y, ...)`` takes the inputs in order and keeps the answer
        as ``result_``.

        Raises
        ------
        MissingError
            It is no analysis.
        ParameterError
            A parameter is unknown or out of range.
        """
        if self.verb != "analysis":
            raise MissingError(f"{self.name} is no analysis, and only those have estimators.")
        values = validate_all(self.name, self.parameters, parameters)
        if self.estimator is None:
            return estimator_class(self)(**values)
        wanted = inspect.signature(self.estimator).parameters
        return self.estimator(**{k: v for k, v in values.items() if k in wanted})

    def __call__(self, *args: Any, **parameters: Any) -> Any:
        if self.verb == "analysis":
            question = self.question(*args, **parameters)
            return question.answered(None if question.kept is not None else question.compute())
        values = validate_all(self.name, self.parameters, parameters)
        found = bind(self.inputs, args, self.name)
        values, chosen = self._chosen(values, parameters)
        start = time.perf_counter()
        made = self._call(
            [None if f is None else i.of(f) for i, f in zip(self.inputs, found, strict=True)], values
        )
        inputs = [given(i.name, f) for i, f in zip(self.inputs, found, strict=True) if f is not None]
        run = self._run(inputs, values, chosen, "")
        return made.with_run(dataclasses.replace(run, seconds=round(time.perf_counter() - start, 4)))

    def _run(
        self,
        inputs: Sequence[Given],
        values: dict[str, Any],
        chosen: tuple[str, ...],
        aligned: str,
        rows: int = 0,
    ) -> Run:
        shared = "device" in values and self.parameters["device"].shared
        return Run(
            method=self.name,
            version=self.version,
            inputs=tuple(inputs),
            parameters=values,
            verb=self.verb,
            chosen=chosen,
            aligned=aligned,
            device=describe(values.get("device", "cpu"), rows if shared else 0),
            started=now(),
            versions=versions(),
        )

    def question(self, *args: Any, **parameters: Any) -> Question:
        """Return a call of an analysis that isn't answered yet: what it is asked of, and the answer that was kept, if any.

        Raises
        ------
        ParameterError, ViewError, DataError
            As the call itself.
        """
        values = validate_all(self.name, self.parameters, parameters)
        return self._question(bind(self.inputs, args, self.name), *self._chosen(values, parameters))

    def _chosen(
        self, values: dict[str, Any], parameters: Mapping[str, Any]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """All values, and the names of those that were chosen."""
        if "device" in values:  # what "auto" chose is asked for, recorded and looked up
            values = {**values, "device": resolve(values["device"])}
        return values, tuple(n for n in parameters if values[n] != self.parameters[n].default)

    def _question(self, found: list[Any], values: dict[str, Any], chosen: tuple[str, ...]) -> Question:
        asked = [(i, f) for i, f in zip(self.inputs, found, strict=True) if f is not None]
        views = [i.of(f) for i, f in asked]
        paired = [k for k, (i, _) in enumerate(asked) if i.paired]
        aligned, how = align([views[k] for k in paired], [asked[k][1].called for k in paired])
        for k, view in zip(paired, aligned, strict=True):
            views[k] = view
        inputs = [given(i.name, f, seen_digest(v)) for (i, f), v in zip(asked, views, strict=True)]
        run = self._run(inputs, values, chosen, how, _rows(views))
        why = chosen_by_looking(run)
        if why:  # another answer than that of equal rows that were chosen otherwise
            apart = [dataclasses.replace(g, digest=digest(g.digest, "chosen", why)) for g in inputs]
            run = dataclasses.replace(run, inputs=tuple(apart))
        start = time.perf_counter()
        kept = cache.lookup(run.key) if cache.wanted() else None
        return Question(self, views, [i.name for i, _ in asked], values, run, why, kept, start)

    def perform(self, views: list[Any], values: dict[str, Any]) -> tuple[Any, float]:
        """Call the function with what it sees of its inputs; return what it gives and the seconds that it took."""
        start = time.perf_counter()
        return self._call(views, values), time.perf_counter() - start

    def _call(self, views: list[Any], values: dict[str, Any]) -> Any:
        there = [v for v in views if v is not None]
        names = " and ".join(getattr(v, "name", None) or v.called for v in there) or "nothing"
        try:
            with refusing_what_does_not_fit(
                values.get("device", "cpu"), _rows(there), f"{self.name} of {names}"
            ):
                return self.function(*views, **values)
        except (WorkbenchError, KeyboardInterrupt, MemoryError):
            raise
        except Exception as e:
            shapes = [f"{n} {s}" for v in there for n, s in getattr(v, "shapes", {}).items()]
            raise MethodError(
                f"{self.name} failed on {names} ({', '.join(shapes)}) with "
                f"{', '.join(f'{k}={v!r}' for k, v in values.items())}: {type(e).__name__}: {e}"
            ) from e

    def __repr__(self) -> str:
        return f"<{self.verb} {self.name}: {self.summary}>"


def _rows(views: Sequence[Any]) -> int:
    return max((getattr(view, "n", 0) for view in views), default=0)


@dataclass(frozen=True, eq=False)
class Question:
    """An analysis asked of its inputs, which may be computed elsewhere before it is `answered`.

    Attributes
    ----------
    views : what the function sees of the inputs that are ``given``, by name.
    run : the run that it will be. why : why it is no test, where its rows were chosen by looking at them.
    kept : the answer that the cache has; None without one.
    started : when it was asked, by the clock that only counts.
    """

    method: Method
    views: list[Any]
    given: list[str]
    values: dict[str, Any]
    run: Run
    why: str
    kept: Result | None
    started: float

    @property
    def title(self) -> str:
        """What its answer is called, unless the method names it."""
        return f"{self.method.title} of {self.run.subject}"

    def work(self) -> tuple[list[Any], dict[str, Any]]:
        """What `Method.perform` takes to compute it, in this process or in another."""
        by_name = dict(zip(self.given, self.views, strict=True))
        drawn = {**self.values, "n_null": 0} if self.why and "n_null" in self.values else self.values
        return [by_name.get(i.name) for i in self.method.inputs], drawn

    def compute(self) -> tuple[Result, float]:
        """Compute it here; return the bare result and the seconds that it took."""
        tell(self.title)
        with answering(lambda early: self._noted(self._whole(early, self.run))):
            return self.method.perform(*self.work())

    def answered(self, computed: tuple[Result, float] | None) -> Result:
        """Return the answer with its run, and remember that it was asked.

        Parameters
        ----------
        computed : what `compute` gave; None takes the answer that was kept.
        """
        if computed is None:
            assert self.kept is not None
            tell(f"{self.title} (from the cache)", 1, 1)
            before = typing.cast("Run", self.kept.run)
            own = self.kept.title == f"{self.method.title} of {before.subject}"
            # equal content may have another name and another past this time
            run = dataclasses.replace(self.run, started=before.started, seconds=before.seconds)
            result = self._whole(dataclasses.replace(self.kept, title="") if own else self.kept, run)
        else:
            result, seconds = computed
            if self.why:
                untested = tuple(e.without_test(self.why) for e in result.evidence)
                result = dataclasses.replace(result, evidence=untested)
            run = dataclasses.replace(self.run, seconds=round(seconds, 4))
            result = self._whole(result, run)
            if cache.wanted():
                cache.store(result)
        # not kept with the answer: equal rows may come from where nothing needs to be said
        result = self._noted(result)
        history.remember(
            history.Asked(
                run=run,
                evidence=result.evidence,
                outcome=result.outcome,
                title=result.title,
                seconds=round(time.perf_counter() - self.started if computed is None else computed[1], 4),
                cached=computed is None,
            )
        )
        return result

    def _whole(self, result: Result, run: Run) -> Result:
        """The answer with its run and the rows that it is about."""
        space, table = rows_of(self.views)
        title = result.title or self.title
        return dataclasses.replace(result, space=space, rows=table, run=run, title=title)

    def _noted(self, result: Result) -> Result:
        """The answer with what is to be known of its rows."""
        notes = dict.fromkeys(n for v in self.views if isinstance(v, View) for n in v.notes(self.values))
        if not notes:
            return result
        return dataclasses.replace(result, caveat=" ".join(filter(None, [result.caveat, *notes])))


def _document(function: Callable[..., Any], inputs: Sequence[Input], parameters: dict[str, Parameter]) -> str:
    """The docstring with a numpydoc Parameters section made from the declarations."""
    text = inspect.cleandoc(function.__doc__ or "")
    if not parameters or sys.flags.optimize >= 2:
        return text
    rows = [_entry(i.name, i.needs + (", may be left out" if i.optional else ""), i.help) for i in inputs]
    rows += [_entry(p.name, f"{p.legal}, default {p.default!r}", p.help) for p in parameters.values()]
    section = "Parameters\n----------\n" + "\n".join(rows)
    head, heading, rest = _split_at_section(text)
    return "\n\n".join(filter(None, [head, section, heading + rest]))


def _split_at_section(text: str) -> tuple[str, str, str]:
    """A docstring's prose, the first line of its first section, and what follows."""
    parts = re.split(r"\n\n(\w+\n-+\n)", text, maxsplit=1)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (text, "", "")


def _entry(name: str, what: str, help: str) -> str:
    """One line of a Parameters section, and what is said of it below."""
    said = textwrap.fill(help, DOC_WIDTH, initial_indent="    ", subsequent_indent="    ")
    return f"{name} : {what}" + (f"\n{said}" if said else "")


def _signature(inputs: Sequence[Input], parameters: Mapping[str, Parameter], gives: Any) -> inspect.Signature:
    """How it is called, with plain types: what is legal stands in the documentation."""
    P = inspect.Parameter
    given = [
        P(
            i.name,
            P.POSITIONAL_OR_KEYWORD,
            default=None if i.optional else P.empty,
            annotation=getattr(i.takes, "__name__", str(i.takes)),
        )
        for i in inputs
    ]
    words = [
        P(
            p.name,
            P.KEYWORD_ONLY,
            default=p.default,
            annotation=("tuple" if p.sequence else p.base.__name__) + (" | None" if p.optional else ""),
        )
        for p in parameters.values()
    ]
    return inspect.Signature([*given, *words], return_annotation=getattr(gives, "__name__", str(gives)))
