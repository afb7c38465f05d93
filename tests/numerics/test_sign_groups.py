"""Signs turned by a group: it is one, its draws are whole products with these signs, and a broken twin isn't exchangeable."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.numerics import sign_groups
from workbench.numerics.head_circuits import overlaps
from workbench.numerics.sign_groups import LEAST, in_parts, sign_group, turned_overlaps


@pytest.mark.parametrize("n", [1, 19, 127, 128])
def test_elements_are_different_and_products_of_two_are_elements_of_the_group(n: int) -> None:
    group = sign_group(n, np.random.default_rng(n))
    whole = {row.tobytes() for row in sign_group(group.size - 1, np.random.default_rng(0)).signs}
    assert group.size >= max(LEAST, n + 1) and len(whole) == group.size
    assert (group.signs[0] == 1).all() and len({row.tobytes() for row in group.signs}) == n + 1
    assert all((row * group.signs[-1]).tobytes() in whole for row in group.signs)
    assert (group.signs[-1] * np.where(np.arange(group.size) == 1, -1, 1)).astype("f4").tobytes() not in whole


@pytest.mark.parametrize("width", [24, 128, 300])
@pytest.mark.parametrize("held", [1 << 22, 1 << 12, 1])
def test_oracle_whole_products_with_turned_signs_are_the_same(
    width: int, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_groups, "_NUMBERS", held)
    rng = np.random.default_rng(0)
    reads, writes = (rng.standard_normal((n, width, r)).astype(np.float32) for n, r in ((3, 5), (4, 2)))
    group = sign_group(9, rng)
    where = group.dealt(width, rng)
    counts = np.bincount(where, minlength=group.size)
    assert counts.max() - counts.min() <= 1
    found = turned_overlaps(*(in_parts(x, where, group.size) for x in (reads, writes)), group.signs)
    for signs, made in zip(group.signs[:, where], found, strict=True):
        assert made == pytest.approx(overlaps(reads * signs[:, None], writes), rel=1e-4)
    assert np.ptp(found, axis=0).min() > 0, "each element says something else"
