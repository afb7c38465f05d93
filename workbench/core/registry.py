"""One registry: ``@source``, ``@analysis`` and ``@edit`` make a function a method of the workbench.

A method's module lies under ``workbench/sources``, ``workbench/models`` (sources that train),
``workbench/analyses/<family>`` or ``workbench/edits``, is named as the method, and imports nothing heavy at its top; so a name is found
without importing the others, and a new file is all that a new method needs.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import inspect
import os
import pkgutil
import re
import sys
import time
import typing
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from workbench.core import cache, history
from workbench.core.device import describe, refusing_what_does_not_fit, resolve
from workbench.core.edit import Edit
from workbench.core.errors import MethodError, MissingError, ViewError, WorkbenchError, suggest
from workbench.core.parameters import Parameter, parameters_of, validate_all
from workbench.core.progress import tell
from workbench.core.result import Result
from workbench.core.run import Run, now, versions
from workbench.core.subject import Subject, as_subject
from workbench.core.view import View

Verb = Literal["source", "analysis", "edit"]
HOMES: dict[str, Verb] = {
    "workbench.sources": "source",
    "workbench.models": "source",
    "workbench.analyses": "analysis",
    "workbench.edits": "edit",
}

LONGEST_NAME = 40  # characters; a file may begin with a whole sentence instead


class Method:
    """A registered function, called as it was written: ``umap(acts, n_neighbors=30)``.

    Attributes
    ----------
    name, verb, family : where it belongs; the family is the folder.
    needs : the view that its first argument is asked for; None for a source.
    parameters : name to `Parameter`.
    gives : the class of what it returns.
    estimator : builds the scikit-learn style estimator (``fit``, ``transform``, ``get_params``) from the
        method's parameters, where there is one; see `make_estimator`.
    """

    def __init__(self, function: Callable[..., Any], verb: Verb, estimator: Callable[..., Any] | None = None):
        self.function = function
        self.name = function.__name__
        self.verb = verb
        self.estimator = estimator
        self.parameters: dict[str, Parameter] = parameters_of(function)
        hints = typing.get_type_hints(function)
        self.gives = hints["return"]
        first = next(
            (p for p in inspect.signature(function).parameters.values() if p.kind is not p.KEYWORD_ONLY), None
        )
        self.needs: type[View] | type[Subject] | None = hints[first.name] if first else None
        functools.update_wrapper(self, function)
        self.__doc__ = _document(function, self.parameters)

    @property
    def family(self) -> str:
        """The folder that the method's file lies in: ``embedding``, ``topology`` ..."""
        return self.function.__module__.split(".")[-2]

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return (self.function.__doc__ or "").strip().split("\n")[0]

    @property
    def words(self) -> str:
        """The method in words, for titles: what its file calls it before the colon."""
        said = (sys.modules[self.function.__module__].__doc__ or "").split(":")[0]
        named = said.split(" (")[0].split(" of ")[0]
        return named if len(said) <= LONGEST_NAME else self.name.replace("_", " ").capitalize()

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
        """Digest of the method's source, its family's and ``numerics``: changed code never answers from an old cache."""
        file = Path(inspect.getfile(self.function))
        source = b"".join(p.read_bytes() for p in [file, *sorted(file.parent.glob("_*.py"))])
        return hashlib.blake2b(source + _numerics_digest(), digest_size=4).hexdigest()

    def make_estimator(self, **parameters: Any) -> Any:
        """Return the scikit-learn style estimator for these parameters.

        Raises
        ------
        MissingError
            The method has none.
        ParameterError
            A parameter is unknown or out of range.
        """
        if self.estimator is None:
            raise MissingError(f"{self.name} has no estimator; call workbench.{self.name}(subject).")
        values = validate_all(self.name, self.parameters, parameters)
        wanted = inspect.signature(self.estimator).parameters
        return self.estimator(**{k: v for k, v in values.items() if k in wanted})

    def __call__(self, *args: Any, **parameters: Any) -> Any:
        values = validate_all(self.name, self.parameters, parameters)
        if self.needs is None:
            return self.function(**values)
        if len(args) != 1:
            raise TypeError(
                f"{self.name} takes one subject and then keywords; it was given {len(args)} arguments."
            )
        subject = as_subject(args[0])
        if self.verb == "edit":
            return self._edit(subject, values)
        return self._answer(subject, values)

    def _edit(self, subject: Subject, values: dict[str, Any]) -> Edit:
        """The edit that the function makes of what is to be edited, with its run."""
        wanted = typing.cast("type[Subject]", self.needs)
        if not isinstance(subject, wanted):
            raise ViewError(
                f"{self.name} edits a {wanted.__name__.lower()}; {subject.name} is {subject.holds}."
            )
        run = Run(
            method=self.name,
            version=self.version,
            subject=subject.name,
            subject_digest=subject.digest,
            parameters=values,
            started=now(),
            versions=versions(),
        )
        start = time.perf_counter()
        made: Edit = self.function(subject, **values)
        run = dataclasses.replace(run, seconds=round(time.perf_counter() - start, 4))
        return dataclasses.replace(made, run=run)

    def _answer(self, subject: Subject, values: dict[str, Any]) -> Result:
        view = subject.view(typing.cast("type[View]", self.needs))
        if "device" in values:  # what "auto" chose is asked for, recorded and looked up
            values = {**values, "device": resolve(values["device"])}
        run = Run(
            method=self.name,
            version=self.version,
            subject=subject.name,
            subject_digest=view.digest,
            parameters=values,
            device=describe(values.get("device", "cpu")),
            started=now(),
            versions=versions(),
        )
        title = f"{self.words} of {subject.name}"
        table = getattr(view, "table", None)
        caching = os.environ.get("WORKBENCH_NO_CACHE", "") in ("", "0")
        start = time.perf_counter()
        found = cache.lookup(run.key) if caching else None
        if found is not None:
            tell(f"{title} (from the cache)", 1, 1)
            asked = typing.cast("Run", found.run)
            own = found.title in (f"{self.words} of {asked.subject}", f"{self.name} of {asked.subject}")
            result = dataclasses.replace(  # equal content may have another name this time
                found,
                rows=table,
                space=view.space,
                title=title if own else found.title,
                run=dataclasses.replace(asked, subject=subject.name),
            )
        else:
            tell(title)
            result = dataclasses.replace(self._call(view, values), space=view.space, rows=table)
            run = dataclasses.replace(run, seconds=round(time.perf_counter() - start, 4))
            result = dataclasses.replace(result, run=run, title=result.title or title)
            if caching:
                cache.store(result)
        history.remember(
            history.Asked(
                run=typing.cast("Run", result.run),
                evidence=result.evidence,
                outcome=result.outcome,
                title=result.title,
                seconds=round(time.perf_counter() - start, 4),
                cached=found is not None,
            )
        )
        return result

    def _call(self, view: View, values: dict[str, Any]) -> Result:
        rows = getattr(view, "n", 0) or len(getattr(view, "values", ()))
        try:
            with refusing_what_does_not_fit(values.get("device", "cpu"), rows, f"{self.name} of {view.name}"):
                return self.function(view, **values)
        except (WorkbenchError, KeyboardInterrupt, MemoryError):
            raise
        except Exception as e:
            shapes = {n: v.shape for n, v in vars(view).items() if hasattr(v, "shape")}
            raise MethodError(
                f"{self.name} failed on {view.name} ({', '.join(f'{n} {s}' for n, s in shapes.items())}) with "
                f"{', '.join(f'{k}={v!r}' for k, v in values.items())}: {type(e).__name__}: {e}"
            ) from e

    def __repr__(self) -> str:
        return f"<{self.verb} {self.name}: {self.summary}>"


