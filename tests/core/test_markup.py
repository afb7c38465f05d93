"""The HTML of names and texts."""

from __future__ import annotations

import pytest

from workbench.core.markup import breakable


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("encoder.layer.3.dense_out", "encoder.<wbr>layer.3.<wbr>dense_<wbr>out"),
        ("a/b.csv", "a/<wbr>b.<wbr>csv"),
        ("0.95 of 1,500 tokens. Others", "0.95 of 1,500 tokens. Others"),  # numbers and sentences stay whole
        ("<b>a.b</b>", "&lt;b&gt;a.<wbr>b&lt;/b&gt;"),  # a slash after no letter is no path
    ],
)
def test_names_may_be_broken_between_their_parts_and_nothing_in_them_acts(said: str, written: str) -> None:
    assert breakable(said) == written
