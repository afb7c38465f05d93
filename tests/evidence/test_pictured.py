"""Findings in a notebook's cell: a picture without a script, in which nothing from data acts."""

from __future__ import annotations

import re

import numpy as np

import workbench as wb

HOSTILE = "<script>hacked()</script>"


def test_a_cell_has_a_strip_a_claim_that_was_tested_and_no_markup_from_data() -> None:
    cloud = wb.PointCloud(np.random.default_rng(0).standard_normal((60, 4)), name=HOSTILE)
    asked = wb.pca(cloud, n_null=19, n_boot=9)
    findings = wb.Findings()
    findings.judge(
        HOSTILE + " lies {}", asked, "variance_explained", less="lower", more="higher", meaning=HOSTILE
    )
    html = findings._repr_mimebundle_()["text/html"]
    assert html.count('class="strip"') == html.count('class="claim"') == 1
    assert "<script" not in html and "&lt;script&gt;" in html
    (pattern,) = re.findall(r'pattern id="(hatch-\w+)"', html)
    assert f"url(#{pattern})" in html  # no other cell's


def test_findings_without_a_claim_say_so() -> None:
    assert "Nothing was judged yet" in wb.Findings()._repr_mimebundle_()["text/html"]
