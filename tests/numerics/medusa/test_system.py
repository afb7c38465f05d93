"""The system: heads look and are not looked at, a world is the same alone and in a batch, and one that diverges says when."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.medusa import compiled, hopfield
from workbench.numerics.medusa.aspects import leak
from workbench.numerics.medusa.counters import normals, philox
from workbench.numerics.medusa.many import live
from workbench.numerics.medusa.names import ASPECTS
from workbench.numerics.medusa.noise import Coloured, Fractional
from workbench.numerics.medusa.system import Settings, State, System
from workbench.numerics.medusa.waves import laplacian, leapfrog

N = 24
WITH_ALL = Settings(heads=4, width=3, adapting=0.8, wave_noise=0.05)
OF_ASPECTS = replace(WITH_ALL, aspects=ASPECTS)


def system(settings: Settings = WITH_ALL, size: float = 1.0) -> System:
    rng = np.random.default_rng(0)
    edges = np.array([(i, j) for i in range(N) for j in range(i + 1, N) if rng.random() < 0.2])
    weights = size * rng.standard_normal(len(edges))
    return System(edges, weights, rng.uniform(0.5, 1, len(edges)), N, settings, seed=1)


def begun(made: System, worlds: int) -> State:
    rng = np.random.default_rng(5)
    rest = made.rest(worlds)
    draw = lambda x: torch.from_numpy(rng.uniform(-0.5, 0.5, x.shape))  # noqa: E731
    return State(*map(draw, (rest.r, rest.q, rest.p, rest.m)))


@pytest.mark.parametrize("settings", [WITH_ALL, OF_ASPECTS])
def test_no_gradient_from_a_head_to_the_world_or_to_another_head(settings: Settings) -> None:
    made = system(settings)
    start = begun(made, 2)
    noise = torch.full((N, 2), 0.1, dtype=torch.float64)
    u = made.written(start.m).detach()

    def world_and_heads(m: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        after = made.advance(start.r, start.q, start.p, u, noise, noise)
        return torch.cat(after) + 0 * m.sum(), made.look(m, after[0], after[1], start)

    world, heads = torch.autograd.functional.jacobian(world_and_heads, start.m)
    assert (world == 0).all()
    width = made.settings.width
    own = torch.block_diag(*[torch.ones(width, width, dtype=torch.float64)] * made.settings.heads)
    across = heads[:, 0, :, 0]
    assert (across[own == 0] == 0).all()
    leaks = [leak(a, 0.1) for a in settings.aspects or (None,) * 4 for _ in range(width)]
    assert torch.diag(across).tolist() == [1 - one for one in leaks]
    written = torch.autograd.functional.jacobian(made.written, start.m)
    assert (written != 0).any()  # it is by u that they act


@pytest.mark.parametrize("settings", [WITH_ALL, OF_ASPECTS])
def test_with_u_replayed_any_heads_leave_the_world_as_it_was_to_the_last_bit(settings: Settings) -> None:
    made = system(settings)
    start = begun(made, 3)
    lived = made.run(start, 150)
    other = replace(start, m=10 * torch.ones_like(start.m))
    again = made.run(other, 150, replayed=lived.u)
    assert torch.equal(again.r, lived.r) and torch.equal(again.q, lived.q)
    assert not torch.equal(again.last.m, lived.last.m)
    free = made.run(other, 150)
    assert not torch.equal(free.r, lived.r)  # heads that write otherwise do change it


@pytest.mark.parametrize("noise", [None, Coloured(2.0), Fractional(0.7, 130)])
def test_a_world_is_the_same_alone_and_in_a_batch(noise: Coloured | Fractional | None) -> None:
    made = system()
    start = begun(made, 5)
    batch = made.run(start, 130, noise=noise)
    one = State(*(x[:, 3:4].clone() for x in (start.r, start.q, start.p, start.m)))
    alone = made.run(one, 130, noise=noise, worlds=range(3, 4))
    for a, b in ((batch.r, alone.r), (batch.q, alone.q)):
        assert torch.equal(a[..., 3:4], b)


def test_without_what_couples_them_it_is_a_hopfield_network_and_a_wave() -> None:
    """Against the two by themselves."""
    rng = np.random.default_rng(0)
    made = system(Settings(rate_noise=0, from_wave=0, to_wave=0, damping=0.2))
    edges = np.array([(i, j) for i in range(N) for j in range(i + 1, N) if rng.random() < 0.2])
    w, conductances = rng.standard_normal(len(edges)), rng.uniform(0.5, 1, len(edges))
    weights = np.zeros((N, N))
    weights[edges[:, 0], edges[:, 1]] = weights[edges[:, 1], edges[:, 0]] = w
    start = begun(made, 2)
    found = made.run(start, 60)
    r, q, p = (x.numpy() for x in (start.r, start.q, start.p))
    for _ in range(60):
        r = hopfield.step(r.T, weights, 0.05).T
        q, p = leapfrog(q, p, 0.05, laplacian(edges, conductances, N), 1.0, damping=0.2)
    np.testing.assert_allclose(found.last.r, r, atol=1e-12)
    np.testing.assert_allclose(found.last.q, q, atol=1e-12)


def test_adapters_are_symmetric_and_bounded() -> None:
    made = system()
    a, b = torch.randn(2, 50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 20
    assert torch.equal(made.conducts(a, b), made.conducts(b, a))
    assert made.conducts(a, b).min() >= 0.5 and made.conducts(a, b).max() <= 2
    assert not torch.equal(
        made.run(begun(made, 1), 20).r, system(replace(WITH_ALL, adapting=0.0)).run(begun(made, 1), 20).r
    )


def test_a_world_that_diverges_ends_and_says_when() -> None:
    made = system(replace(WITH_ALL, rate_noise=1e9))
    run = made.run(made.rest(2), 100)
    assert run.outcome == "diverged" and 1 <= run.step < 100
    assert len(run.r) == run.step and torch.isfinite(run.r).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"h": 0.9}, "the wave is stable with a step above 0 and below"),
        ({"h": 0.0}, "h=0.0"),
        ({"rate_noise": -0.1}, "rate_noise=-0.1 .* at least 0"),
        ({"forgetting": 0.0}, "forgetting=0.0"),
        ({"aspects": ("level",)}, "aspects=.* of heads=4 .* one a head, of level, change, extremes, events"),
        ({"aspects": ("level", "change", "extremes", "smell")}, "smell"),
    ],
)
def test_what_can_not_be_is_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        system(replace(WITH_ALL, **wrong))
    with pytest.raises(DataError, match="as many weights"):
        System(np.array([[0, 1]]), np.ones(2), np.ones(1), 2, WITH_ALL)
    with pytest.raises(ParameterError, match="no"):
        made = system(replace(WITH_ALL, scheme="srk"))
        made.run(made.rest(1), 5, noise=Coloured(1.0))


@pytest.mark.parametrize(
    "changed", [{}, {"adapting": 0.8, "growing": True}, {"wave_noise": 0.1, "holding": 0.3, "adapting": 0.8}]
)
def test_the_compiled_step_is_the_plain_one(changed: dict) -> None:
    made = system(Settings(heads=3, **changed))
    start, rng = begun(made, 5), np.random.default_rng(2)
    u, dw, dv = (rng.standard_normal((N, 5)) for _ in range(3))
    expected = made.advance(start.r, start.q, start.p, *map(torch.from_numpy, (u, dw, dv)))
    found, inside = made.stepped(start, u, dw, dv if changed.get("wave_noise") else None)
    assert inside
    for a, b in zip(found, expected, strict=True):
        assert np.allclose(a, b.numpy(), rtol=0, atol=1e-13)
    apart = [
        made.stepped(State(*(x[:, [w]] for x in vars(start).values())), u[:, [w]], dw[:, [w]], dv[:, [w]])[0]
        for w in range(5)
    ]
    assert all(np.array_equal(apart[w][..., 0], found[..., w]) for w in range(5)) or not changed.get(
        "wave_noise"
    )
    assert not made.stepped(replace(start, r=start.r * np.inf), u, dw, dv)[1]


def test_compiled_functions_are_those_of_numpy() -> None:
    x = np.concatenate([np.linspace(-25, 25, 20_001), np.logspace(-20, 1, 1001), [0.0]])
    assert np.abs(np.array([compiled.tanh(v) for v in x]) - np.tanh(x)).max() < 3e-16
    small = x[np.abs(x) < 20]
    assert np.allclose([compiled.exp(v) for v in small], np.exp(small), rtol=5e-16, atol=0)


def test_normals_are_those_of_box_and_muller() -> None:
    """By numpy's own functions from the same words; to the last bit the same in any batch."""
    words = philox((np.zeros(1), np.arange(50)[:, None], np.arange(9)[None], np.full(1, 3)), (7, 1))
    for first, pair in ((0, words[:2]), (2, words[2:])):
        radius, angle = np.sqrt(-2 * np.log((pair[0] + 0.5) * 2.0**-32)), 2 * np.pi * 2.0**-32 * pair[1]
        drawn = normals(7 + 2**32, 3, range(50), 4, range(9))
        assert np.allclose(drawn[:, first], radius * np.cos(angle), rtol=0, atol=4e-15)
        assert np.allclose(drawn[:, first + 1], radius * np.sin(angle), rtol=0, atol=4e-15)
    assert np.array_equal(
        normals(7, 3, range(50), 5, [8])[..., 0], normals(7, 3, range(50), 5, range(9))[..., 8]
    )


def test_heads_of_aspects_are_the_same_alone_and_in_a_batch_and_by_either_path() -> None:
    made = system(OF_ASPECTS)
    start = begun(made, 3)
    batch = made.run(start, 40)
    alone = made.run(State(*(x[:, 2:3].clone() for x in vars(start).values())), 40, worlds=range(2, 3))
    assert torch.equal(batch.m[..., 2:3], alone.m)
    before = State(batch.r[4], batch.q[4], batch.p[4], batch.m[4])
    assert torch.equal(made.look(before.m, batch.r[5], batch.q[5], before), batch.m[5])
    with pytest.raises(ParameterError, match="aspects of heads"):
        live(made, range(2), 5)
