"""Tropical attention: its definition, how far it can move, and a winner that stays where its certificate says so."""

from __future__ import annotations

import torch

from workbench.numerics.attention import tropical
from workbench.numerics.attention.tropical import JOINTLY, KEY, QUERY, VALUE, margins, mixed, winners

LATE = slice(1, None)  # the first position sees one key


def drawn(n: int = 12, e: int = 6, seed: int = 0) -> list[torch.Tensor]:
    own = torch.Generator().manual_seed(seed)
    return list(torch.randn(3, 4, n, e, generator=own, dtype=torch.float64))


def by_definition(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    y = torch.empty_like(q)
    for i in range(q.shape[-2]):
        apart = q[:, i : i + 1] - k[:, : i + 1]
        hilbert = apart.amax(-1) - apart.amin(-1)
        y[:, i] = (v[:, : i + 1] - hilbert[..., None]).amax(1)
    return y


def test_it_is_the_definition_in_pieces_too(monkeypatch) -> None:
    of = drawn()
    torch.testing.assert_close(mixed(*of), by_definition(*of), rtol=1e-14, atol=1e-14)
    monkeypatch.setattr(tropical, "MOST", 1000)
    torch.testing.assert_close(mixed(*of), by_definition(*of), rtol=1e-14, atol=1e-14)


def test_a_common_shift_of_a_query_changes_nothing() -> None:
    q, k, v = drawn()
    torch.testing.assert_close(mixed(q + torch.randn(4, 12, 1, dtype=q.dtype), k, v), mixed(q, k, v))


def test_outputs_move_by_no_more_than_their_constants() -> None:
    own, of = torch.Generator().manual_seed(1), drawn()
    before = mixed(*of)
    for which, constant in (([0], QUERY), ([1], KEY), ([2], VALUE), ([0, 1, 2], JOINTLY)):
        for _ in range(50):
            by = [torch.randint(-1, 2, x.shape, generator=own) * 1e-2 for x in of]
            moved = mixed(*(x + d if i in which else x for i, (x, d) in enumerate(zip(of, by, strict=True))))
            assert (moved - before).abs().max() <= constant * 1e-2 + 1e-12


def test_the_constants_are_attained() -> None:
    q, k, v = drawn()
    _, high, low = (part[0, -1, 0] for part in winners(q, k, v))
    winner = winners(q, k, v)[0][0, -1, 0]
    step = 1e-4
    before = mixed(q, k, v)[0, -1, 0]
    q2, k2, v2 = q.clone(), k.clone(), v.clone()
    q2[0, -1, high] -= step
    q2[0, -1, low] += step
    k2[0, winner, high] += step
    k2[0, winner, low] -= step
    v2[0, winner, 0] += step
    for moved, constant in (
        ((q2, k, v), QUERY),
        ((q, k2, v), KEY),
        ((q, k, v2), VALUE),
        ((q2, k2, v2), JOINTLY),
    ):
        assert torch.isclose(mixed(*moved)[0, -1, 0] - before, torch.tensor(constant * step).to(before))


def test_a_winner_stays_within_a_tenth_of_its_lead() -> None:
    own, of = torch.Generator().manual_seed(2), drawn()
    lead, winner = margins(*of), winners(*of)[0]
    assert torch.isinf(lead[:, 0]).all() and (lead > 0).all()
    for draw in range(100):
        size = lead[:, LATE].flatten(1).quantile(draw / 100, 1)[:, None, None] / 10
        moved = winners(*(x + size * 0.999 * torch.randint(-1, 2, x.shape, generator=own) for x in of))[0]
        held = lead / 10 >= size
        assert torch.equal(moved[held], winner[held])


def test_just_outside_of_a_tenth_it_flips_and_just_inside_it_stays() -> None:
    # two keys that differ from the query most at places of their own, apart from all others
    q = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    k = torch.tensor([[-2.0, 2.0, 0.0, 0.0], [0.0, 0.0, -2.0, 2.0]], dtype=torch.float64)
    v = torch.tensor([[0.1, 0, 0, 0], [0.0, 0, 0, 0]], dtype=torch.float64)
    lead = margins(q, k, v)[1, 0]
    assert torch.isclose(lead, torch.tensor(0.1, dtype=lead.dtype)) and winners(q, k, v)[0][1, 0] == 0
    for factor, expected in ((0.999, 0), (1.001, 1)):
        step = factor * lead / 10
        by_q = step * torch.tensor([[0.0] * 4, [1.0, -1.0, -1.0, 1.0]], dtype=q.dtype)
        by_k = step * torch.tensor([[-1.0, 1.0, 0, 0], [0, 0, 1.0, -1.0]], dtype=q.dtype)
        by_v = step * torch.tensor([[-1.0, 0, 0, 0], [1.0, 0, 0, 0]], dtype=q.dtype)
        assert winners(q + by_q, k + by_k, v + by_v)[0][1, 0] == expected


def test_half_of_the_lead_is_what_sums_may_change_by() -> None:
    q, k, v = drawn()
    lead, winner = margins(q, k, v), winners(q, k, v)[0]
    # a value alone moves its sums by itself: the winner's down, the others' up
    for factor, stays in ((0.999, True), (1.001, False)):
        for c in range(3):
            by = factor * lead[0, -1, c] / 2
            moved = v.clone()
            moved[0, :, c] += by
            moved[0, winner[0, -1, c], c] -= 2 * by
            assert (winners(q, k, moved)[0][0, -1, c] == winner[0, -1, c]) == stays
