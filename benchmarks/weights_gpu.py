"""Singular values of all 226 matrices of a 7 B model on a GPU: which form is exact, which is fast, and where the time goes.

    python benchmarks/weights_gpu.py gpu.json
    python benchmarks/weights_gpu.py product.json --product

The model has Llama-2-7B's shapes in float16, noise with a few planted directions and scales of rows, in the host's memory. Only
torch is needed, but for --product. What is measured is written as soon as it is there; ``--scale 16 --device cpu`` tries it
on a small machine.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

WIDTH, INNER, VOCABULARY, LAYERS = 4096, 11008, 32000, 32
TOP, PROBES, STEPS = 16, 8, 24  # of a sketch, as in workbench.numerics.streamed
ROWS = 1 << 26  # numbers that are sent, or widened, at a time: 128 MiB of float16

Matrices = dict[str, torch.Tensor]


def shapes(scale: int) -> dict[str, tuple[int, int]]:
    """Names and shapes, each side divided by ``scale``."""
    width, inner, words = WIDTH // scale, INNER // scale, VOCABULARY // scale
    out = {"embed_tokens": (words, width)}
    for i in range(max(1, LAYERS // scale)):
        out |= {f"layers.{i}.{name}_proj": (width, width) for name in "qkvo"}
        out |= {f"layers.{i}.{name}_proj": (inner, width) for name in ("gate", "up")}
        out[f"layers.{i}.down_proj"] = (width, inner)
    return out | {"lm_head": (words, width)}


def model(scale: int, device: torch.device) -> Matrices:
    """Make the matrices on the device, and hold them in the host's memory."""
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    out = {}
    for name, (n, m) in shapes(scale).items():
        planted = (
            (normal(n, 4) * torch.tensor([8.0, 4, 2, 1], device=device)) @ normal(4, m) / (n * m) ** 0.25
        )
        out[name] = (0.02 * ((0.3 * normal(n, 1)).exp() * normal(n, m) + planted)).half().cpu()
    return out


class Clock:
    """Seconds by the clock, the device's work included."""

    def __init__(self, device: torch.device):
        self.device = device

    def now(self) -> float:
        """The time, once the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def of(self, work: Callable[[], Any], times: int = 3) -> float:
        """The least seconds of some calls, after one that isn't counted."""
        work()
        took = []
        for _ in range(times):
            start = self.now()
            work()
            took.append(self.now() - start)
        return min(took)


# -- forms -------------------------------------------------------------------------------------------


def gram(w: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The smaller Gram matrix, its products in ``dtype`` and their sum in float64."""
    n, m = w.shape
    tall = n >= m
    k = min(n, m)
    out = torch.zeros(k, k, dtype=torch.float64, device=w.device)
    step = max(1, ROWS // k)
    for low in range(0, max(n, m), step):
        part = (w[low : low + step] if tall else w[:, low : low + step].mT).to(dtype)
        out += part.mT @ part
    return out


def singular_values(g: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Descending, from a Gram matrix or a batch of them, its eigenvalues computed in ``dtype``."""
    largest = g.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]
    values = torch.linalg.eigvalsh((g / largest).to(dtype)).double() * largest[..., 0]
    return values.clamp_min(0).sqrt().flip(-1)


