"""One suite over everything that is registered; a new method passes it or isn't one.

A method is asked about a small subject of its view, with its few draws: what is tested here is the
contract, not the answers, which have tests of their own. Each answer is computed once in a process, and
every question is asked of that; so `conftest.py` keeps a method's questions in one worker.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.core import inputs
from workbench.core.errors import MissingError, ParameterError, WorkbenchError
from workbench.core.method import Method
from workbench.core.parameters import BootstrapDraws, NullDraws, Parameter, validate_all
from workbench.core.registry import DEFINED, methods
from workbench.core.result import RESULT_MIME, Result, kinds, load
from workbench.core.subject import Subject, as_subject, subjects
from workbench.core.view import VIEWS, Rows
from workbench.results.plotted import PLOTLY_MIME

METHODS = [m for m in methods() if m.name not in DEFINED]  # those of other tests' cells are their own affair
ANALYSES = [m for m in METHODS if m.verb == "analysis"]
PARAMETERS = [(m, p) for m in METHODS for p in m.parameters.values()]
CONTROLS = (NullDraws, BootstrapDraws)  # thousands are legal, and nothing but slow
TESTS = Path(__file__).parent
MUCH = 12  # times what is enough to try a method with: the ends of some ranges take many minutes


def name(thing: Any) -> str:
    return thing.name if isinstance(thing, Method | Parameter) else str(thing)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")


@cache
def examples(method: Method) -> tuple[Any, ...]:
    """What the method is asked about: a small thing for each input, as subjects and kinds give them of themselves."""
    return tuple(inputs.example(spec, variant) for variant, spec in enumerate(method.inputs))


def few(method: Method) -> dict[str, Any]:
    """What is declared to be enough, of the parameters that take long."""
    return {p.name: p.few for p in method.parameters.values() if p.few is not None}


def compute(method: Method, asked: tuple[Any, ...], **parameters: Any) -> Any:
    """Ask the method, whether it was asked before or not."""
    try:
        return method(*asked, **{**few(method), **parameters})
    except MissingError as e:
        if "isn't installed" in str(e) and "folder" not in parameters:  # data that nobody needs to have
            pytest.skip(str(e))
        raise


@dataclass
class Answer:
    """What a method gave, or the refusal."""

    given: Any = None
    refusal: WorkbenchError | None = None

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.given)


ANSWERS: dict[str, Answer] = {}


def answer(method: Method, **parameters: Any) -> Answer:
    """The answer to these parameters about the example, computed where nobody has asked yet."""
    values = validate_all(method.name, method.parameters, {**few(method), **parameters})
    key = f"{method.name} {sorted(values.items())}"
    if key not in ANSWERS:
        try:
            ANSWERS[key] = Answer(compute(method, examples(method), **parameters))
        except WorkbenchError as refusal:
            ANSWERS[key] = Answer(refusal=refusal.with_traceback(None))  # which would hold what was computed
    return ANSWERS[key]


def result_of(method: Method) -> Any:
    """What the method gives with its defaults."""
    found = answer(method)
    assert found.refusal is None, found.refusal
    return found.given


def fingerprint(answer: Any) -> str:
    """Everything that an answer says, as text."""
    if isinstance(answer, Result):
        facts = [
            (f, np.asarray(v).tolist() if isinstance(v, np.ndarray) else str(v))
            for f, v in vars(answer).items()
            if f not in ("run", "rows", "digest")
        ]
        return json.dumps(facts)
    return answer.digest


def assert_answers_or_refuses(found: Answer) -> None:
    if found.refusal is not None:
        assert len(str(found.refusal)) > 30
    elif isinstance(found.given, Result):
        assert_finite(found.given)


def assert_finite(result: Result) -> None:
    for field, value in vars(result).items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            allowed = np.isfinite(value)
            if field == "pairs":  # a bar may live forever, and be born nowhere else
                allowed[:, 1] |= value[:, 1] == np.inf
            if field in ("noise", "null_low", "null_high", "low", "high"):  # not asked for
                allowed |= np.isnan(value)
            assert allowed.all(), field
    for e in result.evidence:
        assert np.isfinite([e.value, *(e.interval or ()), *e.null_values]).all(), e
        assert e.interval is None or e.interval[0] <= e.interval[1]


def assert_drawn(result: Result) -> None:
    """It is shown live and static: a figure that carries its rows, or HTML, and a table and text beside."""
    bundle = result.mimebundle()
    figure = bundle.get(PLOTLY_MIME)
    assert figure is not None or bundle["text/html"]
    if figure is not None:
        assert figure["data"]
        assert figure["layout"]["meta"]["space"] == result.space
    assert json.dumps(bundle, allow_nan=False) and bundle["text/plain"] and bundle[RESULT_MIME]["kind"]
    assert len(result.table()) > 0


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_is_documented(method: Method) -> None:
    assert len(method.summary) > 20 and method.summary.endswith(".")
    assert method.name == method.function.__module__.rsplit(".", 1)[1]
    for parameter in method.parameters.values():
        assert f"{parameter.name} : {parameter.legal}" in (method.__doc__ or "")
    if method.verb == "analysis":
        assert method.gives in kinds()
        assert method.reference, "an analysis names its reference"


@pytest.mark.parametrize("method", ANALYSES, ids=name)
def test_has_known_answer_and_peer(method: Method) -> None:
    path = TESTS / "analyses" / method.family / f"test_{method.name}.py"
    tests = re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    assert any("known_answer" in t for t in tests)
    assert any("peer" in t for t in tests)


@pytest.mark.parametrize(("method", "parameter"), PARAMETERS, ids=name)
def test_refuses_illegal_values_by_name_and_range(method: Method, parameter: Parameter) -> None:
    for value in parameter.illegal():
        with pytest.raises(ParameterError) as refusal:
            method(**{parameter.name: value})  # before it looks for a subject
        assert parameter.name in str(refusal.value)
        assert parameter.legal in str(refusal.value)


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_refuses_unknown_parameters(method: Method) -> None:
    with pytest.raises(ParameterError, match="no_such_parameter"):
        method(no_such_parameter=1)


@pytest.mark.parametrize(("method", "parameter"), PARAMETERS, ids=name)
def test_legal_endpoints_answer_or_refuse(method: Method, parameter: Parameter) -> None:
    for value in endpoints(parameter):
        assert_answers_or_refuses(answer(method, **{parameter.name: value}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "parameter"),
    [(m, p) for m, p in PARAMETERS if p.few is not None and p.annotation not in CONTROLS],
    ids=name,
)
def test_much_of_what_takes_long_answers_or_refuses(method: Method, parameter: Parameter) -> None:
    for value in parameter.endpoints()[1:]:
        far = MUCH * parameter.few if isinstance(parameter.few, int | float) else None
        much = min(value, far) if far is not None and isinstance(value, int | float) else value
        assert_answers_or_refuses(answer(method, **{parameter.name: much}))


def endpoints(parameter: Parameter) -> list[Any]:
    """The edges of the range; of what takes long the lower one, and what is enough."""
    return parameter.endpoints() if parameter.few is None else [*parameter.endpoints()[:1], parameter.few]


@pytest.mark.parametrize(("method", "parameter"), PARAMETERS, ids=name)
def test_every_parameter_changes_some_result(method: Method, parameter: Parameter) -> None:
    for setting, value in attempts(method, parameter):
        usual = answer(method, **setting)
        if usual.refusal is not None:
            continue
        changed = answer(method, **setting, **{parameter.name: value})
        if changed.refusal is None:
            if changed.fingerprint != usual.fingerprint:
                return
        elif parameter.name in str(changed.refusal):
            return  # it was read: it is what the refusal speaks of
    if counts_without_what_may_be_left_out(method, parameter):
        return
    pytest.fail(f"{method.name}: nothing changed with {parameter.name} in {alternatives(method, parameter)}")


def counts_without_what_may_be_left_out(method: Method, parameter: Parameter) -> bool:
    """Whether the parameter changes an answer about the inputs that can't be left out alone."""
    needed = tuple(x for x, i in zip(examples(method), method.inputs, strict=True) if not i.optional)
    if len(needed) == len(method.inputs):
        return False
    usual = fingerprint(compute(method, needed))
    changed = (compute(method, needed, **{parameter.name: v}) for v in alternatives(method, parameter))
    return any(fingerprint(one) != usual for one in changed)


