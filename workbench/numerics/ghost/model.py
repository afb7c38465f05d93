"""Ghost: bytes in, the next byte out; state-space blocks, some attention, and units of text that it finds itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from workbench.numerics.ghost.attention import SparseAttention
from workbench.numerics.ghost.mixer import Mixer, Norm, State
from workbench.numerics.ghost.names import Places, Step, Tokenizer
from workbench.numerics.ghost.tokenizing import Boundaries, Router, fixed, gathered, spread

MODEL_TYPE = "workbench_ghost"
BYTES = 256


class GhostConfig(BaseModel):
    """Everything that decides a Ghost's shape; what its ``config.json`` holds.

    Attributes
    ----------
    width, blocks, states, head, expand, convolution : see `Mixer`.
    attend_every : attention follows each so-manieth block; 0 for none. heads, window, stride, far : see
        `SparseAttention`.
    tokenizer : where units begin: ``learned``, at every ``fourth`` byte, after ``spaces``; ``none`` has no units.
    outer : blocks that read bytes before units are made, and as many after; those between read units.
    places : what attention takes for the place of a position: its ``index``, or its ``content``, the sum of the
        probabilities that units began until there.
    step, rotating : see `Mixer`.
    substeps : a block's change is taken in so many steps of Euler's, each with the block's own weights: an ordinary
        differential equation in depth.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model_type: Literal["workbench_ghost"] = "workbench_ghost"
    width: Annotated[int, Field(ge=8, le=8192)] = 320
    blocks: Annotated[int, Field(ge=1, le=256)] = 8
    states: Annotated[int, Field(ge=2, le=1024)] = 32
    head: Annotated[int, Field(ge=1, le=1024)] = 64
    expand: Annotated[int, Field(ge=1, le=8)] = 2
    convolution: Annotated[int, Field(ge=1, le=16)] = 4
    attend_every: Annotated[int, Field(ge=0, le=256)] = 4
    heads: Annotated[int, Field(ge=1, le=256)] = 5
    window: Annotated[int, Field(ge=1, le=65536)] = 128
    stride: Annotated[int, Field(ge=1, le=65536)] = 16
    far: Annotated[int, Field(ge=0, le=65536)] = 256
    tokenizer: Tokenizer = "none"
    outer: Annotated[int, Field(ge=1, le=64)] = 2
    places: Places = "index"
    step: Step = "euler"
    rotating: bool = False
    substeps: Annotated[int, Field(ge=1, le=16)] = 1

    @model_validator(mode="after")
    def _fits(self) -> GhostConfig:
        if (self.expand * self.width) % self.head:
            raise ValueError(
                f"head={self.head} must divide the inner width, expand * width = {self.expand * self.width}"
            )
        if self.attend_every and (self.width % self.heads or (self.width // self.heads) % 2):
            raise ValueError(f"heads={self.heads} must cut width={self.width} into heads of an even width")
        if self.rotating and self.states % 2:
            raise ValueError(f"states={self.states} must be even where the state rotates")
        if self.tokenizer != "none" and self.blocks <= 2 * self.outer:
            raise ValueError(
                f"blocks={self.blocks} leaves none to read units: {2 * self.outer} read bytes (outer={self.outer})"
            )
        return self


class Block(nn.Module):
    """A mixer on normalized input, added to what came in."""

    def __init__(self, config: GhostConfig):
        super().__init__()
        self.norm = Norm(config.width)
        self.mixer = Mixer(
            config.width,
            states=config.states,
            head=config.head,
            expand=config.expand,
            convolution=config.convolution,
            step=config.step,
            rotating=config.rotating,
        )
        self.substeps = config.substeps

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        for k in range(self.substeps):
            own = None if state is None else _part(state, f"{k}.")
            x = x + self.mixer(self.norm(x), own) / self.substeps
            if state is not None and own is not None:
                state.update({f"{k}.{name}": held for name, held in own.items()})
        return x


class Attending(nn.Module):
    """Attention on normalized input, added to what came in."""

    def __init__(self, config: GhostConfig):
        super().__init__()
        self.norm = Norm(config.width)
        self.attention = SparseAttention(
            config.width, config.heads, window=config.window, stride=config.stride, far=config.far
        )

    def forward(self, x: torch.Tensor, places: torch.Tensor, state: State | None = None) -> torch.Tensor:
        return x + self.attention(self.norm(x), places, state)


class Backbone(nn.Module):
    """Everything of a Ghost between its bytes and its head, named as transformers' Mamba-2 names it."""

    def __init__(self, config: GhostConfig):
        super().__init__()
        self.embeddings = nn.Embedding(BYTES, config.width)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.blocks))
        every = config.attend_every
        self.attention = nn.ModuleDict(
            {str(i): Attending(config) for i in range(config.blocks) if every and (i + 1) % every == 0}
        )
        if config.tokenizer == "learned" or config.places == "content":
            self.router = Router(config.width)
        if config.tokenizer != "none":
            self.residual = nn.Linear(config.width, config.width, bias=False)
        self.norm_f = Norm(config.width)


@dataclass(frozen=True, eq=False)
class Reading:
    """What a Ghost made of some bytes.

    Attributes
    ----------
    logits : (b, t, 256) of the byte after each. hidden : (b, t, width), what the head reads.
    boundaries : where units begin; None of a Ghost that has none.
    """

    logits: torch.Tensor
    hidden: torch.Tensor
    boundaries: Boundaries | None


