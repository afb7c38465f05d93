"""A compact GPT of bytes: its kind of attention is swapped by name, everything else stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from workbench.numerics.attention import mechanism_of
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.mechanism import (
    Cost,
    Drawn,
    Fill,
    Linear,
    Mixer,
    State,
    normalized,
    plain_linear,
)
from workbench.numerics.initializers import initializer_of
from workbench.numerics.reparametrizations import reparametrization_of


class Layer(nn.Module):
    """Attention and two linear maps with ReLU² between them: what each adds to the stream, from the normalized stream.

    References
    ----------
    So et al. 2021, Primer (2109.08668): squared ReLU.
    """

    def __init__(self, config: GeometryConfig, mixer: type[Mixer], linear: Linear):
        super().__init__()
        self.mixer = mixer(config.width, config.heads, linear=linear, **config.options)
        self.up = linear(config.width, config.expand * config.width)
        self.down = linear(config.expand * config.width, config.width)
        self.dropout = config.dropout

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        """(b, n, width): the stream behind the layer."""
        x = x + self.attend(x, state)
        return x + self.think(x)

    def attend(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        return F.dropout(self.mixer(normalized(x), state), self.dropout, self.training)

    def think(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(self.down(F.relu(self.up(normalized(x))).square()), self.dropout, self.training)


class GPTState(dict[str, State]):
    """What a GPT remembers of a stream: of each layer, tensors by name."""

    def parts(self, count: int) -> list[State]:
        """That of each of so many layers, empty at first."""
        return [self.setdefault(str(i), {}) for i in range(count)]


class GPT(nn.Module):
    """A causal model of tokens whose kind of attention has a name.

    Raises
    ------
    ValueError
        As `GeometryConfig` does.
    """

    def __init__(self, config: GeometryConfig | None = None):
        super().__init__()
        self.config = config or GeometryConfig()
        self.mechanism = mechanism_of(self.config.mechanism)
        made = reparametrization_of(self.config.reparametrization)
        linear = self.mechanism.linear if made is None else made.LINEAR
        self.embedding = nn.Embedding(self.config.vocabulary, self.config.width)
        self.layers = nn.ModuleList(
            Layer(self.config, self.mechanism.mixer, linear) for _ in range(self.config.layers)
        )
        head = linear if made is not None and made.HEAD else plain_linear
        self.lm_head: Any = head(self.config.width, self.config.vocabulary)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw maps of unit gain, and what is added to the stream smaller where more is added; the head small."""
        if self.embedding.weight.is_meta:  # shapes alone are asked for
            return
        fill = partial(initializer_of(self.config.initializer).fill, **self.config.initializer_options)
        fill(self.embedding.weight, 1.0)
        _draw(self.lm_head, 0.1, fill)
        for name, module in self.layers.named_modules():
            gain = (2 * self.config.layers) ** -0.5 if name.endswith(("o_proj", "down")) else 1.0
            _draw(module, gain, fill)

    def forward(self, input_ids: torch.Tensor, state: GPTState | None = None) -> torch.Tensor:
        """(b, n) tokens to the (b, n, vocabulary) logits of the token after each.

        Parameters
        ----------
        state : of what was read before, which is brought up to date.

        Raises
        ------
        ValueError
            A state is given, and this kind of attention has no cached decoding.
        """
        if state is not None and (why := self.mechanism.mixer.NO_CACHE):
            raise ValueError(
                f"state: {self.config.mechanism} has no cached decoding, since {why}; call the model with the whole text"
            )
        x = normalized(self.embedding(input_ids))
        states = None if state is None else state.parts(len(self.layers))
        x = self.mechanism.run(list(self.layers), x, states)
        return self.lm_head(normalized(x))

    def cost(self, length: int, *, keys: float | None = None, training: bool = False) -> Cost:
        """What reading one sequence costs.

        Parameters
        ----------
        length : of the sequence, in tokens.
        keys : that a query meets on average; None for (length + 1) / 2. See `Mixer.cost`.
        training : the backward pass with it, which is twice the forward pass, and what of that is computed again.
        """
        keys = (length + 1) / 2 if keys is None else keys
        within = Cost()
        for layer in self._layers():
            within += layer.mixer.cost(length, keys)
            within += Cost(4.0 * length * self.config.expand * self.config.width**2)
        head = Cost(2.0 * length * self.config.width * self.config.vocabulary)
        if not training:
            return within + head
        return within.times(3 + self.mechanism.again) + head.times(3)

    def _layers(self) -> Iterator[Layer]:
        return iter(self.layers)  # type: ignore[arg-type]


def _draw(module: nn.Module, gain: float, fill: Fill) -> None:
    """Draw what a map is made of; what is none stays."""
    if isinstance(module, nn.Linear):
        fill(module.weight, gain * module.in_features**-0.5)
    elif isinstance(module, Drawn):
        module.draw(gain, fill)


def cost_of(config: GeometryConfig, length: int, *, training: bool = False) -> Cost:
    """What reading one sequence costs a GPT of a configuration, without its weights being allocated."""
    with torch.device("meta"):
        return GPT(replace(config)).cost(length, training=training)
