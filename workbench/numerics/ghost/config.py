"""What decides a Ghost's shape, and which shapes there are.

A plain dataclass, so that the modules need torch alone; a ``config.json`` is read by `GhostConfig.of`.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from workbench.numerics.ghost.names import Mixing, Places, Query, Step, Tokenizer

MODEL_TYPE = "workbench_ghost"
RANGES: Mapping[str, tuple[int, int]] = {
    "width": (8, 8192),
    "blocks": (1, 256),
    "states": (2, 1024),
    "head": (1, 1024),
    "expand": (1, 8),
    "convolution": (1, 16),
    "attend_every": (0, 256),
    "heads": (1, 256),
    "window": (1, 65536),
    "stride": (1, 65536),
    "far": (0, 65536),
    "outer": (1, 64),
    "substeps": (1, 16),
    "memory": (0, 8192),
    "slots": (0, 65536),
}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "tokenizer": typing.get_args(Tokenizer),
    "places": typing.get_args(Places),
    "step": typing.get_args(Step),
    "mixing": typing.get_args(Mixing),
    "slot_query": typing.get_args(Query),
}


@dataclass(frozen=True)
class GhostConfig:
    """Everything that decides a Ghost's shape; what its ``config.json`` holds.

    Attributes
    ----------
    width, blocks, states, head, expand, convolution : see `Mixer`.
    attend_every : attention follows the block of this number, twice it and so on; 0 for none. heads, window, stride, far : see
        `SparseAttention`.
    tokenizer : where units begin: ``learned``, at every ``fourth`` byte, after ``spaces``; ``none`` has no units.
    outer : blocks that read bytes before units are made, and as many after; those between read units.
    places : what attention takes for the place of a position: its ``index``, or its ``content``, the sum of the
        probabilities that units began until there.
    mixing : blocks are those of Mamba-2 (`Mixer`), or of S6 (`S6Mixer`), which takes no ``head``, ``step`` and ``rotating``.
    step, rotating : see `Mixer`.
    memory : numbers of a key of the written memory (see `Memory`); 0 has none. memory_at : blocks whose states make a key;
        what is read comes in after the second. memory_every : it comes in after each later block too, by a gate of its own;
        keys stay those of the two, since later states hold what was read. memory_raw : gates see the byte that was read last.
    slots, slot_query : a memory of learned slots, after the block in the middle (see `Slots`); 0 has none.
    substeps : a block's change is taken in so many steps of Euler's, each with the block's own weights: an ordinary
        differential equation in depth.

    Raises
    ------
    ValueError
        A number is out of its range, or numbers don't go together; the message begins with what it is about.
    """

    model_type: ClassVar[str] = MODEL_TYPE

    width: int = 320
    blocks: int = 8
    states: int = 32
    head: int = 64
    expand: int = 2
    convolution: int = 4
    attend_every: int = 4
    heads: int = 5
    window: int = 128
    stride: int = 16
    far: int = 256
    tokenizer: Tokenizer = "none"
    outer: int = 2
    places: Places = "index"
    step: Step = "euler"
    rotating: bool = False
    substeps: int = 1
    memory: int = 0
    memory_at: tuple[int, int] = (1, 3)
    memory_every: bool = False
    memory_raw: bool = False
    mixing: Mixing = "mamba2"
    slots: int = 0
    slot_query: Query = "position"

    @classmethod
    def of(cls, read: Mapping[str, Any]) -> GhostConfig:
        """That of a ``config.json``; raises as the class does, of names that it hasn't too."""
        given = dict(read)
        if given.pop("model_type", MODEL_TYPE) != MODEL_TYPE:
            raise ValueError(f"model_type: it must be {MODEL_TYPE!r}, not {read['model_type']!r}")
        known = {field.name for field in fields(cls)}
        for name in given.keys() - known:
            raise ValueError(
                f"{name}: there is no such number of a Ghost; there are {', '.join(sorted(known))}"
            )
        if isinstance(at := given.get("memory_at"), list):
            given["memory_at"] = tuple(at)
        return cls(**given)

    def as_json(self) -> dict[str, Any]:
        """What ``config.json`` holds."""
        return {"model_type": MODEL_TYPE, **asdict(self), "memory_at": list(self.memory_at)}

    @property
    def memory_places(self) -> range:
        """Blocks after which what is read of a memory comes in."""
        late = self.memory_at[1]
        return range(late, self.blocks if self.memory_every else late + 1)

    def __post_init__(self) -> None:
        self._in_range()
        self._fits()

    def _in_range(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ValueError(f"{name}: it must be a whole number from {low:,} to {high:,}, not {value!r}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name}: it must be one of {', '.join(choices)}, not {getattr(self, name)!r}"
                )
        for name in ("rotating", "memory_every", "memory_raw"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name}: it must be true or false, not {getattr(self, name)!r}")
        at = self.memory_at
        if not isinstance(at, tuple) or len(at) != 2 or any(type(i) is not int for i in at):
            raise ValueError(f"memory_at: it must be two whole numbers, not {at!r}")

    def _fits(self) -> None:
        if (self.expand * self.width) % self.head:
            raise ValueError(
                f"head={self.head} must divide the inner width, expand * width = {self.expand * self.width}"
            )
        if self.attend_every and (self.width % self.heads or (self.width // self.heads) % 2):
            raise ValueError(f"heads={self.heads} must cut width={self.width} into heads of an even width")
        if self.rotating and self.states % 2:
            raise ValueError(f"states={self.states} must be even where the state rotates")
        if self.mixing == "s6" and (self.step != "euler" or self.rotating):
            raise ValueError("mixing='s6' takes step='euler' and no rotating state: those are of 'mamba2'")
        early, late = self.memory_at
        if self.memory and not 0 <= early < late < self.blocks - 1:
            raise ValueError(
                f"memory_at={self.memory_at} must name two of the blocks 0 to {self.blocks - 2}, the earlier first"
            )
        if self.memory and self.tokenizer != "none":
            raise ValueError("a memory is read byte by byte: it takes tokenizer='none'")
        if self.tokenizer != "none" and self.blocks <= 2 * self.outer:
            raise ValueError(
                f"blocks={self.blocks} leaves none to read units: {2 * self.outer} read bytes (outer={self.outer})"
            )
