"""A world as a series: the same call gives the same bytes, what drives it shows, and one that diverges says when."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from workbench.core.errors import ParameterError


def test_the_same_call_gives_the_same_bytes() -> None:
    asked = {"steps": 100, "heads": 2, "adapting": 0.5}
    one = wb.medusa(**asked)
    assert one.values.tobytes() == wb.medusa(**asked).values.tobytes()
    assert one.digest != wb.medusa(**asked, random_state=1).digest
    assert one.values.shape == (101, 3) and one.truth["outcome"] == "finished" and one.truth["step"] == 100
    longer = wb.medusa(**{**asked, "steps": 150})
    assert np.array_equal(longer.values[:101], one.values)


@pytest.mark.parametrize("h", [0.5, 0.2])
def test_known_answer_of_rates_that_are_not_coupled(h: float) -> None:
    """Without weights the rates are Ornstein-Uhlenbeck processes: what is seen correlates by 1 - h from step to step."""
    asked = {"gain": 0.0, "speed": 0.0, "damping": 20.0, "h": h, "channels": 32, "steps": round(200 / h)}
    values = wb.medusa(**asked, strength=0.1, random_state=3).values
    found = np.mean([np.corrcoef(c[1:], c[:-1])[0, 1] for c in values[20:].T])
    assert found == pytest.approx(1 - h, abs=0.06)
    assert (wb.medusa(**asked, strength=0.0).values == 0).all()


def test_a_fractional_noise_remembers() -> None:
    """Lag-one correlation of the steps rises with Hurst's exponent."""
    found = []
    for hurst in (0.2, 0.5, 0.8):
        series = wb.medusa(
            noise="fractional", hurst=hurst, gain=0, speed=0, damping=20, steps=600, h=0.05, channels=8
        )
        d = np.diff(series.values, axis=0)
        found.append(np.mean([np.corrcoef(c[1:], c[:-1])[0, 1] for c in d.T]))
    assert found[0] < -0.2 and abs(found[1]) < 0.1 and found[2] > 0.2
    assert found[0] < found[1] < found[2]


def test_noise_of_what_is_seen_is_not_felt() -> None:
    clean, seen = (wb.medusa(steps=400, seen_noise=s).values for s in (0.0, 0.5))
    assert np.std(seen - clean) == pytest.approx(0.5, rel=0.1)
    d = seen - clean
    assert abs(np.corrcoef(d[1:, 0], d[:-1, 0])[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"h": 0.9}, "the wave is stable with a step above 0 and below"),
        ({"steps": 49}, "steps=49"),
        ({"steps": 20_000, "generations": 5}, "13,680,000 node-steps"),
        ({"strength": -1.0}, "strength=-1.0"),
        ({"hurst": 1.0}, "hurst=1.0"),
        ({"noise": "coloured", "scheme": "srk", "steps": 60}, "integrals"),
    ],
)
def test_what_can_not_be_is_refused(asked: dict, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        wb.medusa(**asked)
