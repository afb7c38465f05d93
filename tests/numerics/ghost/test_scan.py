"""The scan in chunks equals the recurrence, whatever the length, the chunk and the decay."""

from __future__ import annotations

import pytest
import torch

from workbench.numerics.kernels.scan import scan
from workbench.numerics.kernels.scan_plain import scan_in_steps


def drawn(time: int, *, groups: int = 1, dtype: torch.dtype = torch.float32, decay: float = 0.1) -> tuple:
    gen = torch.Generator().manual_seed(time)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=gen, dtype=torch.float64).to(dtype)

    log_decay = -decay * normal(2, time, 3).abs()
    return (
        normal(2, time, 3, 5),
        log_decay,
        normal(2, time, 3).abs(),
        normal(2, time, groups, 4),
        normal(2, time, groups, 4),
    )


def exact(given: tuple, **how: torch.Tensor) -> torch.Tensor:
    return scan_in_steps(*(part.double() for part in given), **how)[0]


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("time", [1, 2, 63, 64, 65, 257])
def test_equals_the_recurrence(time: int, groups: int) -> None:
    given = drawn(time, groups=groups)
    expected = exact(given)
    error = (scan(*given)[0] - expected).abs().max() / expected.abs().max()
    assert error < 1e-6
    assert (scan(*given, chunk=16)[0] - expected).abs().max() / expected.abs().max() < 1e-6


@pytest.mark.parametrize("decay", [1e-9, 1.0, 50.0, 1e4])
def test_decays_near_one_and_near_nothing_lose_no_digits(decay: float) -> None:
    x, log_decay, *rest = drawn(200)
    log_decay = torch.where(torch.arange(200)[None, :, None] % 7 == 3, -decay, log_decay)
    expected = exact((x, log_decay, *rest))
    found = scan(x, log_decay, *rest)[0]
    assert torch.isfinite(found).all()
    assert (found - expected).abs().max() / expected.abs().max() < 1e-6


def test_what_is_forgotten_entirely_is_gone() -> None:
    x, log_decay, *rest = drawn(100)
    log_decay[:, 40] = -torch.inf
    other = x.clone()
    other[:, :40] += 3
    before, after = (scan(part, log_decay, *rest)[0] for part in (x, other))
    assert torch.equal(before[:, 40:], after[:, 40:])
    assert not torch.equal(before[:, :40], after[:, :40])


def test_later_inputs_change_nothing_before_them() -> None:
    x, *rest = drawn(150)
    other = x.clone()
    other[:, 90:] = 1e3
    assert torch.equal(scan(x, *rest)[0][:, :90], scan(other, *rest)[0][:, :90])


def test_a_state_goes_on_where_it_stopped() -> None:
    given = drawn(130, dtype=torch.float64)
    whole, last = scan(*given)
    first, state = scan(*(part[:, :47] for part in given))
    second, end = scan(*(part[:, 47:] for part in given), state=state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(end, last, rtol=1e-12, atol=1e-12)


def test_gradients_are_those_of_finite_differences() -> None:
    given = tuple(part[:1].requires_grad_() for part in drawn(9, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda *parts: scan(*parts, chunk=4), given)


def test_nothing_gives_nothing() -> None:
    y, state = scan(*drawn(0))
    assert y.shape == (2, 0, 3, 5)
    assert not state.any()