def analysis(
    function: Callable[..., Any] | None = None, *, estimator: Callable[..., Any] | None = None
) -> Any:
    """Register a function from a View and parameters to a Result.

    Parameters
    ----------
    estimator : builds the scikit-learn style estimator behind the function from (some of) the same
        parameters.
    """
    if function is None:
        return lambda f: Method(f, "analysis", estimator)
    return Method(function, "analysis", estimator)


def source(function: Callable[..., Any]) -> Method:
    """Register a function from parameters to a Subject."""
    return Method(function, "source")


def edit(function: Callable[..., Any]) -> Method:
    """Register a function from a Checkpoint and parameters to an Edit of it, or of another like it."""
    return Method(function, "edit")


@functools.cache
def _numerics_digest() -> bytes:
    h = hashlib.blake2b(digest_size=8)
    for file in sorted((Path(__file__).parent.parent / "numerics").rglob("*.py")):
        h.update(file.read_bytes())
    return h.digest()


@functools.cache
def _modules() -> dict[str, str]:
    """Method name to module name, from the file names alone."""
    found: dict[str, str] = {}
    for home in HOMES:
        package = importlib.import_module(home)
        for info in pkgutil.walk_packages(package.__path__, home + "."):
            name = info.name.rsplit(".", 1)[1]
            if not info.ispkg and not name.startswith("_") and _defines(info, name):
                found[name] = info.name
    return found


def _defines(info: pkgutil.ModuleInfo, name: str) -> bool:
    """Whether a file defines a function of its own name: a kind of edit lies beside the methods and is none."""
    text = (Path(info.module_finder.path) / f"{name}.py").read_text(encoding="utf-8")  # type: ignore[union-attr]
    return re.search(rf"^def {name}\(", text, re.MULTILINE) is not None


def names() -> list[str]:
    """Names of all methods, sorted."""
    return sorted(_modules())


def method(name: str) -> Method:
    """Return a method by name, importing only its own file.

    Raises
    ------
    MissingError
        There is no such method; near names are suggested.
    """
    name = name.replace("-", "_")
    if name not in _modules():
        raise MissingError(
            f"There is no method {name!r}. {suggest(name, _modules(), limit=40)} See: workbench list."
        )
    module = importlib.import_module(_modules()[name])
    found = getattr(module, name, None)
    if not isinstance(found, Method):
        raise TypeError(
            f"{module.__name__} must define a method named {name} (with @analysis, @source or @edit)"
        )
    return found


def methods() -> list[Method]:
    """All methods, by verb, family and name."""
    return sorted((method(n) for n in names()), key=lambda m: (m.verb, m.family, m.name))


def _document(function: Callable[..., Any], parameters: dict[str, Parameter]) -> str:
    """The docstring with a numpydoc Parameters section made from the declarations."""
    text = inspect.cleandoc(function.__doc__ or "")
    if not parameters or sys.flags.optimize >= 2:
        return text
    rows = [f"{p.name} : {p.legal}, default {p.default!r}\n    {p.help}" for p in parameters.values()]
    section = "Parameters\n----------\n" + "\n".join(rows)
    head, *rest = text.split("\n\n", 1)
    return "\n\n".join([head, section, *rest])
