"""The block's Triton kernels against plain torch, forward and backward; ``TRITON_INTERPRET=1`` runs them without a GPU."""

from __future__ import annotations

import os

import pytest
import torch

pytest.importorskip("triton")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if not (torch.cuda.is_available() or INTERPRETED):
    pytest.skip("needs a CUDA device", allow_module_level=True)

from workbench.numerics.kernels.block_launches import convolved_triton, normalized_triton  # noqa: E402
from workbench.numerics.kernels.block_plain import convolved_reference, normalized_reference  # noqa: E402

pytestmark = pytest.mark.gpu
DEVICE = "cpu" if INTERPRETED else "cuda"
Parts = list[torch.Tensor]


def drawn(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Parts:
    gen = torch.Generator().manual_seed(len(shapes))
    return [torch.randn(shape, generator=gen).to(DEVICE, dtype).requires_grad_() for shape in shapes]


def largest_error(work, plain, parts: Parts) -> float:
    """Of output and gradients, relative, against float64 on the same inputs."""
    exact = [part.detach().double().requires_grad_() for part in parts]
    y, expected = work(*parts), plain(*exact)
    of_y = torch.randn(y.shape, generator=torch.Generator().manual_seed(0)).to(y)
    found = [y, *torch.autograd.grad(y, parts, of_y)]
    true = [expected, *torch.autograd.grad(expected, exact, of_y.double())]
    assert all(a.shape == b.shape for a, b in zip(found, true, strict=True))
    return max(
        float(((a - b).abs().max() / b.abs().max()).detach()) for a, b in zip(found, true, strict=True)
    )


@pytest.mark.parametrize(
    ("time", "channels", "size"), [(1, 3, 4), (2, 70, 4), (33, 64, 4), (70, 5, 1), (40, 9, 7)]
)
def test_a_convolution_equals_torchs(time: int, channels: int, size: int) -> None:
    parts = drawn((2, time, channels), (channels, size), (channels,))
    assert largest_error(lambda *p: convolved_triton(*p, None), convolved_reference, parts) < 1e-5
    before = torch.randn(2, channels, size - 1, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    error = largest_error(
        lambda *p: convolved_triton(*p, before), lambda *p: convolved_reference(*p, before.double()), parts
    )
    assert error < 1e-5


def test_a_convolution_of_a_part_of_a_row() -> None:
    parts = drawn((2, 50, 40), (16, 4), (16,))
    error = largest_error(
        lambda x, *p: convolved_triton(x[..., 7:23], *p, None),
        lambda x, *p: convolved_reference(x[..., 7:23], *p),
        parts,
    )
    assert error < 1e-5


@pytest.mark.parametrize("shape", [(1, 3), (2, 7, 320), (3, 5, 2, 64), (1100, 40)])
@pytest.mark.parametrize("gated", [True, False])
def test_a_norm_equals_torchs(shape: tuple[int, ...], gated: bool) -> None:
    parts = drawn(shape, shape[-1:], *([shape] if gated else []))

    def by(norm):
        return lambda x, w, g=None: norm(x, w, 1e-5, g)

    assert largest_error(by(normalized_triton), by(normalized_reference), parts) < 1e-5


def test_gradients_can_be_differentiated() -> None:
    x, w, b, g = drawn((1, 9, 6), (6, 4), (6,), (1, 9, 6))

    def curved(convolve, norm) -> torch.Tensor:
        y = norm(convolve(x, w, b, None), b, 1e-5, g).pow(3).sum()
        (slope,) = torch.autograd.grad(y, x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), w)[0]

    torch.testing.assert_close(
        curved(convolved_triton, normalized_triton),
        curved(convolved_reference, normalized_reference),
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.skipif(INTERPRETED, reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_loses_what_rounding_loses(dtype: torch.dtype) -> None:
    parts = drawn((2, 200, 70), (70, 4), (70,), dtype=dtype)
    error = largest_error(lambda *p: convolved_triton(*p, None), convolved_reference, parts)
    assert error < 2 * torch.finfo(dtype).eps
    parts = drawn((2, 200, 320), (320,), (2, 200, 320), dtype=dtype)
    error = largest_error(
        lambda x, w, g: normalized_triton(x, w, 1e-5, g),
        lambda x, w, g: normalized_reference(x, w, 1e-5, g),
        parts,
    )
    assert error < 2 * torch.finfo(dtype).eps
