"""Aligned layouts against what makes them right; beside umap-learn's AlignedUMAP in ``tests/analyses/embedding``."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import procrustes_distance
from sklearn.datasets import load_digits, make_blobs
from sklearn.manifold import trustworthiness

from workbench.core.errors import DataError, ParameterError
from workbench.numerics import aligned_umap as au
from workbench.numerics.compiling import import_umap
from workbench.numerics.kernels import aligned, chunked, layout
from workbench.numerics.layout_alignment import measure_alignment

QUICK = {"device": "cpu", "n_epochs": 60}


def blobs(n: int = 90, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x, label = make_blobs(n, 8, centers=3, random_state=seed)
    return x.astype(np.float32), label


def noisy(x: np.ndarray, layers: int, noise: float, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    steps = noise * rng.standard_normal((layers, *x.shape)).cumsum(0)
    return [(x + s).astype(np.float32) for s in steps]


def measured(fitted: au.FittedAligned, n_null: int = 0):
    return measure_alignment(
        [y.numpy() for y in fitted.embeddings], [m.numpy() for m in fitted.matches], n_null=n_null
    )


def test_known_answer_a_turned_copy_has_the_same_layout() -> None:
    x, _ = blobs()
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))[0].astype(np.float32)
    found = au.fit_aligned([x, x @ turn, x + 3], **QUICK)
    # unrelated rows move 0.9 of what random ones do; the last bits of a short fit depend on the threads
    score = measured(found)
    assert (score.displacement < 0.05).all()
    assert (score.disparity < 5e-3).all()


@pytest.mark.parametrize("regularisation", [0.01, 1.0])
def test_known_answer_permuted_rows_are_found_again(regularisation) -> None:
    x, _ = blobs()
    p = np.random.default_rng(1).permutation(len(x))
    relation = {int(i): int(j) for j, i in enumerate(p)}  # row i of x is row j of x[p]
    found = au.fit_aligned([x, x[p]], [relation], alignment_regularisation=regularisation, **QUICK)
    a, b = (y.numpy() for y in found.embeddings)
    assert procrustes_distance(a[p], b) < 0.1
    assert measured(found).displacement[0] < 0.08
    arrays = (p, np.arange(len(p)))
    again = au.fit_aligned([x, x[p]], [arrays], alignment_regularisation=regularisation, **QUICK)
    assert torch.equal(again.embeddings[1], found.embeddings[1])


def test_known_answer_rows_that_change_groups_are_those_that_move() -> None:
    x, label = blobs(180)
    later = x.copy()
    drift = np.flatnonzero(label == 0)[:8]
    later[drift] += x[label == 1].mean(0) - x[label == 0].mean(0)
    found = measured(au.fit_aligned([x, later], **QUICK))
    furthest = np.argsort(-found.rows[0])[:8]
    assert set(furthest) == set(drift)
    assert np.delete(found.rows[0], drift).max() < found.rows[0][drift].min() / 2


def test_known_answer_a_group_that_moves_slowly_moves_slowly_in_the_layouts() -> None:
    x, label = blobs(90)
    way = x[label == 1].mean(0) - x[label == 0].mean(0)
    xs = []
    for share in np.linspace(0, 0.4, 5):
        xs.append(x.copy())
        xs[-1][label == 0] += share * way
    found = au.fit_aligned(xs, **QUICK)
    assert (measured(found).displacement < 0.15).all()
    for x, y in zip(xs, found.embeddings, strict=True):
        assert trustworthiness(x, y.numpy(), n_neighbors=10) > 0.9


def test_the_pull_costs_little_trust_and_stronger_pulls_move_rows_less() -> None:
    x = load_digits().data[:120].astype(np.float32)
    xs = noisy(x, 3, 2.0)
    scores, trust = [], []
    for regularisation in (0.0, 0.01, 0.1, 100.0):
        found = au.fit_aligned(xs, alignment_regularisation=regularisation, **QUICK)
        scores.append(measured(found).displacement.mean())
        trust.append(
            np.mean(
                [
                    trustworthiness(x, y.numpy(), n_neighbors=10)
                    for x, y in zip(xs, found.embeddings, strict=True)
                ]
            )
        )
    assert scores[0] > 2 * scores[1] > 2 * scores[2] > 2 * scores[3]
    assert trust[1] > trust[0] - 0.01
    assert np.isfinite(trust[3])  # no strength overshoots


def test_a_row_without_a_match_is_laid_out_among_its_neighbours() -> None:
    x, label = blobs(200)
    rng = np.random.default_rng(3)
    kept = np.sort(rng.choice(200, 140, replace=False))
    known = rng.permutation(140)[:90]
    found = au.fit_aligned([x, x[kept]], [(kept[known], known)], **QUICK)
    first, second = (y.numpy() for y in found.embeddings)
    assert int((found.matches[0] >= 0).sum()) == 90
    centres = np.stack([first[label == c].mean(0) for c in range(3)])
    near = np.linalg.norm(second[:, None] - centres, axis=2).argmin(1)
    assert (near == label[kept]).mean() > 0.97  # those without a match too
    assert measured(found).displacement[0] < 0.2


def test_new_rows_and_a_new_set_join_the_layouts_that_are_there() -> None:
    x, label = blobs(110)
    xs = noisy(x[:100], 3, 0.1)
    found = au.fit_aligned(xs, **QUICK)
    centres = np.stack([found.embeddings[1].numpy()[label[:100] == c].mean(0) for c in range(3)])
    placed = au.transform(found, x[100:], 1).numpy()
    assert (np.linalg.norm(placed[:, None] - centres, axis=2).argmin(1) == label[100:]).all()
    more = au.update(found, xs[2] + 0.01)
    assert len(more.embeddings) == 4 and len(more.matches) == 3
    assert all(torch.equal(a, b) for a, b in zip(found.embeddings, more.embeddings, strict=False))
    assert measured(more).displacement[2] < 0.1
    half = au.update(more, x[50:110], (np.arange(50, 100), np.arange(50)))
    assert measured(half).displacement[3] < 0.3
    assert torch.isfinite(half.embeddings[4]).all()
    shift = np.linalg.norm(half.embeddings[4].numpy()[50:, None] - centres, axis=2).argmin(1)
    assert (shift == label[100:]).mean() > 0.9


def test_a_seed_gives_the_same_bits() -> None:
    xs = noisy(blobs(90)[0], 2, 0.3)
    a, b, c = (au.fit_aligned(xs, random_state=s, device="cpu", n_epochs=20).embeddings for s in (3, 3, 4))
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))
    assert not torch.equal(a[1], c[1])


def test_shared_neighbours_are_umap_learns_weights() -> None:
    from numba.typed import List
    from scipy.sparse import coo_matrix

    import_umap()
    from umap.aligned_umap import build_neighborhood_similarities, expand_relations

    x, _ = blobs(60)
    p = np.random.default_rng(2).permutation(60)[:50]
    xs = [x, noisy(x, 1, 1.0)[0][p]]
    relation = {int(i): j for j, i in enumerate(p[:40])}
    found = au.fit_aligned(xs, [relation], device="cpu", n_epochs=10, n_neighbors=8)
    shapes = [60, 50]
    graphs = [
        coo_matrix((e.weights, (e.rows, e.cols)), shape=(n, n)).tocsr()
        for e, n in zip(found.entries, shapes, strict=True)
    ]
    theirs = build_neighborhood_similarities(
        List([g.indptr for g in graphs]), List([g.indices for g in graphs]), expand_relations([relation], 1)
    )
    right = au._shared(*found.entries, found.matches[0], 50).numpy()
    for j in relation.values():
        assert np.isclose(right[j], theirs[1, 0, j])  # umap-learn has it backwards only, for the last pair


def test_a_step_pulls_by_its_ties_and_never_beyond() -> None:
    y = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    empty = chunked.chunk(*torch.zeros((3, 0), dtype=torch.long), 1)
    graphs = aligned.stack([empty, empty])
    for weight, reach in ((0.0, 0.0), (1.0, 2.0), (1e9, 4.0)):
        ties = aligned.Ties(torch.tensor([[1], [0]], dtype=torch.int32), torch.full((2, 1), weight))
        out = aligned.step(y, y, graphs, ties, torch.zeros(2), 1.5, 0.9, 1.0, 4, 0, 0)
        assert torch.allclose(out, torch.tensor([[reach, 0.0], [4 - reach, 0.0]]), atol=1e-4)


def test_layouts_of_equal_rows_are_pushed_by_the_same_draws() -> None:
    y = torch.randn((40, 2), generator=torch.Generator().manual_seed(0))
    rows = torch.arange(40)
    graph = chunked.chunk(rows, (rows + 1) % 40, torch.ones(40), 40)
    none = aligned.Ties(torch.zeros((80, 0), dtype=torch.int32), torch.zeros((80, 0)))
    two, graphs = torch.cat([y, y + 7]), aligned.stack([graph, graph])
    repel = torch.ones(80) / 8
    for step in (aligned.step, aligned.step_reference):
        out = step(two, two, graphs, none, repel, 1.5, 0.9, 0.2, 16, 5, 9)
        assert torch.allclose(out[:40], out[40:] - 7, atol=1e-4)
    single = layout.step_reference(y, y, graph, repel[:40], 1.5, 0.9, 0.2, 16, 5, 9)
    assert torch.allclose(out[:40], single)


@pytest.mark.parametrize(
    ("xs", "relations", "text"),
    [
        ([np.ones((9, 2))], None, "at least two sets"),
        ([], None, "there are none"),
        ([np.eye(9), np.eye(8)], None, "9 and 8 rows.*give a relation"),
        ([np.eye(9), np.eye(8)], [{0: 8}], "second, which has 8 rows"),
        ([np.eye(9), np.eye(8)], [{-1: 3}], "first, which has 9 rows"),
        ([np.eye(9), np.eye(8)], [{0: 3, 1: 3}], "more than once"),
        ([np.eye(9), np.eye(8)], [{}], "relates no rows"),
        ([np.eye(9), np.eye(8)], [([0, 1], [1])], "two equally long"),
        ([np.eye(9), np.eye(8)], [3], "two equally long"),
        ([np.eye(9), np.eye(8)], [([0.5], [1.5])], "two equally long"),
        ([np.eye(9), np.eye(9)], [None, None], "1 pairs"),
        ([np.eye(9), np.eye(2)], [{0: 0}], "Set 1 has 2 rows"),
        ([np.eye(9), np.ones(9)], None, "Set 1 must be a table"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(xs, relations, text) -> None:
    with pytest.raises(DataError, match=text) as refusal:
        au.fit_aligned(xs, relations, device="cpu")
    assert len(str(refusal.value)) > 50


def test_parameters_out_of_range_are_refused() -> None:
    x = np.eye(9)
    for bad in (
        {"alignment_regularisation": -1.0},
        {"alignment_window_size": -1},
        {"n_epochs": 0},
        {"n_neighbors": 1},
    ):
        with pytest.raises(ParameterError, match=next(iter(bad))):
            au.fit_aligned([x, x], device="cpu", **bad)
    found = au.fit_aligned([x, x[:, :5]], device="cpu", n_epochs=2)
    with pytest.raises(ParameterError, match="there are 2, 0 to 1"):
        au.transform(found, x, 2)
    with pytest.raises(DataError, match="5 columns"):
        au.transform(found, x, 1)
    with pytest.raises(DataError, match="sets 1 and 2"):
        au.update(found, x[:8])


@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.parametrize("n_components", [1, 3])
def test_every_start_and_dimension_is_finite(init, n_components) -> None:
    xs = noisy(blobs(60)[0], 3, 0.2)
    found = au.fit_aligned(
        xs, init=init, n_components=n_components, alignment_window_size=1, device="cpu", n_epochs=20
    )
    assert all(y.shape == (60, n_components) and torch.isfinite(y).all() for y in found.embeddings)
    assert all(
        torch.isfinite(y).all()
        for y in au.fit_aligned([np.ones((5, 2)), np.ones((5, 2))], **QUICK).embeddings
    )
