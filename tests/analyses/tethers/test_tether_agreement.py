"""Sources that are the same agree wholly, noise doesn't agree, and the numbers are scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_calibrated
from planted_for_tests import where_magnitude_fails, where_magnitude_is_right
from scipy.stats import spearmanr

import workbench as wb
from workbench.calibrating import running
from workbench.calibrating.world import worlds_for
from workbench.core.errors import DataError, MissingError, ParameterError
from workbench.core.registry import method
from workbench.numerics.tethers import tether
from workbench.subjects.descents.places import at_step
from workbench.subjects.descents.trajectory import Descent


def test_known_answer_what_began_at_zero_has_moved_by_its_magnitude() -> None:
    for measure in ("spearman", "overlap"):
        result = wb.tether_agreement(
            where_magnitude_is_right(), sources=("movement", "magnitude"), measure=measure
        )
        np.testing.assert_allclose(result.values, 1, rtol=1e-9)
        assert result.evidence[0].p_value == pytest.approx(0.01)
        assert np.isnan(result.low).all()  # neither looks at samples


def test_known_answer_sources_that_see_the_planted_edges_agree_and_magnitude_does_not() -> None:
    descent, _ = where_magnitude_fails()
    result = wb.tether_agreement(
        descent, sources=("fisher_weight", "dropout", "magnitude"), measure="overlap", fraction=4 / 96
    )
    assert result.values[0, 1] == pytest.approx(1)
    assert result.values[0, 2] == pytest.approx(0)


def test_peer_scipy_has_the_same_rank_correlations() -> None:
    descent = wb.digits_descent(width=6, depth=1, steps=30)
    names = ("fisher", "magnitude", "dropout")
    place = at_step(descent.view(Descent))
    found = {s: tether(place, s) for s in names}
    sizes = {n: w.size for n, w in place.weights.items()}
    layered = wb.tether_agreement(descent, sources=names, n_null=3, n_boot=3).values
    whole = wb.tether_agreement(descent, sources=names, scope="network", n_null=3, n_boot=3).values
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            by_layer = {n: spearmanr(found[a][n].ravel(), found[b][n].ravel())[0] for n in sizes}
            expected = sum(sizes[n] * r for n, r in by_layer.items()) / sum(sizes.values())
            assert layered[i, j] == pytest.approx(expected, abs=1e-6)
            flat = [np.concatenate([found[s][n].ravel() for n in sizes]) for s in (a, b)]
            assert whole[i, j] == pytest.approx(spearmanr(*flat)[0], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("measure", ["spearman", "overlap"])
def test_noise_agrees_with_nothing_at_the_level(measure: str) -> None:
    descent, _ = where_magnitude_fails(n=16)

    def p_value(seed: int) -> float:
        result = wb.tether_agreement(
            descent,
            sources=("random", "magnitude"),
            measure=measure,
            fraction=0.3,
            n_null=19,
            n_boot=0,
            random_state=seed,
        )
        return result.evidence[0].p_value

    if measure == "spearman":
        assert_calibrated(p_value)
    else:  # overlaps are whole numbers: ties make the test miss its level from below
        assert sum(p_value(s) <= 0.05 for s in range(200)) <= 20


@pytest.mark.slow
def test_neurons_that_are_strong_in_one_source_alone_make_no_agreement() -> None:
    """With tethers dealt to single edges 2 of 10 such pairs agreed beyond chance: a strong neuron has many edges."""
    asked = method("tether_agreement")
    (world,) = worlds_for(asked, ("unlike sources, uneven neurons",))
    assert_calibrated(
        lambda seed: running.run_once(asked, world, seed)["answers"]["agreement"]["p"], runs=100
    )


def test_intervals_over_samples_shrink_with_samples() -> None:
    widths = []
    for n in (40, 640):
        descent = where_magnitude_is_right(n=n)
        result = wb.tether_agreement(descent, sources=("fisher_weight", "magnitude"), n_boot=60, n_null=0)
        widths.append(float(result.high[0, 1] - result.low[0, 1]))
    assert widths[1] < 0.6 * widths[0]


def test_refuses_by_name() -> None:
    descent, _ = where_magnitude_fails()
    with pytest.raises(ParameterError, match="two or more"):
        wb.tether_agreement(descent, sources=("fisher",))
    with pytest.raises(MissingError, match="optimizer state"):
        wb.tether_agreement(descent, sources=("adam", "fisher"))
    descent, _ = where_magnitude_fails(n=3)
    with pytest.raises(DataError, match="3 samples"):
        wb.tether_agreement(descent)
