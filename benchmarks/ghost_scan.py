"""How long a layer's scan takes on one thread, by how it is computed: processor milliseconds, the least of some repeats in turn.

``python benchmarks/ghost_scan.py --lengths 512``, and ``--lengths 512 4096 --only chunks --chunks 32 64`` for how it grows (S6 by
doubling takes gigabytes at 4,096 with backward), take the default model's layer (10 heads of 64, state 32; one text, float32): the
scan in chunks of several sizes, the same recurrence position after position, and S6's (640 channels, state 16) position after
position and by doubling, where each of log2(t) rounds joins pairs twice as far apart (Hillis and Steele 1986). Each is compared with its
recurrence in float64 first. Forward alone, and forward with backward.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from workbench.numerics.ghost.s6 import selective_scan
from workbench.numerics.kernels.scan_plain import scan_in_steps, scan_reference

HEADS, HEAD, STATE = 10, 64, 32
Work = Callable[..., torch.Tensor]


def drawn(length: int) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """What Mamba-2's scan takes, with steps and decays of a model's start; and what S6's takes, at half the state."""
    gen = torch.Generator().manual_seed(length)
    step = 10 ** -(1 + 2 * torch.rand(1, length, HEADS, generator=gen))
    log_decay = -torch.arange(1, HEADS + 1) * step
    x = torch.randn(1, length, HEADS, HEAD, generator=gen)
    B, C = (torch.randn(1, length, 1, STATE, generator=gen) for _ in range(2))
    half = STATE // 2
    steps = step.repeat_interleave(HEAD, -1)[..., None]
    decay = (-torch.arange(1, half + 1) * steps).exp()
    given = steps * x.flatten(2)[..., None] * B[..., :half]
    return (x, log_decay, step, B, C), (decay, given, C[:, :, 0, :half])


def s6_in_steps(decay: torch.Tensor, given: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    return selective_scan(decay, given, C, torch.zeros_like(given[:, 0]))[0]


def s6_by_doubling(decay: torch.Tensor, given: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    """Invariant: ``held`` is what the last ``apart`` positions gave, ``decay`` by how much what was before them has decayed."""
    held, apart = given, 1
    while apart < given.shape[1]:
        held = torch.cat([held[:, :apart], held[:, apart:] + decay[:, apart:] * held[:, :-apart]], 1)
        decay = torch.cat([decay[:, :apart], decay[:, apart:] * decay[:, :-apart]], 1)
        apart *= 2
    return (held @ C[..., None])[..., 0]


def in_chunks(chunk: int) -> Work:
    return lambda *given: scan_reference(*given, chunk=chunk)[0]


def milliseconds(work: Work, given: tuple[torch.Tensor, ...], backward: bool) -> float:
    given = tuple(part.detach().requires_grad_(backward) for part in given)
    began = time.process_time()
    with torch.set_grad_enabled(backward):
        y = work(*given)
        if backward:
            y.sum().backward()
    return 1e3 * (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lengths", type=int, nargs="+", default=[512])
    parser.add_argument("--chunks", type=int, nargs="+", default=[16, 32, 64, 128, 256])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--only", default="", help="ways whose names have this in them, such as 'chunks'")
    given = parser.parse_args()
    torch.set_num_threads(1)
    sequential: dict[str, Work] = {"mamba": lambda *g: scan_in_steps(*g)[0], "s6": s6_in_steps}
    ways: dict[str, tuple[str, Work]] = {f"chunks of {c}": ("mamba", in_chunks(c)) for c in given.chunks}
    ways |= {"sequential": ("mamba", sequential["mamba"]), "S6 sequential": ("s6", s6_in_steps)}
    ways["S6 by doubling"] = ("s6", s6_by_doubling)
    ways = {name: way for name, way in ways.items() if given.only in name}
    for length in given.lengths:
        asked = dict(zip(sequential, drawn(length), strict=True))
        exact = {of: work(*(part.double() for part in asked[of])) for of, work in sequential.items()}
        error = {
            name: float((work(*asked[of]) - exact[of]).abs().max() / exact[of].abs().max())
            for name, (of, work) in ways.items()
        }
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(given.repeats):
            for name, (of, work) in ways.items():
                took[name].append((milliseconds(work, asked[of], False), milliseconds(work, asked[of], True)))
        for name in ways:
            forward, both = (min(part) for part in zip(*took[name], strict=True))
            print(
                f"{length:,} bytes, {name}: {forward:.1f} ms forward, {both:.1f} with backward; {error[name]:.1e} from float64",
                flush=True,
            )


if __name__ == "__main__":
    main()