def attempts(method: Method, parameter: Parameter) -> Iterator[tuple[dict[str, Any], Any]]:
    """Settings and values to tell the parameter by: first what the endpoints have answered, then the likeliest."""
    tried = alternatives(method, parameter)
    yield from (({}, v) for v in endpoints(parameter) if v in tried)
    ranked = [
        (i + j, i, setting, value)
        for i, setting in enumerate(settings(method, parameter))
        for j, value in enumerate(tried)
    ]
    yield from ((setting, value) for *_, setting, value in sorted(ranked, key=lambda r: r[:2]))


def settings(method: Method, parameter: Parameter) -> list[dict[str, Any]]:
    """The defaults, then each other choice and a column, for parameters that count only beside one.

    What the parameter's help speaks of comes first. Then draws enough to reject something, and other numbers at their
    highest, with each choice: what is asked for only where something was found.
    """
    others = [p for p in method.parameters.values() if p.name not in (parameter.name, "device")]
    found = [(p, c) for p in others if p.choices for c in p.choices if c != p.default]
    found += [(p, c) for p in others if p.base is str and p.choices is None for c in ("kind", "size")]
    found.sort(key=lambda pair: (str(pair[1]) not in parameter.help, pair[0].name not in parameter.help))
    chosen = [{}, *({p.name: c} for p, c in found)]
    high = [{p.name: 39} for p in others if p.name == "n_null"]
    high += [
        {p.name: p.endpoints()[-1]} for p in others if p.base is float and p.few is None and not p.sequence
    ]
    return [*chosen, *({**c, **h} for h in high for c in chosen)]


