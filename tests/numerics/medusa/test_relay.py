"""The relay as what a series drives: a reservoir with everything off, at rest under a constant, and the same by its seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.medusa.aspects import SLOWER, filtered
from workbench.numerics.medusa.names import ASPECTS
from workbench.numerics.medusa.relay import (
    COUPLING,
    EXTREME,
    FORGETTING,
    HOLDING,
    SWITCHES,
    WIDTH,
    Relay,
    Settings,
    fit,
)
from workbench.numerics.medusa.reservoir import Reservoir, last_scores, scored
from workbench.numerics.medusa.waves import laplacian

OFF = Settings(waves=False, adapters=False, heads=False, noise=False)
ON = replace(OFF, **dict.fromkeys(SWITCHES, True))


def swinging(steps: int = 150) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.exp(np.sin(np.arange(steps) / 2) + 0.3 * rng.standard_normal(steps))[:, None]


def seen(steps: int = 150) -> np.ndarray:
    return last_scores(scored(swinging(steps), True), 2)


def dense(relay: Relay) -> np.ndarray:
    rates, full = relay.system.rates, np.zeros((relay.system.n, relay.system.n))
    np.add.at(full, (rates.to, rates.of), rates.weights)
    return full


def test_with_everything_off_it_is_a_reservoir_of_symmetric_weights() -> None:
    relay = Relay.made(seen(), OFF, 3)
    weights = dense(relay)
    assert np.array_equal(weights, weights.T)
    assert np.abs(np.linalg.eigvalsh(weights)).max() == pytest.approx(OFF.radius, abs=1e-12)
    peer = Reservoir(weights, relay.into, OFF, 3)
    np.testing.assert_allclose(relay.driven(seen()), peer.driven(seen()), rtol=0, atol=1e-12)


def test_known_answer_under_a_constant_the_world_comes_to_its_rest() -> None:
    """r = tanh(W r + C q + U m + what is seen), c² (L + μ) q = D r, p = 0; the heads of level are tanh R x, those of change are 0."""
    s = replace(ON, adapters=False, noise=False)
    relay = Relay.made(seen(), s, 1)
    row = seen()[5]
    system, n = relay.system, relay.system.n
    r, q, p, m = np.split(relay.driven(np.tile(row, (700, 1)))[-1], [n, 2 * n, 3 * n])
    u = system.written(torch.from_numpy(m)[:, None])[:, 0].numpy()
    np.testing.assert_allclose(r, np.tanh(dense(relay) @ r + COUPLING * q + u + relay.into @ row), atol=1e-6)
    edges = np.stack([system.wave.to, system.wave.of], axis=1)
    pull = laplacian(edges, system.wave.weights / 2, n).toarray() + HOLDING * np.eye(n)
    np.testing.assert_allclose(system.settings.speed**2 * pull @ q, COUPLING * r, atol=1e-6)
    np.testing.assert_allclose(p, 0, atol=1e-6)
    held = system.looks(torch.from_numpy(np.concatenate([r, q]))[:, None])[:, 0].tanh().numpy()
    level, change = (slice(WIDTH * i, WIDTH * (i + 1)) for i in map(ASPECTS.index, ("level", "change")))
    np.testing.assert_allclose(m[level], held[level], atol=1e-6)
    np.testing.assert_allclose(m[change], 0, atol=1e-6)
    assert np.abs(held[change]).max() > 0.01  # which it would hold if it saw the level


def test_known_answer_what_a_head_sees_of_each_aspect() -> None:
    before, after = (
        torch.tensor(x, dtype=torch.float64)[:, None] for x in ([0.0, 1.0, -3.0], [0.5, 1.0, -4.0])
    )
    beyond = torch.full((3, 1), 0.9, dtype=torch.float64)
    found = {a: filtered(a, after, before, 0.5, beyond)[:, 0].tolist() for a in ASPECTS}
    assert found["level"] == [0.5, 1.0, -4.0] and found["change"] == [1.0, 0.0, -2.0]
    assert found["extremes"] == pytest.approx([0, 0.1, -3.1]) and found["events"] == [0, 1, 1]


def test_heads_of_level_forget_more_slowly_and_extremes_are_as_rare_as_asked() -> None:
    relay = Relay.made(seen(), replace(ON, noise=False), 1)
    leaks = relay.system._leaks[:, 0].tolist()
    assert leaks == [FORGETTING / SLOWER] * WIDTH + [FORGETTING] * WIDTH * 3
    n = relay.system.n
    x = np.abs(relay.driven(seen())[:, : 2 * n])
    assert np.mean(x > relay.system.beyond[:, 0].numpy()) == pytest.approx(1 - EXTREME, abs=0.03)


@pytest.mark.parametrize("switch", [None, *SWITCHES])
def test_it_forgets_its_start_stays_finite_and_each_switch_does_something(switch: str | None) -> None:
    s = ON if switch is None else replace(ON, **{switch: False})
    relay, rows = Relay.made(seen(), s, 1), seen()
    changed = rows.copy()
    changed[:3, 1:] += 3
    a, b = relay.driven(rows), relay.driven(changed)
    assert np.isfinite(a).all() and np.abs(a - b)[3].max() > 0.1
    rates = slice(0, relay.system.n)
    assert np.abs(a - b)[-1, rates].max() < 0.02
    if switch:
        assert not np.array_equal(a[-1, rates], Relay.made(rows, ON, 1).driven(rows)[-1, rates])
    widths = {"waves": 2 * relay.system.n, "heads": 4 * WIDTH}
    assert a.shape[1] == relay.system.n + sum(w for name, w in widths.items() if getattr(s, name))


def test_one_seed_one_world_and_other_seeds_others_and_values_are_kept() -> None:
    x = swinging()
    model = fit(x, seed=2)
    runs = [model.run(150, seed=1), fit(x, seed=2).run(150, seed=1), model.run(150, seed=2)]
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])
    assert not np.array_equal(runs[0], model.run(150, seed=1, world=1))
    assert ks_2samp(runs[0][:, 0], x[:, 0], method="asymp").statistic <= 0.02
    one = fit(x, replace(OFF, noise=True), seed=2).features, fit(x, OFF, seed=2).features
    assert not np.array_equal(*one)


def test_kinds_of_numbers_are_of_one_size_in_what_the_readout_sees() -> None:
    model = fit(swinging(), ON)
    n = model.body.system.n
    sizes = [
        np.sqrt(np.square(part).mean()) for part in np.split(model.features[:, 3:], [n, 2 * n, 3 * n], axis=1)
    ]
    assert sizes[1:3] == pytest.approx([sizes[0]] * 2)


def test_refuses_what_can_not_be_learnt() -> None:
    with pytest.raises(DataError, match="mine has 49 steps"):
        fit(swinging(49), name="mine")
    with pytest.raises(ParameterError, match=r"radius=1\.0 is not legal"):
        Settings(radius=1.0)
