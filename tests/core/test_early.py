"""Figures before their controls: the same figure, without a claim, and only where somebody looks."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import jupyter_client
import nbclient
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import workbench as wb
from workbench.core import early, history
from workbench.core.early import MOST_ROWS, NO_CONTROL, show_early, watching
from workbench.core.errors import MethodError
from workbench.core.registry import analysis
from workbench.results.embedding import Embedding
from workbench.results.estimate import Estimate
from workbench.subjects.checkpoint import TensorInfo
from workbench.subjects.points import Points

FEW: dict[str, Any] = {"n_null": 3}


@functools.cache
def clumps() -> wb.PointCloud:
    """Two clumps of a plane in five dimensions."""
    rng, which = np.random.default_rng(0), np.arange(90) % 2
    x = rng.standard_normal((90, 5)) * [1, 1, 0.1, 0.1, 0.1] + 6 * which[:, None]
    return wb.PointCloud(x.astype(np.float32), name="clumps", table=pd.DataFrame({"which": which}))


@functools.cache
def layers() -> wb.Activations:
    rng = np.random.default_rng(1)
    first = rng.standard_normal((60, 4))
    sites = {f"layer.{i}": (first + i * rng.standard_normal((60, 4))).astype(np.float32) for i in range(3)}
    return wb.Activations(sites, pd.DataFrame({"which": np.arange(60) % 2}), name="layers")


def weights() -> wb.Checkpoint:
    values = np.random.default_rng(2).standard_normal((30, 20)).astype(np.float32)
    return wb.Checkpoint(
        {"w": TensorInfo("w", (30, 20), "F32", 2400)}, lambda name: values, name="toy", content=lambda: "toy"
    )


def ring() -> wb.GraphSubject:
    return wb.GraphSubject(np.column_stack([np.arange(12), (np.arange(12) + 1) % 12]), 12, name="ring")


ASKED: dict[str, Callable[[], Any]] = {
    "umap": lambda: wb.umap(clumps(), n_epochs=20, target="which", **FEW),
    "tsne": lambda: wb.tsne(clumps(), max_iter=250, perplexity=10, n_null=1),
    "isomap": lambda: wb.isomap(clumps(), **FEW),
    "spectral_embedding": lambda: wb.spectral_embedding(clumps(), **FEW),
    "aligned_umap": lambda: wb.aligned_umap(layers(), n_epochs=20, **FEW),
    "pca": lambda: wb.pca(clumps(), n_boot=9, **FEW),
    "spectral_clustering": lambda: wb.spectral_clustering(clumps(), n_clusters=3, n_boot=2, **FEW),
    "persistence": lambda: wb.persistence(clumps(), homology_dimensions=(0, 1), n_boot=2, **FEW),
    "barcode_distance": lambda: wb.barcode_distance(layers(), max_points=32, n_boot=2, **FEW),
    "mapper": lambda: wb.mapper(clumps(), **FEW),
    "cka": lambda: wb.cka(layers(), **FEW),
    "linear_probe": lambda: wb.linear_probe(clumps(), label="which", n_boot=2, **FEW),
    "intrinsic_dimension": lambda: wb.intrinsic_dimension(clumps(), n_boot=2, **FEW),
    "singular_values": lambda: wb.singular_values(weights(), **FEW),
    "pagerank": lambda: wb.pagerank(ring(), **FEW),
}


@contextmanager
def looking() -> Any:
    """Collect what is shown, at once."""
    shown: list[Any] = []
    with watching(shown.append, after=0):
        yield shown


@pytest.mark.parametrize("name", ASKED)
def test_what_is_shown_early_is_the_finished_figure_without_a_claim(name: str) -> None:
    with looking() as shown:
        finished = ASKED[name]()
    first, over = shown
    assert over is None
    assert first.title == f"{finished.title}, {NO_CONTROL}"
    assert (first.space, first.outcome) == (finished.space, finished.outcome)
    assert first.rows is finished.rows
    assert (first.run.key, first.run.subject) == (finished.run.key, finished.run.subject)
    assert first.caveat in finished.caveat or name == "intrinsic_dimension"
    same = 0
    for field in dataclasses.fields(finished):
        before, after = (getattr(r, field.name) for r in (first, finished))
        if isinstance(before, np.ndarray) and before.size:
            np.testing.assert_array_equal(before, after, err_msg=field.name)
            same += 1
    assert same, "nothing was shown"
    for e in first.evidence:
        assert (e.p_value, e.interval, e.null_values, e.untested) == (None, None, (), NO_CONTROL)
        assert e.value == finished.evidence_of(e.id, e.of).value
    assert first.mimebundle()["text/plain"].startswith(first.title)


def test_clusters_that_may_be_one_lump_say_so() -> None:
    lump = np.random.default_rng(3).standard_normal((80, 4)).astype(np.float32)
    with looking() as shown:
        finished = wb.spectral_clustering(lump, n_null=19, n_boot=2)
    assert set(finished.labels) == {0}
    assert shown[0].labels.max() > 0
    assert "Whether the rows are one lump is still being asked" in shown[0].caveat


def test_an_answer_from_the_cache_has_no_early_figure(cache: Any) -> None:
    first = wb.pca(clumps(), n_null=9, n_boot=9)
    with looking() as shown:
        again = wb.pca(clumps(), n_null=9, n_boot=9)
    assert shown == []
    np.testing.assert_array_equal(first.values, again.values)


def test_an_early_answer_is_not_counted_as_asked() -> None:
    before = len(history.asked())
    during = []

    def screen(early: Any) -> None:
        during.append(len(history.asked()))

    with watching(screen, after=0):
        wb.pca(clumps(), n_null=8, n_boot=0)
    assert during == [before, before]
    assert len(history.asked()) == before + 1


def placed(points: Points) -> Embedding:
    return Embedding(values=points.values[:, :2], ids=points.ids)


def test_a_control_that_fails_leaves_the_error_alone() -> None:
    @analysis
    def broken(points: Points) -> Embedding:
        """Place the rows, and fail at what comes then."""
        show_early(placed(points))
        raise ZeroDivisionError("of the control")

    with looking() as shown, pytest.raises(MethodError, match="of the control"):
        broken(clumps())
    assert [s is None for s in shown] == [False, True]
    assert early._answer.get() is None


def test_what_a_method_asks_of_another_is_not_shown_as_its_own() -> None:
    @analysis
    def outer(points: Points) -> Estimate:
        """Ask another method first."""
        wb.pca(points.values, n_null=0, n_boot=0)
        return Estimate()

    with looking() as shown:
        outer(clumps())
    assert shown == []


def slow(control: Callable[[], None]) -> Any:
    @analysis
    def waits(points: Points) -> Embedding:
        """Place the rows and compute for as long as the test says."""
        result = placed(points)
        show_early(result)
        control()
        return result

    return waits


def test_a_figure_is_drawn_only_where_its_control_takes_a_while() -> None:
    shown: list[Any] = []
    drawn = threading.Event()

    def screen(early: Any) -> None:
        shown.append(early)
        drawn.set()

    with watching(screen, after=0.01):
        slow(lambda: drawn.wait(10) and None)(clumps())
    assert [s is None for s in shown] == [False, True]
    shown.clear()
    with watching(screen, after=60):
        slow(lambda: None)(clumps())
    assert shown == []
    assert not any(isinstance(t, threading.Timer) and t.is_alive() for t in threading.enumerate())


def test_so_many_rows_that_drawing_takes_long_are_not_drawn_early() -> None:
    many = np.random.default_rng(4).standard_normal((MOST_ROWS + 1, 2)).astype(np.float32)
    with looking() as shown:
        slow(lambda: None)(many)
    assert shown == []


MADE = (
    "import os, time, numpy as np, workbench as wb\n"
    "os.environ['WORKBENCH_NO_CACHE'] = '1'\n"
    "from workbench.core.early import show_early\n"
    "from workbench.core.registry import analysis\n"
    "from workbench.results.embedding import Embedding\n"
    "from workbench.subjects.points import Points\n"
    "@analysis\n"
    "def slow(points: Points) -> Embedding:\n"
    "    '''Place the rows, and take a while over the control.'''\n"
    "    placed = Embedding(values=points.values, ids=points.ids)\n"
    "    show_early(placed)\n"
    "    time.sleep(1.5)\n"
    "    if points.n < 5: raise ZeroDivisionError('of the control')\n"
    "    return placed\n"
    "x = wb.PointCloud(np.random.default_rng(0).standard_normal((20, 2)), name='plane')"
)
PLOT = "application/vnd.plotly.v1+json"


def test_a_notebook_that_is_run_as_a_whole_holds_the_finished_figure_alone() -> None:
    executed = nbclient.execute(new_notebook(cells=[new_code_cell(MADE), new_code_cell("slow(x)")]))
    (output,) = executed.cells[1].outputs
    assert output.output_type == "execute_result"
    assert output.data[PLOT]["layout"]["title"]["text"] == "Slow of plane"


@pytest.fixture(scope="module")
def kernel() -> Any:
    manager, client = jupyter_client.manager.start_new_kernel()
    client.execute_interactive(MADE, output_hook=lambda m: None, timeout=60)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(client: Any, code: str, cell: str = "") -> list[tuple[str, Any]]:
    """Run code as a front end does that names its cells, or as a console does; return its outputs."""
    message = client.session.msg(
        "execute_request", {"code": code, "allow_stdin": True}, metadata={"cellId": cell} if cell else {}
    )
    client.shell_channel.send(message)
    outputs = []
    while True:
        m = client.get_iopub_msg(timeout=60)
        if m["parent_header"].get("msg_id") != message["header"]["msg_id"]:
            continue
        if m["msg_type"] == "status" and m["content"]["execution_state"] == "idle":
            return outputs
        if "data" in m["content"] or m["msg_type"] == "error":
            outputs.append((m["msg_type"], m["content"]))


def titles(outputs: list[tuple[str, Any]]) -> list[tuple[str, str]]:
    return [
        (kind, c["data"][PLOT]["layout"]["title"]["text"] if PLOT in c.get("data", {}) else "")
        for kind, c in outputs
    ]


def test_a_cell_shows_the_early_figure_and_then_the_finished_one_in_its_place(kernel: Any) -> None:
    said, few = "Slow of plane", "Slow of plane · 10 of 20 rows"
    outputs = run(kernel, "slow(x)\nslow(x.sample(10))", "cell-1")
    assert titles(outputs) == [
        ("display_data", f"{said}, {NO_CONTROL}: it is being computed"),
        ("update_display_data", ""),
        ("update_display_data", f"{few}, {NO_CONTROL}: it is being computed"),
        ("update_display_data", ""),
        ("display_data", few),
        ("display_data", ""),
    ]
    *early, _, (_, buttons) = outputs
    assert "<script>" in buttons["data"]["text/html"], "what puts the buttons there"
    assert len({c["transient"]["display_id"] for kind, c in early}) == 1
    assert [c["data"] for kind, c in early[1::2]] == [{}, {}]
    (again, *_) = run(kernel, "slow(x.sample(12))", "cell-1")
    assert again[0] == "display_data", "another run of the cell has an output of its own"


def test_a_console_shows_the_finished_answer_alone(kernel: Any) -> None:
    assert [kind for kind, _ in run(kernel, "slow(x)")] == ["execute_result"]


def test_a_cell_whose_control_fails_shows_its_error_and_no_figure(kernel: Any) -> None:
    outputs = run(kernel, "slow(x.sample(4))", "cell-2")
    assert [kind for kind, _ in outputs] == ["display_data", "update_display_data", "error"]
    assert outputs[1][1]["data"] == {}
