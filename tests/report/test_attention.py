"""The pictures of the kinds of attention: each kind has some, of numbers that are those of the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from workbench.core.errors import DataError
from workbench.numerics.attention import NAMES
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT
from workbench.report.attention import drawn, pictures
from workbench.results.matrix_slices import MatrixSlices

TOKENS = torch.randint(16, (1, 12), generator=torch.Generator().manual_seed(0))


def along(kind: str) -> dict[int, GPT]:
    """Two draws of one network, in the place of two steps of it."""
    found = {}
    for step in (0, 5):
        torch.manual_seed(step)
        found[step] = GPT(GeometryConfig(mechanism=kind, width=16, heads=2, layers=1, vocabulary=16)).eval()
    return found


@pytest.mark.parametrize("kind", NAMES)
def test_each_kind_has_pictures_with_a_slider(kind: str) -> None:
    made = pictures(along(kind), TOKENS)
    figures: list[Any] = [picture.figure() for picture in made]
    assert any(len(figure.layout.sliders) for figure in figures)
    assert all(figure.data and np.isfinite(figure.layout.height) for figure in figures)


@pytest.mark.parametrize("kind", ["standard", "gauge", "quaternion", "octonion"])
def test_weights_are_those_with_which_the_network_averages(kind: str) -> None:
    """Values that name their letter come out as the weights: of the standard kind as they are, of others as sizes agree."""
    gpt = along(kind)[0]
    found = np.nan_to_num(drawn.weights(gpt, TOKENS))
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    other = TOKENS.clone()
    other[0, -1] = (other[0, -1] + 1) % 16
    changed = np.nan_to_num(drawn.weights(gpt, other))
    assert np.array_equal(found[:-1], changed[:-1]) and not np.array_equal(found[-1], changed[-1])


@torch.no_grad()
def test_states_of_the_braid_and_weights_of_pairs_are_those_that_are_read() -> None:
    gpt = along("braid")[0]
    mixer, x = drawn.read(gpt, TOKENS)
    seen: list[torch.Tensor] = []
    hook = mixer.o_proj.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    mixer(x)
    hook.remove()
    h = torch.from_numpy(drawn.states(gpt, TOKENS)).flatten(1)
    torch.testing.assert_close(torch.nn.functional.rms_norm(h, h.shape[-1:]), seen[0][0, :, : h.shape[1]])

    gpt = along("simplicial")[0]
    mixer, x = drawn.read(gpt, TOKENS)
    hook = mixer.o_proj.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    mixer(x)
    hook.remove()
    w = torch.from_numpy(drawn.triples(gpt, TOKENS))
    v, v2 = (mixer.split(p(x))[0, 0] for p in (mixer.v_proj, mixer.v2_proj))
    at = 9
    near, pairs = (v[: at + 1].flip(0), v2[: at + 1].flip(0))
    of = w[at].flip(0, 1)[: len(pairs), : len(near)]
    y = torch.einsum("pj,pe,je->e", of, pairs[: len(of)], near)
    torch.testing.assert_close(y, seen[1][0, at, : len(y)], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_what_a_layer_reads_is_what_the_network_gives_it() -> None:
    gpt = along("standard")[0]
    mixer, x = drawn.read(gpt, TOKENS)
    seen: list[torch.Tensor] = []
    mixer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    gpt(TOKENS)
    torch.testing.assert_close(seen[0], x)


def test_a_slider_takes_a_matrix_through_its_frames() -> None:
    made = MatrixSlices.example()
    figure = made.figure()
    for step, frame in zip(figure.layout.sliders[0].steps, made.frames, strict=True):
        assert np.allclose(step.args[0]["z"][0], frame, atol=1e-3)
    assert made.table().shape == (3, 3)
    many = np.broadcast_to(np.zeros((1, 1000)), (1, 1000, 1000))
    with pytest.raises(DataError, match="1 frames of 1,000,000 numbers"):
        MatrixSlices(
            title="t", frames=many, frame_names=("a",), row_names=("r",) * 1000, column_names=("c",) * 1000
        ).figure()
