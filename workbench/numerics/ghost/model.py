"""Ghost: bytes in, the next byte out; state-space blocks, some attention, and units of text that it finds itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from workbench.numerics.ghost.attention import SparseAttention
from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.memory import Memory, Read, Rows
from workbench.numerics.ghost.mixer import Mixer, Norm, State
from workbench.numerics.ghost.s6 import S6Mixer
from workbench.numerics.ghost.slots import Slots
from workbench.numerics.ghost.tokenizing import Boundaries, Router, fixed, gathered, spread

BYTES = 256
TOP = 32  # keys of a memory that a position reads at most


class Block(nn.Module):
    """A mixer on normalized input, added to what came in."""

    def __init__(self, config: GhostConfig):
        super().__init__()
        self.norm = Norm(config.width)
        sizes = {"states": config.states, "expand": config.expand, "convolution": config.convolution}
        self.mixer: Mixer | S6Mixer
        if config.mixing == "s6":
            self.mixer = S6Mixer(config.width, **sizes)
        else:
            self.mixer = Mixer(
                config.width, head=config.head, step=config.step, rotating=config.rotating, **sizes
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
        if config.memory:
            self.memory = Memory(
                config.width, config.memory, places=len(config.memory_places), raw=config.memory_raw
            )
        if config.slots:
            self.slots = Slots(config.width, config.slots, query=config.slot_query)
        self.norm_f = Norm(config.width)


@dataclass(frozen=True, eq=False)
class Reading:
    """What a Ghost made of some bytes.

    Attributes
    ----------
    logits : (b, t, 256) of the byte after each. hidden : (b, t, width), what the head reads.
    boundaries : where units begin; None of a Ghost that has none.
    memory : what was read of a memory; None where none was given.
    """

    logits: torch.Tensor
    hidden: torch.Tensor
    boundaries: Boundaries | None
    memory: Read | None = None


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
        with torch.no_grad():
            self.lm_head.weight.copy_(
                self.backbone.embeddings.weight
            )  # a byte that is in the stream is foretold
        added = self.config.blocks + len(self.backbone.attention)
        with torch.no_grad():
            for block in self._blocks():
                block.mixer.out_proj.weight.div_(added**0.5)
            for attending in self.backbone.attention.values():
                attending.attention.o_proj.weight.div_(added**0.5)  # type: ignore[operator, union-attr]

    def _blocks(self) -> Iterator[Block]:
        return iter(self.backbone.layers)  # type: ignore[arg-type]

    def forward(
        self, input_ids: torch.Tensor, state: GhostState | None = None, rows: Rows | None = None
    ) -> torch.Tensor:
        """(b, t) bytes to the (b, t, 256) logits of the byte after each; see `read`."""
        return self.read(input_ids, state, rows).logits

    def keys(self, input_ids: torch.Tensor) -> torch.Tensor:
        """(b, t) bytes to the (b, t, k) keys that the memory has of them."""
        early, late = self.config.memory_at
        x = self.backbone.embeddings(input_ids)
        states: dict[int, torch.Tensor] = {}
        places = self._index(input_ids.shape, None, "places")
        self._through(range(late + 1), x, places, None, lambda i, x: states.setdefault(i, x))
        return self.backbone.memory.keys(states[early], states[late])

    def rows_of(self, x: torch.Tensor, real: torch.Tensor) -> Rows:
        """What the memory holds of rows (n, t) that are read at once, to be trained; ``real`` says which bytes are no padding."""
        keys = self.keys(x[:, :-1])
        held = real[:, 1:]
        which = torch.arange(len(x), device=x.device)[:, None].expand(held.shape)
        return Rows(keys[held], x[:, 1:][held], which[held])

    @torch.no_grad()
    def written(self, texts: Sequence[bytes]) -> Rows:
        """What the memory holds of rows of bytes, each read alone."""
        device = self.lm_head.weight.device
        parts = []
        for text in texts:
            x = torch.tensor([list(text)], device=device)
            parts.append((self.keys(x[:, :-1])[0], x[0, 1:]))
        return Rows.joined(parts, self.config.memory)

    def read(
        self,
        input_ids: torch.Tensor,
        state: GhostState | None = None,
        rows: Rows | None = None,
        *,
        top: int = TOP,
    ) -> Reading:
        """Read bytes, after those that ``state`` has seen, which is brought up to date.

        Parameters
        ----------
        rows : a memory's, which every position may read from. top : as many of its keys are read at each.
        """
        x = self.backbone.embeddings(input_ids)
        blocks, outer, config = len(self.backbone.layers), self.config.outer, self.config
        probability = None
        if hasattr(self.backbone, "router"):
            probability = self.backbone.router(x, _of(state, "router"))
        found, asking = None, None
        if config.tokenizer == "none":
            places = self._places(input_ids, probability, state)
            asking = _Asking(self, rows, top, x) if rows is not None and len(rows) else None
            hidden = self._through(range(blocks), x, places, state, asking)
            if probability is not None:
                found = Boundaries(probability, probability >= 0.5)
        else:
            found = self._boundaries(input_ids, probability, state)
            places = self._places(input_ids, probability, state)
            x = self._through(range(outer), x, places, state)
            units = gathered(x, found.begins)
            if units.shape[1]:
                apart = gathered(places, found.begins) if config.places == "content" else None
                where = self._index(units.shape[:2], state, "units") if apart is None else apart
                units = self._through(range(outer, blocks - outer), units, where, state)
            x = self.backbone.residual(x) + spread(units, found, _of(state, "units"))
            hidden = self._through(range(blocks - outer, blocks), x, places, state)
        hidden = self.backbone.norm_f(hidden)
        return Reading(self.lm_head(hidden), hidden, found, None if asking is None else asking.read)

    def _through(
        self,
        which: range,
        x: torch.Tensor,
        places: torch.Tensor,
        state: GhostState | None,
        change: Callable[[int, torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Blocks and what attends after them; ``change`` gives what takes the place of the stream after each."""
        for i in which:
            x = self.backbone.layers[i](x, _of(state, f"layers.{i}"))
            if str(i) in self.backbone.attention:
                x = self.backbone.attention[str(i)](x, places, _of(state, f"attention.{i}"))
            if self.config.slots and i == self.config.blocks // 2:
                x = x + self.backbone.slots(x, _of(state, "slots"))
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


class _Asking:
    """Keeps the states that make a key, and lets in what is read after the second, or after each from there on."""

    def __init__(self, ghost: Ghost, rows: Rows, top: int, raw: torch.Tensor):
        self.ghost, self.rows, self.top, self.raw = ghost, rows, top, raw
        self.early: torch.Tensor | None = None
        self.given: torch.Tensor | None = None
        self.read: Read | None = None

    def __call__(self, block: int, x: torch.Tensor) -> torch.Tensor:
        early, late = self.ghost.config.memory_at
        if block == early:
            self.early = x
        places = self.ghost.config.memory_places
        if block not in places:
            return x
        if block == late:
            assert self.early is not None
            backbone = self.ghost.backbone
            asked = backbone.memory.keys(self.early, x)
            self.given, self.read = backbone.memory.read(
                asked, self.rows, backbone.embeddings.weight, self.top, self.raw
            )
        assert self.given is not None
        return x + self.given[..., places.index(block), :]


def _of(state: GhostState | None, name: str) -> State | None:
    return None if state is None else state.part(name)


def _part(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): held for name, held in state.items() if name.startswith(prefix)}
