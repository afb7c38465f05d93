"""Tensor decomposition: planted ranks come out, layers that share nothing don't pass, and shared scales are no finding."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import workbench as wb
from workbench.analyses.weights.tensor_decomposition import SHARES, signed
from workbench.calibrating.worlds.stacks import own_directions, shared_directions
from workbench.core.errors import DataError, MissingError
from workbench.core.lineage import code
from workbench.core.rows import owned
from workbench.numerics import tensor_decompositions as forms
from workbench.subjects.checkpoint import TensorInfo

FEW = {"n_null": 39, "largest_side": 32}


def stack(x: np.ndarray) -> wb.WeightStack:
    return wb.WeightStack({f"layer.{i}": w for i, w in enumerate(x)})


def cp_tensor(rng: np.random.Generator, shape: tuple[int, ...], rank: int) -> np.ndarray:
    return np.einsum("ar,br,cr->abc", *(rng.standard_normal((n, rank)) for n in shape))


def checkpoint(**arrays: np.ndarray) -> wb.Checkpoint:
    held = {n.replace("__", "."): owned(a.astype(np.float32)) for n, a in arrays.items()}
    infos = {n: TensorInfo(n, a.shape, "F32", a.nbytes) for n, a in held.items()}
    return wb.Checkpoint(infos, held.__getitem__, name="net", content=lambda: "net")


def test_known_answer_of_a_planted_rank() -> None:
    """A sum of two rank-one tensors is kept whole in two terms (1.4 % of its numbers), and not in one."""
    x = cp_tensor(np.random.default_rng(0), (6, 40, 30), 2)
    one, two = forms.cp(x, [76, 2 * 76], sweeps=200)
    assert one.error > 0.1 and two.ranks == (2,) and two.error < 1e-6
    (whole,) = forms.tucker(x, [2**3 + 2 * 76], sweeps=5)
    assert whole.ranks == (2, 2, 2) and whole.error < 1e-7
    result = wb.tensor_decomposition(stack(x), sweeps=40, n_null=39, largest_side=20)
    assert result.y[SHARES.index(0.05), 0] < 1e-4, "CP of 4 terms holds two"
    assert {e.p_value for e in result.evidence if e.id == "layers_share"} == {1 / 40}


def test_broken_twin_shares_nothing() -> None:
    """The same layers, signs of rows and columns turned in each: every spectrum and every size is what it was."""
    x = shared_directions(np.random.default_rng(1))
    shared = wb.tensor_decomposition(stack(x), **FEW)
    twin = wb.tensor_decomposition(stack(signed(x, np.random.default_rng(2))), **FEW)
    assert all(e.p_value == 1 / 40 for e in shared.evidence if e.id == "layers_share")
    assert all(e.p_value > 1 / 40 for e in twin.evidence if e.id == "layers_share")
    np.testing.assert_allclose(shared.y[:, -1], twin.y[:, -1])  # layers by themselves are as they were


def test_scales_that_layers_share_are_no_finding() -> None:
    """Turning singular vectors at random takes the scales away too, and would claim that layers share directions."""
    x = own_directions(np.random.default_rng(0))
    answers = wb.tensor_decomposition(stack(x), **FEW).evidence
    assert all(e.p_value > 0.05 for e in answers if e.id == "layers_share")
    assert all(e.p_value == 1 / 40 for e in answers if e.id == "compressible")
    budget, rng = [int(0.05 * x.size)], np.random.default_rng(1)
    turned = []
    for _ in range(19):
        left, right = (np.linalg.qr(rng.standard_normal((len(x), n, n)))[0] for n in x.shape[1:])
        turned.append(forms.tucker(left @ x @ right, budget, 2)[0].error)
    assert forms.tucker(x, budget, 2)[0].error < min(turned)


@pytest.mark.parametrize("shape", [(4, 12, 9), (3, 5, 14)])
def test_peer_is_numpy(shape: tuple[int, int, int]) -> None:
    """Errors are those of forms that are written out; a form of two modes is the singular value decomposition."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal(shape)
    norm, budgets = np.linalg.norm(x), [x.size // 4, x.size // 2]
    for k in forms.tensor_train(x, budgets):
        r, s = k.ranks
        u, t, v = np.linalg.svd(x.reshape(len(x), -1), full_matrices=False)
        u2, t2, v2 = np.linalg.svd((t[:r, None] * v[:r]).reshape(r * shape[1], shape[2]), full_matrices=False)
        whole = (u[:, :r] @ ((u2[:, :s] * t2[:s]) @ v2[:s]).reshape(r, -1)).reshape(shape)
        assert np.isclose(k.error, np.linalg.norm(x - whole) / norm)
        assert k.numbers == len(x) * r + r * shape[1] * s + s * shape[2] <= max(budgets)
    for k in forms.tucker(x, budgets, sweeps=0):
        whole = x
        for mode, r in enumerate(k.ranks):
            u = np.linalg.svd(np.moveaxis(x, mode, 0).reshape(shape[mode], -1))[0][:, :r]
            whole = np.moveaxis(np.tensordot(u @ u.T, np.moveaxis(whole, mode, 0), 1), 0, mode)
        assert np.isclose(k.error, np.linalg.norm(x - whole) / norm)
    s = np.linalg.svd(x[0], compute_uv=False)
    two = forms.tucker(x[:1], [1 + 1 * 2 * 2 + 2 * (shape[1] + shape[2])], sweeps=3)[0]
    assert two.ranks == (1, 2, 2) and np.isclose(two.error**2, 1 - (s[:2] ** 2).sum() / (s**2).sum())
    (alone,) = forms.truncated_svds(x[:1], [2 * (shape[1] + shape[2])])
    assert np.isclose(alone.error, two.error) and alone.ranks == (2,)


def test_a_sweep_never_makes_it_worse() -> None:
    x = np.random.default_rng(5).standard_normal((4, 14, 10))
    for form in (forms.cp, forms.tucker):
        errors = [form(x, [x.size // 3], sweeps)[0].error for sweeps in (1, 2, 5, 20)]
        assert all(a >= b - 1e-12 for a, b in pairwise(errors)), form.__name__


def test_a_stack_is_of_one_role_in_the_order_of_its_layers() -> None:
    rng = np.random.default_rng(0)
    arrays = {f"h__{i}__w": np.full((4, 3), i) + rng.standard_normal((4, 3)) for i in (10, 2, 0)}
    net = checkpoint(**arrays, head=rng.standard_normal((5, 3)))
    made = wb.weight_stack(net)
    assert list(made.layers) == ["h.0.w", "h.2.w", "h.10.w"] and made.shape == (4, 3)
    block = made.as_stack().block(np.array([1, 3]), np.array([0, 2]))
    np.testing.assert_array_equal(block[1], np.asarray(net["h.2.w"])[[1, 3]][:, [0, 2]])
    assert "wb.weight_stack(" in code(wb.tensor_decomposition(made, n_null=0).run)


def test_bad_input_is_refused_in_words() -> None:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((4, 3))
    net = checkpoint(a__0__w=w, a__1__w=w, b__0__w=w, b__1__w=w.T, c__0__w=w, c__1__w=w)
    with pytest.raises(MissingError, match=r"2 stacks .* 'a\.\*\.w', 'c\.\*\.w'"):
        wb.weight_stack(net)
    with pytest.raises(MissingError, match="no tensor that 'd' matches"):
        wb.weight_stack(net, "d")
    with pytest.raises(DataError, match="one shape"):
        wb.weight_stack(net, "b.*.w")
    with pytest.raises(DataError, match="two or more layers"):
        wb.weight_stack(net, "a.0.w")
    bad = np.stack([w, w])
    bad[1, 2, 1] = np.nan
    with pytest.raises(DataError, match=r"layer\.1"):
        wb.tensor_decomposition(stack(bad))
    with pytest.raises(DataError, match="zero"):
        wb.tensor_decomposition(stack(np.zeros((2, 4, 3))))
    with pytest.raises(DataError, match="two or more"):
        wb.tensor_decomposition(stack(np.ones((2, 4, 1))))
