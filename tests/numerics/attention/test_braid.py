"""The recurrence of exchanged strands: orthogonal, the loop that it says, and relations that a true group keeps."""

from __future__ import annotations

import cmath

import pytest
import torch

from workbench.numerics.attention.braid import Braid, broken_relations, burau, polar
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.mechanism import normalized


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_polar_factor_is_that_of_the_singular_values() -> None:
    m = torch.eye(6, dtype=torch.float64) + 0.3 * draws(40, 6, 6)
    u, s, v = torch.linalg.svd(m)
    clear = s[:, -1] > 0.06 * s.norm(dim=-1)
    assert clear.sum() > 20
    torch.testing.assert_close(polar(m)[clear], (u @ v)[clear], rtol=0, atol=1e-5)
    assert torch.linalg.svdvals(polar(draws(200, 6, 6))).max() <= 1 + 1e-9


@torch.no_grad()
def test_it_is_the_recurrence() -> None:
    torch.manual_seed(0)
    mixer, x = Braid(16, 2, strands=4).double(), draws(1, 7, 16)
    turns = polar(mixer.p_proj(x)[0].reshape(7, 2, 4, 4) + mixer.start)
    added, h, found = mixer.b_proj(x)[0].reshape(7, 2, 4, 2), torch.zeros(2, 4, 2, dtype=x.dtype), []
    for t in range(7):
        h = turns[t] @ h + added[t]
        found.append(normalized(h.reshape(2, 8)).flatten())
    torch.testing.assert_close(mixer(x)[0], mixer.o_proj(torch.stack(found)), rtol=1e-10, atol=1e-12)


def exchanges(n: int) -> torch.Tensor:
    found = torch.eye(n, dtype=torch.float64).repeat(n - 1, 1, 1)
    for i in range(n - 1):
        found[i, [i, i + 1]] = found[i, [i + 1, i]]
    return found


def test_exchanges_keep_the_relations_and_others_do_not() -> None:
    states, true = draws(20, 5), exchanges(5)
    assert broken_relations(lambda i, x: x @ true[i].T, states, 4) < 1e-24
    assert broken_relations(lambda i, x: x @ true[i].T, states, 4, order=3) > 0.1  # a control: a wrong order
    turns = polar(draws(4, 5, 5))
    assert broken_relations(lambda i, x: x @ turns[i].T, states, 4) > 0.1


@pytest.mark.parametrize("t", [1.0, 0.3, cmath.exp(0.7j)])
def test_burau_keeps_yang_and_baxters_equation_and_stays_finite(t: complex) -> None:
    s = burau(5, t)
    for i in range(3):
        left, right = s[i] @ s[i + 1] @ s[i], s[i + 1] @ s[i] @ s[i + 1]
        assert (left - right).abs().max() <= 1e-12
    assert (s[0] @ s[2] - s[2] @ s[0]).abs().max() <= 1e-12
    word = torch.eye(5, dtype=s.dtype)
    for letter in torch.randint(4, (256,), generator=torch.Generator().manual_seed(0)):
        word = s[letter] @ word
    assert torch.isfinite(word.abs()).all() and word.abs().max() < 1e6
    torch.testing.assert_close(word.sum(-1), torch.ones(5, dtype=s.dtype))


@pytest.mark.parametrize("t", [0.0, -0.5, 2.0, 0.5j])
def test_other_numbers_are_refused(t: complex) -> None:
    with pytest.raises(ValueError, match=r"t: it must be in \(0, 1\] or of absolute value 1"):
        burau(4, t)


def test_strands_that_do_not_divide_are_refused() -> None:
    with pytest.raises(
        ValueError, match="strands: it must divide the heads' size, 32, so be one of 2, 4, 8, 16, 32, not 5"
    ):
        GeometryConfig(mechanism="braid", options={"strands": 5})
