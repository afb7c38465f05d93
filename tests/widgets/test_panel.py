"""Panels: set, run, cancelled and looked back on, as a person would, with no front end."""

from __future__ import annotations

import functools
import json
import threading
import time
from dataclasses import replace
from typing import Annotated

import numpy as np
import pandas as pd
import pytest
from annotated_types import Interval
from typing_extensions import Doc

import widgets
import workbench as wb
from widgets._live import Figure
from workbench.core import inputs
from workbench.core.early import show_early, watching
from workbench.core.errors import Cancelled, MissingError, ParameterError, ViewError
from workbench.core.inputs import Input
from workbench.core.method import Method
from workbench.core.progress import tell
from workbench.core.registry import analysis, methods
from workbench.core.result import Result
from workbench.core.subject import Subject
from workbench.results.curve import Curve
from workbench.results.embedding import Embedding
from workbench.results.estimate import Estimate
from workbench.subjects.activations import Aligned
from workbench.subjects.checkpoint import TensorInfo
from workbench.subjects.descents.siblings import Models
from workbench.subjects.descents.trajectory import Descent
from workbench.subjects.graph import Graph
from workbench.subjects.memory import Facts, Memory
from workbench.subjects.points import Points, Relation
from workbench.subjects.reading import Reading, Tokens
from workbench.subjects.series import Series
from workbench.subjects.stack import Stack

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
HOSTILE = "<script>window.hacked=1</script>"


def few(panel: widgets.Panel) -> widgets.Panel:
    """Set the controls' draws low."""
    for name in ("n_null", "n_boot"):
        if name in panel.controls:
            panel.controls[name].field.value = 9
    return panel


def layers() -> wb.Activations:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"kind": np.repeat(["a", "b"], 20), "text": HOSTILE})
    sites = {f"layer.{i}": rng.standard_normal((40, 5)).astype(np.float32) for i in range(3)}
    return wb.Activations(sites, table, name=f"layers {HOSTILE}")


def weights() -> wb.Checkpoint:
    tensors = {
        n: TensorInfo(n, s, "F32", 4 * int(np.prod(s)))
        for n, s in {"w": (6, 4), "b": (4,), "v": (4, 3)}.items()
    }
    values = {
        n: np.random.default_rng(1).standard_normal(t.shape).astype(np.float32) for n, t in tensors.items()
    }
    return wb.Checkpoint(tensors, values.__getitem__, name="toy", content=lambda: "toy")


@functools.cache
def descent() -> wb.Trajectory:
    return wb.digits_descent(width=8, depth=1, steps=20)


@functools.cache
def siblings() -> wb.Siblings:
    return wb.digits_siblings(models=2, width=8, depth=1, steps=20)


@functools.cache
def facts() -> Subject:
    made = Memory.example()
    assert isinstance(made, Subject)
    return made


def subject(spec: Input) -> Subject | Result:
    if issubclass(spec.takes, Result):
        return inputs.example(spec, 0)
    if spec.takes is Descent:
        return descent()
    if spec.takes is Models:
        return siblings()
    if spec.takes is Series:
        return wb.TimeSeries(np.sin(np.arange(80.0)), name="wave")
    if spec.takes is Tokens:
        return Reading.example()
    if spec.takes is Graph:
        return wb.GraphSubject(np.array([[0, 1], [1, 2], [2, 0], [2, 3]]), 4, name="graph")
    if spec.takes is Stack:
        return wb.WeightStack.example()
    if spec.takes is Facts:
        return facts()
    if spec.takes is Relation:
        return wb.circle(n=60)
    if spec.takes in (Points, Aligned):
        return layers()
    return weights()


@pytest.mark.parametrize("method", methods(), ids=lambda m: m.name)
def test_every_method_has_a_panel_whose_values_it_takes(method: Method) -> None:
    panel = widgets.panel(method, *map(subject, method.inputs))
    assert list(panel.controls) == list(method.parameters)
    assert panel.values == {n: p.default for n, p in method.parameters.items()}
    assert not panel.run_button.disabled
    said = panel.static_html()
    for name in method.parameters:
        assert f"<td>{name}</td>" in said
    assert HOSTILE not in said


def test_a_panel_asks_what_the_controls_say_and_shows_the_answer() -> None:
    cloud = wb.circle(n=60, dimensions=4)
    panel = few(widgets.panel("pca", cloud))
    panel.controls["n_components"].value = 3
    panel.controls["whiten"].field.value = True
    panel.run_button.click()
    assert panel.wait(60)
    asked = wb.pca(cloud, n_components=3, whiten=True, n_null=9, n_boot=9)
    np.testing.assert_array_equal(panel.result.values, asked.values)
    figure, said = panel.shown.children
    assert isinstance(figure, Figure)
    assert json.loads(figure.state.figure)["data"] == json.loads(asked.figure().to_json())["data"]
    assert "Do 3 components explain more" in said.value
    assert panel.work.layout.display == "none"
    assert not panel.run_button.disabled


