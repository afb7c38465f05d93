"""Compatibility: what leaves it at 1, what it is of another library, and that unrelated networks exceed the threshold at its rate."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import binom

import workbench as wb
from tests.helpers import assert_calibrated
from workbench.core.evidence import monte_carlo_p
from workbench.numerics.compatibility import (
    Measure,
    Pair,
    compatibilities,
    in_another_order,
    same_layers,
    successive_layers,
    threshold,
)
from workbench.numerics.neuron_chain import chain_of
from workbench.numerics.resampling import random_frame

MEASURES: tuple[Measure, ...] = ("cka", "procrustes", "cosine")
RNG = np.random.default_rng(0)
X = RNG.random((30, 8)) ** 3
Y = RNG.random((30, 8)) ** 3


@pytest.mark.parametrize("measure", MEASURES)
def test_known_answer_the_same_up_to_the_order_of_columns_is_1(measure: Measure) -> None:
    assert Pair(X, 3 * X[:, RNG.permutation(8)]).value(measure) == pytest.approx(1)
    assert 0 <= Pair(X, Y).value(measure) < 0.95


@pytest.mark.parametrize("measure", ["cka", "procrustes"])
def test_known_answer_turned_columns_leave_them_alike(measure: Measure) -> None:
    turned = X @ random_frame(8, 8, RNG) + RNG.random(8)
    assert Pair(X, turned).value(measure) == pytest.approx(1)
    assert Pair(X, turned).value("cosine") < 0.9


def test_cosine_takes_columns_as_they_are_where_asked() -> None:
    other = X[:, ::-1]
    assert Pair(X, other, "keep").value("cosine") == pytest.approx(np.vdot(X, other) / np.vdot(X, X))
    assert Pair(X, X @ random_frame(8, 8, RNG), "norms").value("cosine") == pytest.approx(1)


def test_peers_agree() -> None:
    from scipy.linalg import orthogonal_procrustes

    from workbench.numerics.similarity import alignment, centred, gram

    peer = alignment([centred(gram(v, "linear"), debiased=False) for v in (X, Y)])[0, 1]
    assert Pair(X, Y).value("cka") == pytest.approx(peer)
    a, b = X - X.mean(0), Y - Y.mean(0)
    scale = orthogonal_procrustes(a, b)[1]
    assert Pair(X, Y).value("procrustes") == pytest.approx(scale / np.linalg.norm(a) / np.linalg.norm(b))


def test_many_at_once_are_each_alone_and_constants_are_0() -> None:
    ys = RNG.random((5, 30, 8))
    for measure in MEASURES:
        each = [float(compatibilities(X, y[None], measure)[0]) for y in ys]
        assert compatibilities(X, ys, measure) == pytest.approx(each)
        assert Pair(X, np.zeros_like(X)).value(measure) == 0


def test_threshold_is_the_draw_that_the_rate_asks_for() -> None:
    draws = np.arange(1, 100) / 100
    assert threshold(draws, 0.05) == 0.95  # 5 of 100, counting the value itself
    assert threshold(draws, 0.01) == 0.99
    assert threshold(draws[:10], 0.05) == np.inf
    for value in (0.955, 0.945):
        assert (value > threshold(draws, 0.05)) == (monte_carlo_p(value, tuple(draws), "greater") <= 0.05)


@cache
def unrelated():
    """Networks trained on the digits, each with pixels and classes in an order of its own."""
    made = wb.digits_siblings(models=6, width=16, depth=2, steps=80, images="scrambled")
    return chain_of(made[0].model), [dict(t.state(80)) for t in made]


@pytest.mark.slow
@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("measure", MEASURES)
def test_unrelated_networks_are_found_alike_at_the_rate(measure: Measure, layer: int) -> None:
    """At 5 %, measured: trained networks that have nothing in common, their pixels in new orders each time."""
    chain, states = unrelated()

    def p_value(seed: int) -> float:
        rng = np.random.default_rng([seed, layer])
        i, j = rng.choice(len(states), 2, replace=False)
        a, b = states[i], in_another_order(chain, states[j], {}, rng)[0]
        x, y = ({n.weight: np.abs(w[n.weight]) for n in chain} for w in (a, b))
        value = same_layers(chain, a, b, x, y)[layer].value(measure)
        mixed = [in_another_order(chain, b, y, rng) for _ in range(19)]
        null = [same_layers(chain, a, w, x, z)[layer].value(measure) for w, z in mixed]
        return monte_carlo_p(value, tuple(null), "greater")

    assert_calibrated(p_value, runs=200)


def test_related_networks_are_found() -> None:
    """It did tell: the same images from other beginnings."""
    made = wb.digits_siblings(models=2, width=16, depth=2, steps=80)
    a, b = (np.abs(t.weights(80)["0.weight"]).T for t in made)
    for measure in MEASURES:
        pair = Pair(a, b)
        assert pair.value(measure) > threshold(pair.by_chance(measure, 199, RNG), 0.01)
    assert binom.ppf(0.9995, 200, 0.05) < 25  # what the test above would let pass


@pytest.mark.slow
@pytest.mark.parametrize("measure", MEASURES)
def test_layers_of_an_untrained_network_are_found_alike_at_the_rate(measure: Measure) -> None:
    import torch

    from workbench.models.digits_descent import perceptron

    def p_value(seed: int) -> float:
        torch.manual_seed(seed)
        network = perceptron(20, [12], 8)
        x = {n: np.abs(p.detach().numpy()) for n, p in network.named_parameters()}
        pair = successive_layers(chain_of(network), x)[0]
        draws = pair.by_chance(measure, 19, np.random.default_rng(seed))
        return monte_carlo_p(pair.value(measure), tuple(draws), "greater")

    assert_calibrated(p_value, runs=200)