class GhostState(dict[str, State]):
    """What a Ghost remembers of a stream: of each of its parts, tensors by name. Its size doesn't grow.

    Streams of several sequences at once need a Ghost without a tokenizer, since units begin at other bytes in each.
    """

    def part(self, name: str) -> State:
        """That of one part, empty at first."""
        return self.setdefault(name, {})

    def flat(self) -> dict[str, torch.Tensor]:
        """All tensors under one name each, to be saved."""
        return {f"{part}/{name}": held for part, own in self.items() for name, held in own.items()}

    @classmethod
    def of(cls, flat: dict[str, torch.Tensor]) -> GhostState:
        """The state that `flat` gave."""
        found = cls()
        for name, held in flat.items():
            part, _, own = name.partition("/")
            found.part(part)[own] = held
        return found


class Ghost(nn.Module):
    """A causal model of bytes."""

    def __init__(self, config: GhostConfig | None = None):
        super().__init__()
        self.config = config or GhostConfig()
        self.backbone = Backbone(self.config)
        self.lm_head = nn.Linear(self.config.width, BYTES, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw embedding and head small, and what is added to the stream smaller where more is added."""
        nn.init.normal_(self.backbone.embeddings.weight, std=0.02)
        nn.init.normal_(self.lm_head.weight, std=0.02)
        added = self.config.blocks + len(self.backbone.attention)
        with torch.no_grad():
            for block in self._blocks():
                block.mixer.out_proj.weight.div_(added**0.5)
            for attending in self.backbone.attention.values():
                attending.attention.o_proj.weight.div_(added**0.5)  # type: ignore[operator, union-attr]

    def _blocks(self) -> Iterator[Block]:
        return iter(self.backbone.layers)  # type: ignore[arg-type]

    def forward(self, input_ids: torch.Tensor, state: GhostState | None = None) -> torch.Tensor:
        """(b, t) bytes to the (b, t, 256) logits of the byte after each; see `read`."""
        return self.read(input_ids, state).logits

    def read(
        self,
        input_ids: torch.Tensor,
        state: GhostState | None = None,
        *,
        change: Callable[[int, torch.Tensor], torch.Tensor] | None = None,
    ) -> Reading:
        """Read bytes, after those that ``state`` has seen, which is brought up to date.

        Parameters
        ----------
        change : gives what takes the place of the stream after each block, by the block's number; a memory comes in here.
        """
        x = self.backbone.embeddings(input_ids)
        blocks, outer, config = len(self.backbone.layers), self.config.outer, self.config
        probability = None
        if hasattr(self.backbone, "router"):
            probability = self.backbone.router(x, _of(state, "router"))
        if config.tokenizer == "none":
            places = self._places(input_ids, probability, state)
            hidden = self._through(range(blocks), x, places, state, change)
            found = None if probability is None else Boundaries(probability, probability >= 0.5)
        else:
            found = self._boundaries(input_ids, probability, state)
            places = self._places(input_ids, probability, state)
            x = self._through(range(outer), x, places, state, change)
            units = gathered(x, found.begins)
            if units.shape[1]:
                apart = gathered(places, found.begins) if config.places == "content" else None
                where = self._index(units.shape[:2], state, "units") if apart is None else apart
                units = self._through(range(outer, blocks - outer), units, where, state, change)
            x = self.backbone.residual(x) + spread(units, found, _of(state, "units"))
            hidden = self._through(range(blocks - outer, blocks), x, places, state, change)
        hidden = self.backbone.norm_f(hidden)
        return Reading(self.lm_head(hidden), hidden, found)

    def _through(
        self,
        which: range,
        x: torch.Tensor,
        places: torch.Tensor,
        state: GhostState | None,
        change: Callable[[int, torch.Tensor], torch.Tensor] | None,
    ) -> torch.Tensor:
        for i in which:
            x = self.backbone.layers[i](x, _of(state, f"layers.{i}"))
            if str(i) in self.backbone.attention:
                x = self.backbone.attention[str(i)](x, places, _of(state, f"attention.{i}"))
            if change is not None:
                x = change(i, x)
        return x

    def _boundaries(
        self, read: torch.Tensor, probability: torch.Tensor | None, state: GhostState | None
    ) -> Boundaries:
        if self.config.tokenizer == "learned":
            assert probability is not None
            return Boundaries(probability, probability >= 0.5)
        own = _of(state, "fixed")
        begin = 0 if not own else int(own["seen"])
        begins = fixed(self.config.tokenizer, read, begin, None if not own else own["last"])
        if own is not None:
            own["seen"], own["last"] = torch.tensor(begin + read.shape[1]), read[:, -1:]
        return Boundaries(begins.to(self.lm_head.weight.dtype), begins)

    def _places(
        self, read: torch.Tensor, probability: torch.Tensor | None, state: GhostState | None
    ) -> torch.Tensor:
        """(b, t), float64, where positions stand for attention."""
        if self.config.places == "index":
            return self._index(read.shape[:2], state, "places")
        assert probability is not None
        own = _of(state, "content")
        places = probability.double().cumsum(1)
        if own:
            places = places + own["sum"]
        if own is not None:
            own["sum"] = places[:, -1:].detach()
        return places

    def _index(self, shape: torch.Size, state: GhostState | None, name: str) -> torch.Tensor:
        own = _of(state, f"{name} index")
        begin = 0 if not own else int(own["seen"])
        if own is not None:
            own["seen"] = torch.tensor(begin + shape[1])
        device = self.lm_head.weight.device
        return torch.arange(begin, begin + shape[1], dtype=torch.float64, device=device).expand(*shape)


def _of(state: GhostState | None, name: str) -> State | None:
    return None if state is None else state.part(name)


def _part(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): held for name, held in state.items() if name.startswith(prefix)}
