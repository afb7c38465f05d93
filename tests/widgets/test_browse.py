"""The catalogue: search narrows it, choosing documents."""

from __future__ import annotations

import widgets
from workbench.core.registry import method, names


def test_it_holds_every_method_and_documents_the_chosen_one() -> None:
    catalogue = widgets.browse()
    assert sorted(catalogue.names) == names()
    catalogue.found.value = "pca"
    assert catalogue.method is method("pca")
    for part in ("n_components", "Horn 1965"):
        assert part in catalogue.documentation.value


def test_search_narrows_by_name_family_and_text() -> None:
    catalogue = widgets.browse("directions of largest VARIANCE")
    assert "pca" in catalogue.names
    assert "circle" not in catalogue.names
    for name in catalogue.names:
        assert "variance" in (method(name).__doc__ or "").lower()
    catalogue.search.value = "embedding neighbours"
    assert "umap" in catalogue.names
    assert "circle" not in catalogue.names
    assert catalogue.method is not None
    assert catalogue.method.name in catalogue.names
    catalogue.search.value = "no such thing anywhere"
    assert catalogue.names == []
    assert catalogue.method is None
    assert catalogue.documentation.value == ""


def test_without_a_kernel_it_is_a_table() -> None:
    catalogue = widgets.browse("circle")
    said = catalogue._repr_mimebundle_()["text/html"]
    assert "<td>circle</td>" in said
    assert said.count("<tr>") == len(catalogue.names) + 1
