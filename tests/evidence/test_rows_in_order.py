"""Rows of texts that nobody named: an answer says what its test takes them for."""

from __future__ import annotations

import numpy as np
import pandas as pd

import workbench as wb

SAID = "Rows resemble those next to them"
FEW = {"n_null": 9, "n_boot": 0}


def rows(seed: int, shared: float = 1.0) -> tuple[np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    text = np.repeat(np.arange(30), 8)
    x = rng.standard_normal((240, 6)) + shared * rng.standard_normal((30, 6))[text]
    return x, pd.DataFrame({"text_id": text})


def test_unnamed_texts_are_told_and_named_ones_are_not() -> None:
    x, table = rows(0)
    assert SAID in wb.pca(wb.PointCloud(x), **FEW).caveat
    assert SAID not in wb.pca(wb.PointCloud(x, table=table), **FEW).caveat
    assert SAID not in wb.pca(wb.PointCloud(x), n_null=0, n_boot=0).caveat
    assert SAID not in wb.pca(wb.PointCloud(np.random.default_rng(1).permutation(x)), **FEW).caveat


def test_layers_say_it_once() -> None:
    x, table = rows(1)
    y = x @ np.random.default_rng(2).standard_normal((6, 6))
    unnamed = wb.Activations({"a": x, "b": y}, table.drop(columns="text_id"), name="rows")
    assert wb.cka(unnamed, n_null=9).caveat.count(SAID) == 1
    assert SAID not in wb.cka(wb.Activations({"a": x, "b": y}, table, name="rows"), n_null=9).caveat


def test_of_rows_in_no_order_it_is_said_seldom() -> None:
    from workbench.subjects.in_order import said_of_order

    told = 0
    for seed in range(400):
        x, _ = rows(seed, 0.0)
        told += bool(said_of_order(wb.PointCloud(x[:60]).as_points(), x[:60], {"n_null": 9}))
    assert told <= 8  # 0.5 % of 400 is 2
