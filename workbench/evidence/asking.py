"""Asking where an answer may be refused: what can't be asked is told, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from workbench.core.errors import DataError, ParameterError, ViewError
from workbench.core.history import as_control
from workbench.core.method import Method, Question
from workbench.core.progress import tell
from workbench.core.registry import DEFINED
from workbench.core.result import Result
from workbench.core.view import Rows
from workbench.numerics.helpers import Ahead, Done, Work, shared

R = TypeVar("R", bound=Result)


def ask(method: Callable[..., R], *subjects: Any, **parameters: Any) -> R | None:
    """Ask a method; where these subjects can't answer it, print why and return None."""
    try:
        return method(*subjects, **parameters)
    except (DataError, ViewError) as e:
        print(f"Not asked: {e}")
        return None


def ask_each(method: Callable[..., R], subjects: Mapping[str, Any], **parameters: Any) -> dict[str, R]:
    """Ask a method of every subject, by name; where one of them can't answer it, print why and return nothing.

    What takes long is computed on all cores; see `workbench.numerics.helpers`.
    """
    return _ask_all(method, [subjects], parameters)[0]


class BegunEach:
    """Questions that other cores have begun with, where there are any, while this process goes on; see `begin_each`."""

    def __init__(self, method: Method, subjects: Mapping[str, Any], parameters: Mapping[str, Any]):
        self._subjects = subjects
        (self._questions,) = _questions(method, [subjects], parameters)
        self._open, works = _works([self._questions])
        self._ahead = Ahead(works)

    def answers(self) -> dict[str, Any]:
        """Wait for the answers, which from here on count as asked: what `ask_each` would return now."""
        done = dict(zip(map(id, self._open), self._ahead.done(), strict=True))
        return _answered(self._subjects, self._questions, done)


def begin_each(method: Callable[..., Any], subjects: Mapping[str, Any], **parameters: Any) -> BegunEach:
    """Begin to ask a method of every subject, by name, on other cores; `ask_each` in two halves.

    Few long questions keep two cores busy only where something else is asked meanwhile.

    Raises
    ------
    ParameterError
        It is no method, or a parameter isn't legal.
    """
    if not isinstance(method, Method):
        raise ParameterError(
            f"begin_each begins with a method, such as workbench.umap; this is a {type(method).__name__}."
        )
    return BegunEach(method, subjects, parameters)


class Begun:
    """A question that another core has begun with, where there is one, while this process goes on.

    Parameters
    ----------
    question : from `Method.question`, which takes what the method does; what it sees is sent to another process, and
        should be small.
    """

    def __init__(self, question: Question):
        self._question = question
        self._ahead = Ahead([_work(question, True)] if question.kept is None else [])

    def answer(self) -> Any:
        """Wait for the answer; from here on it counts as asked. Raises what the call itself would."""
        tell(self._question.title)
        for done in self._ahead.done():
            if done.error is not None:
                raise done.error
            return self._question.answered(done.value)
        return self._question.answered(None)


def ask_untrained(
    method: Callable[..., R], answered: Mapping[str, R], arms: Sequence[Mapping[str, Any]], **parameters: Any
) -> list[dict[str, R]]:
    """Ask of untrained networks what was answered of the trained one: numbers alone, since these are its control.

    They are no questions of their own and don't count in the correction; see `Findings.contrast`.

    Parameters
    ----------
    answered : the trained network's results, by name. arms : an untrained network's subjects, by the same names.

    Returns
    -------
    list
        The results of each arm that can be asked all of it.
    """
    parameters = {**parameters, **{n: 0 for n in ("n_null", "n_boot") if n in method.parameters}}  # type: ignore[attr-defined]
    with as_control():
        asked = _ask_all(method, [{n: arm[n] for n in answered} for arm in arms], parameters)
    return [results for results in asked if results]


def _ask_all(
    method: Callable[..., R], arms: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]
) -> list[dict[str, R]]:
    """Ask of all subjects of all arms; an arm of which one can't answer is empty, and why is printed."""
    if not isinstance(method, Method):
        return [_in_turn(method, subjects, parameters) for subjects in arms]
    questions = _questions(method, arms, parameters)
    open_, works = _works(questions)
    done = dict(zip(map(id, open_), shared(works, lambda i: tell(open_[i].title)), strict=True))
    return [_answered(subjects, asked, done) for subjects, asked in zip(arms, questions, strict=True)]


def _questions(
    method: Method, arms: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]
) -> list[list[Question]]:
    """The questions of each arm; none of one that can't be asked all of them, and why is printed."""
    questions: list[list[Question]] = []
    for subjects in arms:
        questions.append([])
        try:
            for subject in subjects.values():
                questions[-1].append(method.question(subject, **parameters))
        except (DataError, ViewError) as e:
            print(f"Not asked: {e}")
            questions[-1].clear()
    return questions


def _works(questions: Sequence[Sequence[Question]]) -> tuple[list[Question], list[Work]]:
    """Those that no answer is kept of, and their work."""
    open_ = [q for arm in questions for q in arm if q.kept is None]
    return open_, [_work(q, all(isinstance(v, Rows) for v in q.views)) for q in open_]


def _in_turn(
    method: Callable[..., R], subjects: Mapping[str, Any], parameters: Mapping[str, Any]
) -> dict[str, R]:
    try:
        return {name: method(s, **parameters) for name, s in subjects.items()}
    except (DataError, ViewError) as e:
        print(f"Not asked: {e}")
        return {}


def _answered(
    subjects: Mapping[str, Any], questions: Sequence[Question], done: Mapping[int, Done]
) -> dict[str, Any]:
    """The answers of an arm, in order: they are remembered as if one had been asked after the other."""
    answers: dict[str, Any] = {}
    for name, question in zip(subjects, questions, strict=False):
        computed = done.get(id(question), Done())
        if isinstance(computed.error, DataError | ViewError):
            print(f"Not asked: {computed.error}")
            return {}
        if computed.error is not None:
            raise computed.error
        answers[name] = question.answered(computed.value)
    return answers


def _work(question: Question, small: bool) -> Work:
    """Its work, for any process where what it sees is small, by a method that can be imported, on the CPU."""
    importable = question.method.name not in DEFINED
    anywhere = small and importable and question.values.get("device", "cpu") == "cpu"
    return Work(_perform, (question.method, *question.work()), anywhere)


def _perform(method: Method, views: list[Any], values: dict[str, Any]) -> tuple[Result, float]:
    return method.perform(views, values)