def test_the_kernel_stays_free_and_cancel_takes_effect() -> None:
    panel = widgets.panel("pca", wb.circle(n=400, dimensions=60))
    panel.controls["n_null"].value = 9999
    panel.controls["n_boot"].value = 0
    began = time.monotonic()
    panel.run()
    assert time.monotonic() - began < 5, "run waits"  # nine thousand draws take far longer
    until = time.monotonic() + 30
    while "null" not in panel.work.label.value and time.monotonic() < until:
        time.sleep(0.02)
    assert "of 9,999" in panel.work.label.value
    assert panel.run_button.disabled
    panel.work.cancel_button.click()
    assert panel.wait(10)
    assert isinstance(panel.error, Cancelled)
    assert panel.results == []
    assert 'role="status"' in panel.message.value
    panel.controls["n_null"].value = 9
    panel.run()
    assert panel.wait(60)
    assert len(panel.results) == 1
    assert panel.message.value == ""


def test_panels_take_turns_and_a_waiting_one_can_be_cancelled() -> None:
    first, second = (widgets.panel("pca", wb.circle(n=300, dimensions=50)) for _ in range(2))
    first.controls["n_null"].value = 9999
    first.run()
    second.run()
    until = time.monotonic() + 10
    while "waiting" not in second.work.label.value and time.monotonic() < until:
        time.sleep(0.02)
    assert "waiting" in second.work.label.value
    second.cancel()
    assert second.wait(10)
    assert first.work.running
    first.cancel()
    assert first.wait(2)


def test_a_panel_that_is_run_twice_looks_back() -> None:
    panel = few(widgets.panel("pca", wb.circle(n=40)))
    for k in (1, 2):
        panel.controls["n_components"].value = k
        panel.run()
        assert panel.wait(60)
    assert [len(r.axes) for r in panel.results] == [1, 2]
    assert panel.history.value == 1
    assert panel.looking.layout.display != "none"
    assert "n_components=1" in panel.history.options[0][0]
    panel.history.value = 0
    assert "Do 1 components" in panel.shown.children[1].value


def test_an_illegal_value_stops_the_panel_from_running() -> None:
    panel = widgets.panel("circle")
    assert panel.controls["noise"].parameter.high == 10
    panel.controls["noise"].field.value = 11.0
    assert panel.run_button.disabled
    panel.run()
    assert not panel.work.running
    assert "a number from 0 to 10" in panel.message.value
    panel.controls["noise"].field.value = 0.0
    assert not panel.run_button.disabled


def test_a_refusal_is_shown_as_text() -> None:
    cloud = wb.PointCloud(np.ones((5, 2)), name=HOSTILE)
    panel = few(widgets.panel("pca", cloud))
    panel.run()
    assert panel.wait(60)
    assert isinstance(panel.error, wb.WorkbenchError)
    assert 'role="alert"' in panel.message.value
    assert "All 5 rows" in panel.message.value
    assert "<script" not in panel.message.value


def test_of_several_sites_one_is_chosen() -> None:
    acts = layers()
    panel = few(widgets.panel("pca", acts))
    chooser = panel.inputs["points"].dropdown
    assert chooser is not None and chooser.description == "at"
    assert chooser.value == "layer.2"
    chooser.value = "layer.0"
    panel.run()
    assert panel.wait(60)
    np.testing.assert_array_equal(panel.result.values, wb.pca(acts.at("layer.0"), n_null=9, n_boot=9).values)
    assert widgets.panel("pca", acts.at("layer.1")).inputs["points"].dropdown is None


def test_columns_of_a_table_are_chosen() -> None:
    import pandas as pd

    x = np.random.default_rng(0).standard_normal((30, 3))
    table = pd.DataFrame(x, columns=["a", "b", "year"])
    panel = few(widgets.panel("pca", table))
    assert few(widgets.panel("pca", x)).table == {}
    panel.run()
    assert panel.wait(60)
    assert "set aside as labels: 'year'" in panel.result.caveat
    panel.table["columns"].value = ("a", "year")
    panel.run()
    assert panel.wait(60)
    assert panel.result.caveat == "" and panel.result.run.subject.endswith("a, year")
    expected = wb.pca(x[:, [0, 2]], n_null=0, n_boot=0)
    np.testing.assert_allclose(np.abs(panel.result.values), np.abs(expected.values), rtol=1e-5)


