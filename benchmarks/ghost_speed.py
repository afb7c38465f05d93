"""How fast Ghost's blocks train beside transformers' Mamba-2 of the same size, on one thread.

``python benchmarks/ghost_speed.py --width 320 --blocks 8`` times a forward pass and a forward with backward at each length, in
processor seconds, the two in turn, and checks first that the same weights give the same output. Ghost is without attention
here, since Mamba-2 has none. Chunks are those of each by default (64 and 256), and without its own kernels transformers takes its
reference in torch, which is what it has on a processor.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import Mamba2Config, Mamba2ForCausalLM

from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.model import Ghost


def built(width: int, blocks: int) -> tuple[Ghost, Any]:
    torch.manual_seed(0)
    ghost = Ghost(GhostConfig(width=width, blocks=blocks, attend_every=0))
    config = Mamba2Config(
        vocab_size=256,
        hidden_size=width,
        num_hidden_layers=blocks,
        state_size=32,
        expand=2,
        head_dim=64,
        num_heads=2 * width // 64,
        n_groups=1,
        residual_in_fp32=False,
        tie_word_embeddings=False,
    )
    peer = Mamba2ForCausalLM(config)
    peer.load_state_dict(ghost.state_dict())
    return ghost, peer


def processor_seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512, 2048])
    given = parser.parse_args()
    torch.set_num_threads(1)
    ghost, peer = built(given.width, given.blocks)
    asks: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "ghost": ghost,
        "transformers": lambda x: peer(x).logits,
    }
    print(f"{sum(p.numel() for p in ghost.parameters()):,} parameters")
    for length in given.lengths:
        x = torch.randint(0, 256, (1, length), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            ours, theirs = asks["ghost"](x), asks["transformers"](x)
            apart = float((ours - theirs).abs().max() / theirs.abs().max())
        took: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in asks}
        for k in range(given.repeats + 1):
            for name, ask in asks.items():
                with torch.no_grad():
                    forward = processor_seconds(lambda ask=ask, x=x: ask(x))
                both = processor_seconds(lambda ask=ask, x=x: ask(x).logsumexp(-1).sum().backward())
                if k:  # the first isn't counted
                    took[name][0].append(forward)
                    took[name][1].append(both)
        median = {name: [1e3 * statistics.median(part) for part in parts] for name, parts in took.items()}
        ratio = [a / b for a, b in zip(median["ghost"], median["transformers"], strict=True)]
        print(
            f"{length} bytes, {apart:.1e} apart: "
            + "; ".join(f"{n} {m[0]:.0f} ms forward, {m[1]:.0f} with backward" for n, m in median.items())
            + f"; ghost by transformers {ratio[0]:.2f} and {ratio[1]:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