def sketch(w: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest singular values, and how far from each there is one at most: block Lanczos on the smaller Gram matrix."""
    wide = w.to(dtype)
    n, m = wide.shape
    if n < m:
        wide = wide.mT
    side = wide.shape[1]
    probes, steps = min(PROBES, side), min(STEPS, max(1, side // PROBES))
    generator = torch.Generator(w.device).manual_seed(0)
    start = torch.randn(side, probes, generator=generator, device=w.device, dtype=torch.float64).to(dtype)
    basis = torch.empty(side, probes * steps, dtype=dtype, device=w.device)
    q = torch.linalg.qr(start).Q
    for k in range(steps):
        basis[:, k * probes : (k + 1) * probes] = q
        if k + 1 < steps:
            held = basis[:, : (k + 1) * probes]
            q = wide.mT @ (wide @ q)
            for _ in range(2):
                q = q - held @ (held.mT @ q)
                q = torch.linalg.qr(q).Q
    exact = wide if dtype == torch.float64 else w.double() if n >= m else w.double().mT
    basis = torch.linalg.qr(basis.double()).Q
    image = exact @ basis
    values, turn = torch.linalg.eigh(image.mT @ image)
    values, turn = values.flip(0)[:TOP], turn.flip(1)[:, :TOP]
    found = values.clamp_min(0).sqrt()
    rest = (exact.mT @ (image @ turn) - (basis @ turn) * values).norm(dim=0)
    rest = rest + 2.2e-16 * values[0] * side**0.5
    return found, rest / found


# -- the whole model ---------------------------------------------------------------------------------


def uploaded(matrices: Matrices, device: torch.device, ahead: int = 3) -> Iterator[tuple[str, torch.Tensor]]:
    """Each matrix on the device, some sent ahead by a thread of their own through two pinned buffers."""
    if device.type == "cpu":
        yield from matrices.items()
        return
    pinned = [torch.empty(ROWS, dtype=torch.float16, pin_memory=True) for _ in range(2)]
    free = [torch.cuda.Event() for _ in pinned]
    sent: queue.Queue[tuple[str, torch.Tensor, torch.cuda.Event] | BaseException | None] = queue.Queue(ahead)
    ended = threading.Event()

    def send() -> None:
        try:
            stream, turn = torch.cuda.Stream(device), 0
            for name, w in matrices.items():
                there, flat = torch.empty(w.shape, dtype=w.dtype, device=device), w.view(-1)
                with torch.cuda.stream(stream):
                    for low in range(0, flat.numel(), ROWS):
                        some = flat[low : low + ROWS]
                        free[turn].synchronize()
                        pinned[turn][: some.numel()].copy_(some)
                        there.view(-1)[low : low + ROWS].copy_(
                            pinned[turn][: some.numel()], non_blocking=True
                        )
                        free[turn].record(stream)
                        turn = 1 - turn
                    done = torch.cuda.Event()
                    done.record(stream)
                if ended.is_set():
                    return
                sent.put((name, there, done))
            sent.put(None)
        except BaseException as error:  # raised again where it is taken
            sent.put(error)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    while (item := sent.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        name, there, done = item
        done.wait(torch.cuda.current_stream(device))
        yield name, there
    ended.set()
    thread.join()


def whole(
    matrices: Matrices,
    device: torch.device,
    work: Callable[[torch.Tensor], torch.Tensor],
    workers: int,
) -> dict[str, torch.Tensor]:
    """``work`` of each matrix, by several threads of a stream each."""
    out: dict[str, torch.Tensor] = {}
    waiting: queue.Queue[tuple[str, torch.Tensor] | None] = queue.Queue(workers)
    failed: list[BaseException] = []

    def answer() -> None:
        stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        try:
            with torch.cuda.stream(stream):
                while (item := waiting.get()) is not None:
                    name, w = item
                    if stream is not None:
                        stream.wait_stream(torch.cuda.default_stream(device))
                        w.record_stream(stream)
                    out[name] = work(w).cpu()
        except BaseException as error:
            failed.append(error)
            while waiting.get() is not None:
                pass

    threads = [threading.Thread(target=answer) for _ in range(workers)]
    for t in threads:
        t.start()
    for item in uploaded(matrices, device):
        waiting.put(item)
    for _ in threads:
        waiting.put(None)
    for t in threads:
        t.join()
    if failed:
        raise failed[0]
    return out


# -- what is measured --------------------------------------------------------------------------------


def of_one(matrices: Matrices, device: torch.device, clock: Clock) -> Iterator[tuple[str, Any]]:
    """Seconds of the parts, on a matrix of each shape."""
    names = ["layers.0.q_proj", "layers.0.gate_proj", "layers.0.down_proj", "lm_head"]
    for name in names:
        w = matrices[name].to(device)
        for dtype in (torch.float64, torch.float32):
            yield f"product {tuple(w.shape)} {dtype}", clock.of(lambda w=w, d=dtype: gram(w, d))
        for dtype in (torch.float64, torch.float32):
            yield f"sketch {tuple(w.shape)} {dtype}", clock.of(lambda w=w, d=dtype: sketch(w, d))
    g = gram(matrices[names[0]].to(device), torch.float64)
    for dtype in (torch.float64, torch.float32):
        for batch in (1, 4, 8):
            many = g.expand(batch, *g.shape).contiguous()
            seconds = clock.of(lambda m=many, d=dtype: singular_values(m, d), 2) / batch
            yield f"eigenvalues {tuple(g.shape)} {dtype}, {batch} at once, each", seconds
        for workers in (2, 4, 8):
            some = {str(i): g for i in range(2 * workers)}
            seconds = clock.of(
                lambda s=some, d=dtype, k=workers: _on_streams(s, device, lambda x: singular_values(x, d), k),
                1,
            )
            yield f"eigenvalues {tuple(g.shape)} {dtype}, {workers} streams, each", seconds / len(some)
    host = g.cpu().numpy()
    start = time.perf_counter()
    torch.linalg.eigvalsh(torch.from_numpy(host))
    yield (
        f"eigenvalues {tuple(g.shape)} on the processors ({torch.get_num_threads()} threads)",
        time.perf_counter() - start,
    )
    w = matrices[names[0]].to(device)
    yield f"svdvals {tuple(w.shape)} torch.float64", clock.of(lambda: torch.linalg.svdvals(w.double()), 1)
    yield f"svdvals {tuple(w.shape)} torch.float32", clock.of(lambda: torch.linalg.svdvals(w.float()), 1)


def _on_streams(
    held: Matrices, device: torch.device, work: Callable[[torch.Tensor], torch.Tensor], workers: int
) -> None:
    """``work`` of tensors that are on the device."""
    names = iter(list(held))
    lock = threading.Lock()
    failed: list[BaseException] = []

    def answer() -> None:
        stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        try:
            with torch.cuda.stream(stream):
                while True:
                    with lock:
                        name = next(names, None)
                    if name is None:
                        break
                    work(held[name]).cpu()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=answer) for _ in range(workers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failed:
        raise failed[0]


def errors(matrices: Matrices, device: torch.device) -> Iterator[tuple[str, Any]]:
    """How far each form is from NumPy's order of exactness, float64 svdvals, over the largest value."""
    for name in ("layers.0.q_proj", "layers.0.gate_proj", "layers.0.down_proj"):
        w = matrices[name].to(device)
        true = torch.linalg.svdvals(w.double())
        of = {"of the least over the largest": float(true[-1] / true[0])}
        for product in (torch.float64, torch.float32):
            g = gram(w, product)
            for eigen in (torch.float64, torch.float32):
                s = singular_values(g, eigen)
                of[f"product {product}, eigenvalues {eigen}"] = float((s - true).abs().max() / true[0])
        of["svdvals torch.float32"] = float(
            (torch.linalg.svdvals(w.float()).double() - true).abs().max() / true[0]
        )
        for dtype in (torch.float64, torch.float32):
            s, bound = sketch(w, dtype)
            away = (s[:, None] - true).abs().amin(1)
            of |= {
                f"sketch {dtype}, largest error": float((s - true[: len(s)]).abs().max() / true[0]),
                f"sketch {dtype}, largest bound": float(bound.max() / true[0]),
                f"sketch {dtype}, of {len(s)} within their bound": int(
                    (away <= bound + 1e-12 * true[0]).sum()
                ),
            }
        yield f"errors {name}", of


def wholes(
    matrices: Matrices, device: torch.device, clock: Clock, workers: tuple[int, ...]
) -> Iterator[tuple[str, Any]]:
    """Seconds of all matrices from the host's memory, sending hidden behind the work."""

    def upload() -> None:
        for _ in uploaded(matrices, device):
            pass

    yield "upload alone", clock.of(upload, 1)
    for k in workers:
        for dtype in (torch.float64, torch.float32):
            yield (
                f"sketch of all, {dtype}, {k} streams",
                clock.of(
                    lambda d=dtype, k=k: whole(matrices, device, lambda w: torch.cat(sketch(w, d)), k), 1
                ),
            )
    for k in workers:
        for product, eigen in ((torch.float64, torch.float64), (torch.float32, torch.float32)):

            def spectrum(w: torch.Tensor, p: torch.dtype = product, e: torch.dtype = eigen) -> torch.Tensor:
                return singular_values(gram(w, p), e)

            start = clock.now()
            whole(matrices, device, spectrum, k)
            yield (
                f"all values of all, products {product}, eigenvalues {eigen}, {k} streams",
                clock.now() - start,
            )


def product(matrices: Matrices, device: torch.device, clock: Clock) -> Iterator[tuple[str, Any]]:
    """Seconds of ``wb.weights`` itself, as a whole without and with controls, and of the parts of one matrix of each shape."""
    import numpy as np

    import workbench as wb
    from workbench.analyses.weights._roles import role_of
    from workbench.subjects.checkpoint import Checkpoint, TensorInfo

    held = {n: w.numpy() for n, w in matrices.items()}
    infos = {n: TensorInfo(n, w.shape, "F16", w.nbytes) for n, w in held.items()}
    net = Checkpoint(infos, held.__getitem__, name="made up", content=lambda: "made up")
    # kernels, pinned memory and linear algebra are loaded by a small network
    few = net.at("layers.0.k_proj", "layers.0.v_proj")
    for largest in (0, 1 << 20):
        wb.weights.function(few, largest_exact=largest, n_null=20, device=device.type)
    for largest, n_null in ((0, 0), (0, 99), (1 << 20, 0), (1 << 20, 99)):
        start, cpu = time.perf_counter(), time.process_time()
        found = wb.weights.function(net, largest_exact=largest, n_null=n_null, device=device.type)
        took = time.perf_counter() - start
        what = "sketch" if largest == 0 else "exact"
        yield (
            f"wb.weights, {what}, {n_null} draws, {len(found.matrices)} matrices",
            {"seconds": took, "processor": time.process_time() - cpu},
        )
    for name in ("layers.0.q_proj", "layers.0.gate_proj", "layers.0.down_proj", "lm_head"):
        w = held[name]
        for what, seconds in _phases(w, device, clock, role_of(name, w.shape), np.random.default_rng(0)):
            yield f"{w.shape[0]:,} x {w.shape[1]:,}: {what}", seconds


def _phases(w: Any, device: torch.device, clock: Clock, role: Any, rng: Any) -> Iterator[tuple[str, float]]:
    """Seconds of what is asked of one matrix, each part alone."""
    import numpy as np

    from workbench.analyses.weights import _weighing
    from workbench.analyses.weights._held import InFile, OnDevice
    from workbench.core.lazy import LazyTensor
    from workbench.numerics import streamed_torch
    from workbench.numerics.heavy_tails import against_lognormal, against_truncated, tail
    from workbench.numerics.number_grids import grid_of

    matrix = LazyTensor.of(w)
    keep = np.sort(rng.choice(len(w), min(len(w), _weighing.BLOCK), replace=False))
    yield "sending", clock.of(lambda: streamed_torch.held(matrix, device))
    there = OnDevice(matrix, streamed_torch.held(matrix, device))
    yield "sums over entries", clock.of(lambda: there.measures(keep, gram=False))
    sums = there.measures(keep, gram=False)
    yield "sums over entries on the processor", clock.of(lambda: InFile(matrix).measures(keep, gram=False), 1)
    yield "grid, outliers", clock.of(lambda: (_weighing._of_entries(sums), grid_of(sums.kept[:32])))
    yield "Gram matrix and all its eigenvalues", clock.of(lambda: there.by_gram(sums))
    yield "sketch", clock.of(lambda: there.sketch(_weighing.TOP, np.random.default_rng(1)))
    s, found = there.by_gram(sums), there.sketch(_weighing.TOP, rng)
    yield (
        "what the values say, once the band of noise is known",
        clock.of(lambda: _weighing._of_spectrum(s, sums, None)),
    )
    yield "the same of a sketch", clock.of(lambda: _weighing._of_spectrum(found.bulk, sums, found))
    x = np.square(s)
    yield "one fit of the tail", clock.of(lambda: tail(x))
    fitted = tail(x)
    if fitted is not None:
        yield (
            "alternatives to the tail",
            clock.of(lambda: (against_lognormal(x, fitted), against_truncated(x, fitted))),
        )
        yield "tail with 99 draws", clock.of(lambda: _weighing._tail("w", s, {}, 99, 0), 1)
    yield (
        "turned signs, 99 draws",
        clock.of(lambda: _weighing._against_turned("w", there, sums, np.random.default_rng(2), 99, 0)),
    )
    for what, exact in (("exact", True), ("sketch", False)):
        for n_null in (0, 99):
            yield (
                f"all that is said, {what}, {n_null} draws",
                clock.of(
                    lambda e=exact, n=n_null: _weighing.weigh(
                        "w",
                        role,
                        "F16",
                        exact=e,
                        small_values=False,
                        n_null=n,
                        random_state=0,
                        held=there,
                    ),
                    2,
                ),
            )


def main() -> None:
    """Measure, and write what was measured so far after each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--scale", type=int, default=1, help="what each side is divided by")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[4, 1], help="threads and streams of the whole"
    )
    parser.add_argument("--product", action="store_true", help="wb.weights alone, which has to be importable")
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.backends.cuda.matmul.allow_tf32 = False
    clock = Clock(device)
    start = clock.now()
    matrices = model(given.scale, device)
    numbers = sum(w.numel() for w in matrices.values())
    figures: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "matrices": len(matrices),
        "numbers": numbers,
        "seconds to make them": clock.now() - start,
    }

    def keep() -> None:
        part = given.out.with_suffix(".part")
        part.write_text(json.dumps(figures, indent=1) + "\n")
        os.replace(part, given.out)

    keep()
    measured = (
        (product(matrices, device, clock),)
        if given.product
        else (
            errors(matrices, device),
            of_one(matrices, device, clock),
            wholes(matrices, device, clock, tuple(given.workers)),
        )
    )
    for found in measured:
        for name, value in found:
            figures[name] = value
            print(f"{name}: {value}", flush=True)
            keep()
    if device.type == "cuda":
        figures["largest memory held on the device"] = torch.cuda.max_memory_allocated(device)
        keep()


if __name__ == "__main__":
    main()
