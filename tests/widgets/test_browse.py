"""The catalogue: search narrows it, choosing documents."""

from __future__ import annotations

import html

import pytest

import widgets
import workbench as wb
from workbench.core.registry import method, names


def test_it_holds_every_method_and_documents_the_chosen_one() -> None:
    catalogue = widgets.browse()
    assert sorted(catalogue.names) == names()
    catalogue.found.value = "pca"
    assert catalogue.method is method("pca")
    for part in ("n_components", "Horn 1965"):
        assert part in catalogue.documentation.value


def test_search_narrows_by_name_family_and_text() -> None:
    catalogue = widgets.browse(search="directions of largest VARIANCE")
    assert "pca" in catalogue.names
    assert "circle" not in catalogue.names
    for name in catalogue.names:
        assert "variance" in (method(name).__doc__ or "").lower()
    catalogue.search.value = "embedding neighbours"
    assert "umap" in catalogue.names
    assert "circle" not in catalogue.names
    assert catalogue.method is None, "nothing was clicked"
    catalogue.search.value = "xyzzy"
    assert catalogue.names == []
    assert "0 of" in catalogue._count.value


def test_a_family_narrows_and_each_line_says_what_the_method_does() -> None:
    catalogue = widgets.browse()
    catalogue.family.value = "embedding"
    assert {method(n).family for n in catalogue.names} == {"embedding"}
    assert all(method(n).summary in line for line, n in catalogue.found.options)


def test_a_click_opens_the_panel_and_coming_back_finds_it_as_it_was() -> None:
    catalogue = widgets.browse(wb.circle(n=30))
    assert catalogue.panel is None
    catalogue.found.value = "pca"
    panel = catalogue.panel
    assert panel is not None and catalogue.opened.children == (panel,)
    panel.controls["n_null"].value = panel.controls["n_boot"].value = 9
    panel.run()
    assert panel.wait(60)
    catalogue.found.value = "umap"
    assert catalogue.panel is not None and catalogue.panel.method.name == "umap"
    catalogue.found.value = "pca"
    assert catalogue.panel is panel and len(panel.results) == 1


def test_a_subject_is_offered_what_it_can_be_asked_and_nothing_else() -> None:
    of_points = widgets.browse(wb.circle(n=30))
    assert {"pca", "persistence", "linear_probe"} <= set(of_points.names)
    assert not {"pagerank", "renormalize", "prune", "circle"} & set(of_points.names)
    assert (
        f"{len(of_points.names)} of {len(of_points.names)} methods that circle can be asked"
        in of_points._count.value
    )
    of_weights = widgets.browse(wb.open("glassllm-en"))
    assert {"singular_values", "prune", "pca", "cka"} <= set(of_weights.names)  # its activations are captured
    assert not {"pagerank", "renormalize"} & set(of_weights.names)
    for catalogue, opened in (
        (of_points, of_points.names),
        (of_weights, ["singular_values", "prune", "pca"]),
    ):
        for name in opened:
            catalogue.found.value = name
            if all(i.optional for i in wb.method(name).inputs[1:]):
                assert catalogue.panel is not None and catalogue.panel.method.name == name
            else:  # it takes something else beside, and says what
                assert catalogue.panel is None and "widgets.panel(" in catalogue.opened.children[0].value
    with pytest.raises(wb.WorkbenchError, match="none of these"):
        widgets.browse(3)


def test_without_a_subject_a_method_says_what_it_is_and_how_it_gets_one() -> None:
    catalogue = widgets.browse()
    catalogue.found.value = "pca"
    assert "no variable here can be points: widgets.panel('pca', points)" in html.unescape(
        catalogue.opened.children[0].value
    )
    assert "Horn 1965" in catalogue.opened.children[0].value


def test_without_a_kernel_it_is_a_table() -> None:
    catalogue = widgets.browse(search="circle")
    said = catalogue._repr_mimebundle_()["text/html"]
    assert "<td>circle</td>" in said
    assert said.count("<tr>") == len(catalogue.names) + 1
