"""One suite over everything that is registered; a new method passes it or isn't one.

A method is asked about a small subject of its view, with its few draws: what is tested here is the
contract, not the answers, which have tests of their own. Each answer is computed once in a process, and
every question is asked of that; so `conftest.py` keeps a method's questions in one worker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.core.errors import MissingError, ParameterError, WorkbenchError
from workbench.core.method import Method
from workbench.core.parameters import BootstrapDraws, NullDraws, Parameter, validate_all
from workbench.core.registry import methods
from workbench.core.result import KINDS, Result, load
from workbench.core.subject import Subject
from workbench.subjects.activations import Aligned
from workbench.subjects.checkpoint import Matrix, TensorInfo
from workbench.subjects.descents.siblings import Models
from workbench.subjects.descents.trajectory import Descent
from workbench.subjects.graph import Graph
from workbench.subjects.points import Points
from workbench.subjects.series import Series

METHODS = methods()
ANALYSES = [m for m in METHODS if m.verb == "analysis"]
PARAMETERS = [(m, p) for m in METHODS for p in m.parameters.values()]
CONTROLS = (NullDraws, BootstrapDraws)  # thousands are legal, and nothing but slow
TESTS = Path(__file__).parent


def name(thing: Any) -> str:
    return thing.name if isinstance(thing, Method | Parameter) else str(thing)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")


@cache
def subject(needs: type) -> Subject:
    """A small real thing of each view: three groups in six dimensions, with labels, texts and tokens."""
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], 32)
    rows = rng.standard_normal((96, 6)) + 4 * rng.standard_normal((3, 6))[group]
    table = pd.DataFrame(
        {
            "kind": np.array(["a", "b", "c"])[group],
            "text_id": np.arange(96) // 4,
            "height": rows[:, 0],
            "token": [f"t{i % 9}" for i in range(96)],
            "size": rng.permuted(group),
        }
    )
    if needs is Points:
        return wb.PointCloud(rows.astype(np.float32), name="groups", table=table)
    if needs is Series:
        t = np.arange(240) * 0.13
        return wb.TimeSeries(
            (np.sin(t) + 0.3 * np.sin(2.7 * t) + 0.05 * rng.standard_normal(240)), name="wave"
        )
    if needs is Aligned:
        sites = {
            f"layer.{i}": (rows + i * rng.standard_normal(rows.shape)).astype(np.float32) for i in range(3)
        }
        return wb.Activations(sites, table, name="layers")
    if needs is Graph:
        edges = np.array([(i, j) for i in range(24) for j in range(i + 1, 24) if rng.random() < 0.2])
        return wb.GraphSubject(edges, 24, weights=rng.uniform(0.1, 1, len(edges)), name="random graph")
    if needs is Descent:
        return wb.digits_descent(width=8, depth=1, steps=60)
    if needs is Models:
        return wb.digits_siblings(models=3, width=8, depth=1, steps=30)
    weights = rng.standard_normal((40, 24)).astype(np.float32)
    weights += 2 * np.outer(rng.standard_normal(40), rng.standard_normal(24)).astype(np.float32)
    tensors = {"w": TensorInfo("w", (40, 24), "F32", weights.nbytes), "b": TensorInfo("b", (24,), "F32", 96)}
    whole = wb.Checkpoint(
        tensors, {"w": weights, "b": np.ones(24, np.float32)}.__getitem__, name="toy", content=lambda: "toy"
    )
    return whole.at("w") if needs is Matrix else whole


def few(method: Method) -> dict[str, Any]:
    """What is declared to be enough, of the parameters that take long."""
    return {p.name: p.few for p in method.parameters.values() if p.few is not None}


def compute(method: Method, subject: Subject | None, **parameters: Any) -> Any:
    """Ask the method, whether it was asked before or not."""
    try:
        return method(*([] if subject is None else [subject]), **{**few(method), **parameters})
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
            ANSWERS[key] = Answer(compute(method, example(method), **parameters))
        except WorkbenchError as refusal:
            ANSWERS[key] = Answer(refusal=refusal.with_traceback(None))  # which would hold what was computed
    return ANSWERS[key]


def example(method: Method) -> Subject | None:
    return None if method.needs is None else subject(method.needs)


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
            if f not in ("run", "rows")
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


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_is_documented(method: Method) -> None:
    assert len(method.summary) > 20 and method.summary.endswith(".")
    assert method.name == method.function.__module__.rsplit(".", 1)[1]
    for parameter in method.parameters.values():
        assert f"{parameter.name} : {parameter.legal}" in (method.__doc__ or "")
    if method.verb == "analysis":
        assert method.gives in KINDS.values()
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
def test_the_most_of_what_takes_long_answers_or_refuses(method: Method, parameter: Parameter) -> None:
    for value in parameter.endpoints()[1:]:
        assert_answers_or_refuses(answer(method, **{parameter.name: value}))


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
    pytest.fail(f"{method.name}: nothing changed with {parameter.name} in {alternatives(method, parameter)}")


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

    What the parameter's help speaks of comes first.
    """
    others = [p for p in method.parameters.values() if p.name not in (parameter.name, "device")]
    found = [(p, c) for p in others if p.choices for c in p.choices if c != p.default]
    found += [(p, c) for p in others if p.base is str and p.choices is None for c in ("kind", "size")]
    found.sort(key=lambda pair: (str(pair[1]) not in parameter.help, pair[0].name not in parameter.help))
    return [{}, *({p.name: c} for p, c in found)]


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
    assert fingerprint(compute(method, example(method))) == answer(method).fingerprint


@pytest.mark.parametrize("method", ANALYSES, ids=name)
def test_has_a_control(method: Method) -> None:
    result = result_of(method)
    assert result.evidence, "every answer has its control"
    assert any(e.null_values or e.interval for e in result.evidence)
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
    figure = json.loads(result.figure().to_json())
    assert figure["data"]
    assert figure["layout"]["meta"]["space"] == subject(method.needs).view(method.needs).space
    assert len(result.table()) > 0


@pytest.mark.parametrize("method", ANALYSES, ids=name)
def test_refuses_one_row_or_answers(method: Method) -> None:
    whole = example(method)
    if not hasattr(whole, "select"):
        pytest.skip("a matrix has no rows to leave out")
    try:
        found = Answer(compute(method, whole.select(whole.ids[:1])))
    except WorkbenchError as refusal:
        found = Answer(refusal=refusal)
    assert_answers_or_refuses(found)


@pytest.mark.parametrize("method", [m for m in ANALYSES if m.estimator], ids=name)
def test_estimator_has_its_parameters(method: Method) -> None:
    estimator = method.make_estimator()
    assert hasattr(estimator, "fit")
    shared = set(estimator.get_params()) & set(method.parameters)
    assert shared, "an estimator takes the method's parameters under their own names"
