"""Rows of which it isn't known what they belong to: numbers without tests and intervals, and what to do."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.core.errors import DataError

FEW = {"n_null": 39}


def in_texts(share: float) -> tuple[wb.PointCloud, wb.Activations]:
    """Two draws of 24 texts' rows that have nothing in common but the texts, of which a share of the rows isn't known."""
    rng = np.random.default_rng(1)
    text = np.repeat(np.arange(24), 10).astype(float)
    first, second = (rng.standard_normal((24, 6))[np.repeat(np.arange(24), 10)] for _ in range(2))
    table = pd.DataFrame({"the text": np.where(rng.random(240) < share, np.nan, text)})
    table["label"] = np.where(text % 2 == 0, "a", "b")
    first, second = (x + rng.standard_normal((240, 6)) for x in (first, second))
    cloud = wb.PointCloud(first, table=table).group_by("the text")
    return cloud, wb.Activations({"a": first, "b": second}, table).group_by("the text")


def test_where_some_texts_are_unknown_nothing_is_tested_and_no_interval_given() -> None:
    cloud, layers = in_texts(0.3)
    for result in (wb.pca(cloud, **FEW), wb.cka(layers, **FEW), wb.spectral_clustering(cloud, **FEW)):
        asked = result.evidence[0]
        assert np.isfinite(asked.value)
        assert asked.p_value is None and asked.interval is None
        assert re.match(r"\d+ of 240 rows have no the text, so that it isn't known which", asked.untested)


def test_a_probe_refuses_them_since_it_would_see_the_texts_that_it_is_asked_about() -> None:
    cloud, _ = in_texts(0.3)
    with pytest.raises(DataError, match=r"select\('`the text` != None'\)"):
        wb.linear_probe(cloud, label="label", **FEW)
    with pytest.raises(DataError, match="rows have no the text"):
        wb.linear_probe(cloud.group_by(None), label="label", group="the text", **FEW)


def test_what_the_refusal_says_helps() -> None:
    cloud, _ = in_texts(0.3)
    known = cloud.select("`the text` != None")
    (asked,) = wb.linear_probe(known, label="label", **FEW).evidence
    assert asked.p_value is not None and asked.groups == "24 groups (the text)"
