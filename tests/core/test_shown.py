"""What a notebook or a terminal shows of subjects, answers and methods: short, and inert whatever it is called."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.core.method import Method
from workbench.core.registry import method, methods
from workbench.core.subject import subjects

WICKED = '<img src=x onerror="alert(1)">'


@pytest.mark.parametrize("cls", subjects(), ids=lambda c: c.__name__)
def test_every_subject_shows_what_it_holds_in_a_few_lines(cls: type) -> None:
    if (example := cls.example()) is None:
        pytest.skip("no example can be made")
    html = example._repr_html_()
    assert example.name in repr(example) and example.name in html
    assert len(html) < 2000 and html.count("<div>") == html.count("</div>")


def test_names_and_columns_from_outside_are_text() -> None:
    table = pd.DataFrame({WICKED: ["a", "b"]})
    cloud = wb.PointCloud(np.eye(2), name=WICKED, table=table)
    assert WICKED in repr(cloud) and WICKED not in cloud._repr_html_() and "&lt;img" in cloud._repr_html_()


def test_an_answer_and_its_evidence_are_told_in_a_line() -> None:
    answer = wb.spectral_clustering(wb.planted_clusters(n=60), n_null=199)
    first = answer.evidence[0]
    assert first.sentence().rstrip(".") in repr(answer) and "more in .sentences()" in repr(answer)
    assert repr(first) == f"<Evidence {first.name}: {first.sentence()}>"
    assert len(repr(first)) < 600, "its 199 draws stay out of it"
    assert first.question in first._repr_html_()
    untested = next(e for e in answer.evidence if e.untested)
    assert "Not tested" in untested._repr_html_()


@pytest.mark.parametrize("m", methods(), ids=lambda m: m.name)
def test_help_reads_as_numpydoc(m: Method) -> None:
    doc = m.__doc__ or ""
    headings = [
        line for line, under in zip(doc.split("\n"), doc.split("\n")[1:], strict=False) if set(under) == {"-"}
    ]
    order = ["Parameters", "Returns", "Raises", "References"]
    assert [h for h in headings if h in order] == [h for h in order if h in headings]
    signature = inspect.signature(m)
    assert list(signature.parameters) == [*(i.name for i in m.inputs), *m.parameters]
    assert "Annotated" not in str(signature)
    assert all(len(line) <= 130 for line in doc.split("\n") if line.startswith("    "))


def test_what_is_called_by_its_signature_is_legal() -> None:
    pca = method("pca")
    bound = inspect.signature(pca).bind(wb.circle(), n_components=2)
    assert pca(*bound.args, **bound.kwargs).values.shape == (200, 2)
