"""One suite over everything that is registered; a new method passes it or isn't one.

A method is asked about small subjects of every view, with its controls cut to a few draws: what is
tested here is the contract, not the answers, which have tests of their own.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.core.errors import MissingError, ParameterError, WorkbenchError
from workbench.core.method import Method
from workbench.core.parameters import Parameter
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
FEW = {"n_null": 3, "n_boot": 3, "budget": 10, "repeats": 3, "rounds": 2}
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


def ask(method: Method, **parameters: Any) -> Any:
    few = {k: v for k, v in FEW.items() if k in method.parameters}
    args = [] if method.needs is None else [subject(method.needs)]
    try:
        return method(*args, **{**few, **parameters})
    except MissingError as e:
        if "isn't installed" in str(e) and "folder" not in parameters:  # data that nobody needs to have
            pytest.skip(str(e))
        raise


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
            ask(method, **{parameter.name: value})
        assert parameter.name in str(refusal.value)
        assert parameter.legal in str(refusal.value)


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_refuses_unknown_parameters(method: Method) -> None:
    with pytest.raises(ParameterError, match="no_such_parameter"):
        ask(method, no_such_parameter=1)


@pytest.mark.parametrize(("method", "parameter"), PARAMETERS, ids=name)
def test_legal_endpoints_answer_or_refuse(method: Method, parameter: Parameter) -> None:
    if parameter.name in FEW:
        pytest.skip("thousands of draws are legal and slow; zero and a few are tested")
    for value in parameter.endpoints():
        try:
            answer = ask(method, **{parameter.name: value})
        except WorkbenchError as refusal:
            assert len(str(refusal)) > 30
            continue
        if isinstance(answer, Result):
            assert_finite(answer)


@pytest.mark.parametrize(("method", "parameter"), PARAMETERS, ids=name)
def test_every_parameter_changes_some_result(method: Method, parameter: Parameter) -> None:
    tried = [v for v in alternatives(method, parameter) if v != parameter.default]
    for setting in settings(method, parameter):
        default = fingerprint(ask(method, **setting))
        for value in tried:
            try:
                if fingerprint(ask(method, **setting, **{parameter.name: value})) != default:
                    return
            except WorkbenchError as refusal:
                if parameter.name in str(refusal):
                    return  # it was read: it is what the refusal speaks of
    pytest.fail(f"{method.name}: nothing changed with {parameter.name} in {tried}")


def settings(method: Method, parameter: Parameter) -> list[dict[str, Any]]:
    """The defaults, then each other choice and a column, for parameters that count only beside one."""
    others = [p for p in method.parameters.values() if p.name not in (parameter.name, "device")]
    found: list[dict[str, Any]] = [{}]
    found += [{p.name: c} for p in others if p.choices for c in p.choices if c != p.default]
    return found + [
        {p.name: c} for p in others if p.base is str and p.choices is None for c in ("kind", "size")
    ]


def alternatives(method: Method, parameter: Parameter) -> list[Any]:
    """A few legal values, near the default first."""
    if parameter.name in FEW:
        return [5, 0]
    default = parameter.default
    near: list[Any] = []
    if parameter.base in (int, float) and parameter.choices is None:
        one = default[0] if parameter.sequence and default else default
        start = one if isinstance(one, int | float) else 1
        near = [parameter.base(start * f) for f in (2, 0.5, 0.1, 10)] + [
            parameter.base(start + 1),
            parameter.base(3),
        ]
        near = [(v,) for v in near] if parameter.sequence else near
    if parameter.base is str and parameter.choices is None:
        near = ["kind", "size", "height", "text_id", "token", "w", "b"]
        near = [(v,) for v in near] if parameter.sequence else near
    legal = []
    for value in [*near, *parameter.endpoints()]:
        try:
            legal.append(parameter.validate(value, method.name))
        except ParameterError:
            continue
    return legal


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_same_seed_same_answer(method: Method) -> None:
    assert fingerprint(ask(method)) == fingerprint(ask(method))


@pytest.mark.parametrize("method", ANALYSES, ids=name)
def test_has_a_control(method: Method) -> None:
    result = ask(method)
    assert result.evidence, "every answer has its control"
    assert any(e.null_values or e.interval for e in result.evidence)
    assert_finite(result)


@pytest.mark.parametrize("method", ANALYSES, ids=name)
def test_survives_save_and_load(method: Method, tmp_path: Path) -> None:
    result = ask(method)
    again = load(result.save(tmp_path / "result"))
    assert fingerprint(again) == fingerprint(result)
    assert again.run == result.run


@pytest.mark.parametrize("method", ANALYSES, ids=name)
def test_draws_and_tabulates(method: Method) -> None:
    result = ask(method)
    figure = json.loads(result.figure().to_json())
    assert figure["data"]
    assert figure["layout"]["meta"]["space"] == subject(method.needs).view(method.needs).space
    assert len(result.table()) > 0


@pytest.mark.parametrize("method", ANALYSES, ids=name)
def test_refuses_one_row_or_answers(method: Method) -> None:
    whole = subject(method.needs)
    if not hasattr(whole, "select"):
        pytest.skip("a matrix has no rows to leave out")
    try:
        assert_finite(
            method(whole.select(whole.ids[:1]), **{k: v for k, v in FEW.items() if k in method.parameters})
        )
    except WorkbenchError as refusal:
        assert len(str(refusal)) > 30


@pytest.mark.parametrize("method", [m for m in ANALYSES if m.estimator], ids=name)
def test_estimator_has_its_parameters(method: Method) -> None:
    estimator = method.make_estimator()
    assert hasattr(estimator, "fit")
    shared = set(estimator.get_params()) & set(method.parameters)
    assert shared, "an estimator takes the method's parameters under their own names"
