"""The scan's Triton kernels against the plain torch function, forward and backward.

``TRITON_INTERPRET=1`` runs what isn't timed without a GPU, in float32, where Triton is installed.
"""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
import torch

pytest.importorskip("triton")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if not (torch.cuda.is_available() or INTERPRETED):
    pytest.skip("needs a CUDA device", allow_module_level=True)

from workbench.numerics.ghost.config import GhostConfig  # noqa: E402
from workbench.numerics.ghost.model import Ghost  # noqa: E402
from workbench.numerics.kernels.scan import scan  # noqa: E402
from workbench.numerics.kernels.scan_launches import scan_triton  # noqa: E402
from workbench.numerics.kernels.scan_plain import scan_reference  # noqa: E402

pytestmark = pytest.mark.gpu
DEVICE = "cpu" if INTERPRETED else "cuda"
on_gpu = pytest.mark.skipif(INTERPRETED, reason="needs a CUDA device")
NAMES = ("x", "log_decay", "weight", "B", "C", "state", "skip")
Parts = list[torch.Tensor]


def drawn(
    time: int,
    *,
    batch: int = 1,
    heads: int = 2,
    width: int = 64,
    states: int = 32,
    groups: int = 1,
    dtype: torch.dtype = torch.float32,
    decay: float = 0.1,
) -> Parts:
    gen = torch.Generator().manual_seed(time)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=gen, dtype=torch.float64).to(DEVICE, dtype)

    return [
        normal(batch, time, heads, width),
        -decay * normal(batch, time, heads).abs(),
        normal(batch, time, heads).abs(),
        normal(batch, time, groups, states),
        normal(batch, time, groups, states),
        normal(batch, heads, width, states),
        normal(heads),
    ]


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference, relative to what is largest."""
    found, expected = found.detach(), expected.detach()
    return float((found.double() - expected).abs().max() / expected.abs().max())


def errors(parts: Parts, **how: int | str) -> dict[str, float]:
    """Of outputs and gradients, against the plain function in float64 on the same inputs."""
    given = [part.detach().requires_grad_() for part in parts]
    exact = [part.detach().double().requires_grad_() for part in parts]
    y, end = scan_triton(*given, **how)  # type: ignore[arg-type]
    expected, expected_end = scan_reference(*exact[:5], state=exact[5], skip=exact[6])
    gen = torch.Generator().manual_seed(1)
    of_y, of_end = (torch.randn(part.shape, generator=gen).to(y) for part in (y, end))
    found = torch.autograd.grad((y, end), given, (of_y, of_end))
    true = torch.autograd.grad((expected, expected_end), exact, (of_y.double(), of_end.double()))
    assert all(a.dtype == b.dtype and a.shape == b.shape for a, b in zip(found, given, strict=True))
    gradients = {f"d {name}": error(a, b) for name, a, b in zip(NAMES, found, true, strict=True)}
    return {"y": error(y, expected), "end": error(end, expected_end), **gradients}


@pytest.mark.parametrize("time", [1, 2, 15, 16, 31, 33, 64, 65, 257])
def test_equals_the_plain_function_at_any_length(time: int) -> None:
    assert max(errors(drawn(time)).values()) < 1e-4


@pytest.mark.parametrize(("chunk", "segments"), [(16, 1), (16, 5), (32, 3), (64, 2)])
def test_equals_the_plain_function_however_it_is_cut(chunk: int, segments: int) -> None:
    assert max(errors(drawn(270), chunk=chunk, segments=segments).values()) < 1e-4


@pytest.mark.parametrize(
    ("width", "states", "groups"),
    [(64, 32, 2), (1, 1, 1), (80, 5, 2), (128, 16, 1), (32, 64, 1), (16, 128, 1)],
)
def test_equals_the_plain_function_at_other_sizes(width: int, states: int, groups: int) -> None:
    parts = drawn(75, width=width, states=states, groups=groups, batch=2)
    assert max(errors(parts, chunk=32, segments=2).values()) < 1e-4


@on_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("width", "states"), [(64, 128), (256, 64)])
def test_large_states_fit_into_shared_memory(width: int, states: int, dtype: torch.dtype) -> None:
    found = errors(drawn(300, width=width, states=states, dtype=dtype))
    assert max(found.values()) < (1e-4 if dtype == torch.float32 else 4 * torch.finfo(dtype).eps)


@on_gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("segments", [1, 4])
def test_low_precision_loses_what_rounding_loses(dtype: torch.dtype, segments: int) -> None:
    found = errors(drawn(500, dtype=dtype), segments=segments)
    assert max(found.values()) < 4 * torch.finfo(dtype).eps


@pytest.mark.parametrize("decay", [1e-9, 1.0, 50.0, 1e4, float("inf")])
def test_decays_near_one_and_near_nothing_lose_no_digits(decay: float) -> None:
    x, log_decay, *rest = drawn(200)
    strong = torch.arange(200, device=DEVICE)[None, :, None] % 7 == 3
    parts = [x, log_decay.masked_fill(strong, -decay), *rest]
    assert max(errors(parts, chunk=32, segments=3).values()) < 1e-4


def test_what_is_forgotten_entirely_is_gone() -> None:
    x, log_decay, *rest = drawn(100)
    log_decay[:, 40] = -torch.inf
    other = x.clone()
    other[:, :40] += 3
    before, after = (scan_triton(part, log_decay, *rest, chunk=32, segments=2)[0] for part in (x, other))
    assert torch.equal(before[:, 40:], after[:, 40:])
    assert not torch.equal(before[:, :40], after[:, :40])


@pytest.mark.parametrize("at", [1, 31, 32, 63, 64, 90])
def test_later_inputs_change_nothing_before_them(at: int) -> None:
    parts = drawn(150)
    changed = [part.clone() for part in parts[:5]]
    for part in changed:
        part[:, at:] *= 3
    before, after = (scan_triton(*p[:5], parts[5], chunk=32, segments=3)[0] for p in (parts, changed))
    assert torch.equal(before[:, :at], after[:, :at])
    given = [part.requires_grad_() for part in parts[:5]]
    y = scan_triton(*given, parts[5], chunk=32, segments=3)[0]
    found = torch.autograd.grad(y[:, :at].square().sum(), given)
    assert all(not part[:, at:].any() for part in found)
    assert all(part[:, :at].any() for name, part in zip(NAMES, found, strict=False) if name != "log_decay")


def test_the_same_input_gives_the_same_bits() -> None:
    given = [part.requires_grad_() for part in drawn(300, batch=2)]
    first, second = (
        torch.autograd.grad(scan_triton(*given, segments=3)[0].square().sum(), given) for _ in range(2)
    )
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))


def test_inputs_in_any_layout() -> None:
    parts = drawn(70, batch=2, groups=2)
    other = [part.transpose(1, -1).contiguous().transpose(1, -1) for part in parts[:5]]
    assert not other[0].is_contiguous()
    expected, found = (scan_triton(*p, parts[5], segments=2) for p in (parts[:5], other))
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-5) for a, b in zip(expected, found, strict=True))


def test_a_gradient_can_be_differentiated() -> None:
    parts = [part.requires_grad_() for part in drawn(40)]

    def curved(scanned) -> torch.Tensor:
        (slope,) = torch.autograd.grad(scanned[0].pow(3).sum(), parts[0], create_graph=True)
        return torch.autograd.grad(slope.square().sum(), parts[1])[0]

    assert (
        error(
            curved(scan_triton(*parts)),
            curved(scan_reference(*parts[:5], state=parts[5], skip=parts[6])).double(),
        )
        < 1e-3
    )


@on_gpu
def test_a_ghost_takes_it_and_is_the_same() -> None:
    torch.manual_seed(0)
    ghost = Ghost(GhostConfig(width=128, blocks=3, heads=2, attend_every=3, step="trapezoid", rotating=True))
    read = torch.randint(0, 256, (2, 900))
    gradients = []
    for device in ("cpu", "cuda"):
        ghost = ghost.to(device)
        loss = torch.nn.functional.cross_entropy(
            ghost(read.to(device))[:, :-1].flatten(0, 1), read[:, 1:].flatten().to(device)
        )
        gradients.append([g.cpu() for g in torch.autograd.grad(loss, list(ghost.parameters()))])
    for here, there in zip(*gradients, strict=True):
        assert error(there, here.double()) < 1e-3
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CUDA], acc_events=True
    ) as profile:
        ghost(read.cuda())
    assert "read_kernel" in {event.key for event in profile.key_averages()}
    assert torch.func.vmap(ghost)(read.cuda()[:, None, :50]).shape == (2, 1, 50, 256)


@on_gpu
def test_double_precision_is_left_to_torch() -> None:
    parts = drawn(50, dtype=torch.float64)
    found, expected = scan(*parts[:5], state=parts[5]), scan_reference(*parts[:5], state=parts[5])
    assert all(a.equal(b) for a, b in zip(found, expected, strict=True))


@on_gpu
def test_memory_grows_with_the_length() -> None:
    """Time does too (`benchmarks/ghost_gpu.py`), which other work on the GPU hides."""
    held = []
    for time in (16_384, 32_768, 65_536):
        given = [part.requires_grad_() for part in drawn(time, heads=10)[:5]]
        torch.cuda.reset_peak_memory_stats()
        torch.autograd.grad(scan(*given)[0].sum(), given)
        held.append(torch.cuda.max_memory_allocated())
    assert all(b / a <= 2.1 for a, b in pairwise(held))