def test_a_source_makes_its_subject() -> None:
    panel = widgets.panel("circle")
    panel.controls["n"].value = 30
    panel.run()
    assert panel.wait(60)
    assert len(panel.result) == 30
    assert "30 rows of 2 numbers" in panel.shown.children[0].value
    with pytest.raises(ParameterError, match="source"):
        widgets.panel("circle", wb.circle())


def test_a_subject_that_cannot_give_the_view_is_refused_at_once() -> None:
    with pytest.raises(ViewError, match="rows of numbers"):
        widgets.panel("pca", siblings())
    with pytest.raises(ViewError, match="an architecture that is known here"):
        widgets.panel("pca", weights())
    with pytest.raises(ParameterError, match=r"asked of points \(rows of numbers .*; 2 things were given"):
        widgets.panel("pca", layers(), layers())
    with pytest.raises(MissingError, match="'pca'"):
        widgets.panel("pcaa", wb.circle())
    with pytest.raises(ParameterError, match=r"widgets\.panel\('pca', points\)"):
        widgets.panel("pca")


def test_without_a_kernel_a_panel_shows_its_settings_and_then_its_answer() -> None:
    panel = few(widgets.panel("pca", wb.circle(n=40)))
    before = panel._repr_mimebundle_()
    assert before[WIDGET_MIME]["model_id"]
    assert "<td>n_components</td><td>2</td>" in before["text/html"]
    assert "application/vnd.plotly.v1+json" not in before
    panel.run()
    assert panel.wait(60)
    after = panel._repr_mimebundle_()
    assert "Variance explained" in after["text/html"]
    assert after["application/vnd.plotly.v1+json"]["data"]
    json.dumps(after)


def test_an_answer_that_cannot_be_drawn_is_kept_and_said() -> None:
    @analysis
    def odd(points: Points, *, n: Annotated[int, Interval(ge=1, le=3), Doc("Unused here.")] = 1) -> Curve:
        """Give an answer whose parts don't fit together."""
        return Curve(x=np.arange(3.0), y=np.zeros((2, 2)), names=("a",), low=np.zeros((1, 1)))

    panel = widgets.panel(odd, wb.circle(n=10))
    panel.run()
    assert panel.wait(60)
    assert len(panel.results) == 1
    assert 'role="alert"' in panel.message.value
    assert panel.work.layout.display == "none"
    assert not panel.run_button.disabled


def test_no_thread_is_left_behind() -> None:
    panel = few(widgets.panel("pca", wb.circle(n=40)))
    panel.run()
    assert panel.wait(60)
    assert panel.work._job is not None
    panel.work._job.thread.join(1)
    assert panel.work._job.thread not in threading.enumerate()


def test_what_cannot_be_interrupted_is_left_within_a_second() -> None:
    begun, free = threading.Event(), threading.Event()

    @analysis
    def deaf(points: Points, *, n: Annotated[int, Interval(ge=1, le=3), Doc("Unused here.")] = 1) -> Curve:
        """Wait for the test, hearing nothing meanwhile."""
        begun.set()
        free.wait(30)
        return Curve(x=np.arange(3.0), y=np.zeros((3, 1)), names=("a",))

    panel = widgets.panel(deaf, wb.circle(n=10))
    other = few(widgets.panel("pca", wb.circle(n=30)))
    panel.run()
    assert begun.wait(10)
    panel.cancel()
    assert panel.wait(10)
    assert isinstance(panel.error, Cancelled)
    assert "be interrupted" in panel.message.value
    assert not panel.run_button.disabled
    other.run()
    assert not other.wait(0.3), "two libraries at once"
    free.set()
    assert other.wait(60)
    assert len(other.results) == 1
    assert panel.results == []


def test_a_pinned_answer_is_compared_with_the_one_that_is_shown() -> None:
    panel = few(widgets.panel("pca", wb.circle(n=40, dimensions=4)))
    for k in (1, 2):
        panel.controls["n_components"].value = k
        panel.run()
        assert panel.wait(60)
    assert panel.compared.value == ""
    panel.history.value = 0
    panel.pin.value = True
    assert list(panel.pinned) == [1]
    assert panel.kept.children == (), "it is shown already"
    panel.history.value = 1
    assert not panel.pin.value
    assert len(panel.kept.children) == 1
    assert "<td>n_components</td><td>1</td><td>2</td>" in panel.compared.value
    assert "<td>whiten</td>" not in panel.compared.value
    assert "answer 1" in panel.compared.value and "variance" in panel.compared.value.lower()
    panel.history.value = 0
    assert panel.pin.value
    panel.pin.value = False
    assert panel.pinned == {} and panel.compared.value == ""


