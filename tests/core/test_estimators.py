"""Estimators made of methods: scikit-learn's own checks of them."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import workbench as wb

MADE = [m.make_estimator(n_null=0, n_boot=0) for m in (wb.persistence, wb.landscape)]


@parametrize_with_checks(MADE)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_peer_scikit_learn_checks_it(estimator: Any, check: Any) -> None:
    check(estimator)


def test_a_parameter_that_there_is_not_is_named() -> None:
    made = type(wb.persistence.make_estimator())
    with pytest.raises(TypeError, match=r"'n_nulls'.*n_null"):
        made(n_nulls=3)
