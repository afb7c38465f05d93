"""The documentation as pages: one a method, every link leads somewhere, and nothing is loaded from elsewhere."""

from __future__ import annotations

import html
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from workbench.core.registry import methods

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts" / "make_docs.py")
    assert spec and spec.loader
    make_docs: Any = importlib.util.module_from_spec(spec)
    sys.modules["make_docs"] = make_docs  # where its dataclass looks itself up
    spec.loader.exec_module(make_docs)
    return make_docs.main(tmp_path_factory.mktemp("docs") / "site").parent


def test_every_method_has_a_page_and_stands_in_the_list(site: Path) -> None:
    listed = (site / "methods.html").read_text()
    for m in methods():
        page = html.unescape((site / "methods" / f"{m.name}.html").read_text())
        assert f"methods/{m.name}.html" in listed and html.escape(m.summary, quote=True) in listed
        assert all(f"{p.name} : {p.legal}" in page for p in m.parameters.values())


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert "<script" not in text and not re.search(r'(src|href)="(https?:)?//', text)
        for target, anchor in re.findall(r'(?:href|src)="([^"#]*)(#[^"]*)?"', text):
            there = page if not target else page.parent / target
            assert there.is_file(), f"{page.name} leads to {target}"
            assert not anchor or f'id="{anchor[1:]}"' in there.read_text(), f"{page.name}: {target}{anchor}"


def test_the_readme_says_who_it_is_for_and_how_own_data_are_reported(site: Path) -> None:
    first = (site / "index.html").read_text()
    assert "finding.png" in first and "workbench report embeddings.csv" in html.unescape(first)
    assert len((ROOT / "README.md").read_text().splitlines()) < 90