def test_an_edit_is_said_in_words_and_can_be_added() -> None:
    net = weights()
    panel = widgets.panel("prune", net)
    panel.run()
    assert panel.wait(60)
    (shown,) = panel.shown.children
    assert "0.5 of the weights pruned" in shown.value and "network + panel.result" in shown.value
    assert ((net + panel.result)["w"] == 0).mean() == 0.5


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Early answers don't wait for a control that takes a while."""
    monkeypatch.setattr("widgets._work.watching", functools.partial(watching, after=0))


class Control:
    """A method that places rows, and computes its control for as long as the test lets it."""

    def __init__(self) -> None:
        self.begun, self.over = threading.Event(), threading.Event()
        self.fails = False

        @analysis
        def steady(
            points: Points, *, n: Annotated[int, Interval(ge=1, le=3), Doc("Unused here.")] = 1
        ) -> Embedding:
            """Place the rows, and take a while over the control."""
            result = Embedding(values=points.values[:, :2], ids=points.ids)
            show_early(result)
            self.begun.set()
            while not self.over.wait(0.02):
                tell("steady: null", 1, 4)
            if self.fails:
                raise ZeroDivisionError("of the control")
            return replace(result, evidence=Estimate.example().evidence)

        self.method = steady

    def run(self, panel: widgets.Panel) -> None:
        self.begun.clear()
        panel.run()
        assert self.begun.wait(10)

    def end(self, panel: widgets.Panel) -> None:
        self.over.set()
        assert panel.wait(10)
        self.over.clear()


@pytest.mark.usefixtures("at_once", "cache")
def test_the_figure_comes_first_and_its_control_follows() -> None:
    control = Control()
    panel = widgets.panel(control.method, wb.circle(n=20))
    control.run(panel)
    drawn, told = panel.shown.children
    assert isinstance(drawn, Figure) and len(drawn.plotted.data[0].x) == 20
    assert "no control yet" in drawn.state.figure and "no control yet" in told.value
    assert "its control is being computed" in panel.message.value
    assert panel.work.running and panel.results == [] and panel.result is None
    assert panel.static_result() is None
    drawn.state.set_state({"view": {"xaxis.range": [-0.5, 0.25]}})  # as the browser does where a hand zooms
    control.end(panel)
    assert panel.shown.children[0] is drawn, "the figure is completed in its place"
    assert drawn.state.view == {"xaxis.range": [-0.5, 0.25]}
    assert "no control yet" not in drawn.state.figure + told.value
    assert "Is there anything?" in told.value
    assert panel.message.value == "" and panel.early is None
    assert len(panel.results) == 1 and panel.history.value == 0


@pytest.mark.usefixtures("at_once", "cache")
def test_a_cancelled_control_leaves_its_figure_and_no_claim() -> None:
    control = Control()
    panel = widgets.panel(control.method, wb.circle(n=20))
    control.run(panel)
    control.end(panel)
    panel.controls["n"].value = 2
    control.run(panel)
    assert panel.history.value is None and panel.pin.disabled
    panel.cancel()
    assert panel.wait(2)
    drawn, told = panel.shown.children
    assert "no control yet" in drawn.state.figure
    assert "Is there anything?" not in told.value
    assert "nothing about it was tested" in panel.message.value
    assert len(panel.results) == 1 and not panel.run_button.disabled
    panel.history.value = 0  # back to the finished one
    assert "Is there anything?" in told.value
    assert "no control yet" not in drawn.state.figure


@pytest.mark.usefixtures("at_once", "cache")
def test_a_control_that_fails_takes_its_figure_with_it() -> None:
    control = Control()
    panel = widgets.panel(control.method, wb.circle(n=20))
    control.fails = True
    control.run(panel)
    assert panel.shown.children
    control.end(panel)
    assert panel.shown.children == ()
    assert "of the control" in panel.message.value and 'role="alert"' in panel.message.value
    control.fails = False
    control.run(panel)
    control.end(panel)
    control.fails = True
    panel.controls["n"].value = 2
    control.run(panel)
    control.end(panel)
    drawn, told = panel.shown.children
    assert "Is there anything?" in told.value, "the last finished answer is shown again"
    assert "no control yet" not in drawn.state.figure
    assert panel.history.value == 0 and panel.early is None


@pytest.mark.usefixtures("cache")
def test_an_answer_that_comes_soon_has_no_early_figure() -> None:
    control = Control()
    panel = widgets.panel(control.method, wb.circle(n=20))
    control.run(panel)
    assert panel.shown.children == ()
    control.end(panel)
    assert panel.early is None and len(panel.results) == 1