def alternatives(method: Method, parameter: Parameter) -> list[Any]:
    """A few other legal values, near the usual one first."""
    usual = parameter.default if parameter.few is None else parameter.few
    near: list[Any] = []
    if parameter.base in (int, float) and parameter.choices is None:
        one = usual[0] if parameter.sequence and usual else usual
        start = one if isinstance(one, int | float) else 1
        near = [parameter.base(start * f) for f in (2, 0.5, 0.1, 10)]
        near += [parameter.base(start + 1), parameter.base(3)]
    if parameter.base is str and parameter.choices is None:
        near = ["kind", "size", "height", "text_id", "token", "w", "b"]
    if parameter.sequence:
        near = [(v,) for v in near]
    legal = []
    for value in [*near, *endpoints(parameter)]:
        try:
            legal.append(parameter.validate(value, method.name))
        except ParameterError:
            continue
    return [v for v in dict.fromkeys(legal) if v != usual]


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_same_seed_same_answer(method: Method) -> None:
    assert fingerprint(compute(method, examples(method))) == answer(method).fingerprint


@pytest.mark.parametrize("method", ANALYSES, ids=name)
def test_has_a_control(method: Method) -> None:
    result = result_of(method)
    assert result.evidence, "every answer has its control"
    if not any(e.null_values or e.interval for e in result.evidence):  # few layouts give no p-value: 19 do
        result = compute(method, examples(method), n_null=19)
    if not any(e.null_values or e.interval for e in result.evidence):
        # then the control is a comparison that is made on top, and each number says why it claims nothing
        assert len(result.evidence) > len(compute(method, examples(method), n_null=0).evidence)
        assert all(e.untested for e in result.evidence)
    assert_finite(result)


@pytest.mark.parametrize("method", ANALYSES, ids=name)
def test_survives_save_and_load(method: Method, tmp_path: Path) -> None:
    result = result_of(method)
    again = load(result.save(tmp_path / "result"))
    assert fingerprint(again) == fingerprint(result)
    assert again.run == result.run


@pytest.mark.parametrize("method", ANALYSES, ids=name)
def test_draws_and_tabulates(method: Method) -> None:
    result = result_of(method)
    assert_drawn(result)
    views = [spec.of(whole) for spec, whole in zip(method.inputs, examples(method), strict=True)]
    first = next((v for v in views if isinstance(v, Rows)), views[0])  # the first that has rows
    assert result.space == getattr(first, "space", "")


@pytest.mark.parametrize("method", ANALYSES, ids=name)
def test_refuses_one_row_or_answers(method: Method) -> None:
    if not all(hasattr(whole, "select") for whole in examples(method)):
        pytest.skip("something it is asked about has no rows to leave out")
    try:
        found = Answer(compute(method, tuple(whole.select(whole.ids[:1]) for whole in examples(method))))
    except WorkbenchError as refusal:
        found = Answer(refusal=refusal)
    assert_answers_or_refuses(found)


@pytest.mark.parametrize("method", [m for m in ANALYSES if m.estimator], ids=name)
def test_estimator_has_its_parameters(method: Method) -> None:
    estimator = method.make_estimator()
    assert hasattr(estimator, "fit")
    shared = set(estimator.get_params()) & set(method.parameters)
    assert shared, "an estimator takes the method's parameters under their own names"


@pytest.mark.parametrize("kind", kinds(), ids=lambda k: k.kind)
def test_a_kind_shows_itself_and_survives(kind: type[Result], tmp_path: Path) -> None:
    one, other = kind.example(), kind.example(1)
    assert one.digest == kind.example().digest != other.digest
    assert_drawn(one)
    again = load(one.save(tmp_path / "one"))
    assert fingerprint(again) == fingerprint(one) and again.digest == one.digest
    if kind.rowwise:
        some = np.array([3, 1])
        assert one.take(some).ids.tolist() == one.ids[some].tolist()


def test_kinds_are_found_by_name_in_a_fresh_process(tmp_path: Path) -> None:
    for kind in kinds():
        kind.example().save(tmp_path / kind.kind)
    code = (
        "import sys, pathlib, workbench as wb\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    print(path.name, wb.load(path).digest)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert dict(line.split() for line in done.stdout.splitlines()) == {
        k.kind: k.example().digest for k in kinds()
    }


@pytest.mark.parametrize("cls", subjects(), ids=lambda c: c.__name__)
def test_a_subject_keeps_the_contract(cls: type[Subject]) -> None:
    one = cls.example()
    if type(one) is not cls:
        pytest.skip("it makes no example of itself")
    assert one.digest == cls.example().digest and one.holds and one.name in repr(one)
    assert as_subject(one) is one
    for view in one.gives:
        names = one.parts(VIEWS[view])
        part = one.at(names[-1]) if names else one
        assert part.view(VIEWS[view]).digest
    if names := one.parts():
        assert one.at(names[0]).run is not None and names[0] in one.at(names[0]).name
    if hasattr(one, "select"):
        some = one.select(one.ids[:3])
        assert some.ids.tolist() == one.ids[:3].tolist() and some.space == one.space
        assert "3 selected rows" in some.name and some.run is not None
        assert some.digest != one.digest or len(one) <= 3
