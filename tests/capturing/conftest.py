"""Small networks of torch's own parts, and one real decoder, for capturing."""

from __future__ import annotations

import pytest
import torch

import workbench as wb


class Encoder(torch.nn.Module):
    """Reads token ids: an embedding, two blocks and a pooled head."""

    def __init__(self, width: int = 6):
        super().__init__()
        self.embed = torch.nn.Embedding(50, width)
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(width, width) for _ in range(2)])
        self.head = torch.nn.Linear(width, 3)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        x = self.embed(input_ids)
        for block in self.blocks:
            x = x + torch.tanh(block(x))
        return self.head(x.mean(1))


class Convolutions(torch.nn.Module):
    """Sees images; overwrites what its convolution put out, as networks with in-place activations do."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.act = torch.nn.ReLU(inplace=True)
        self.second = torch.nn.Conv2d(4, 5, 3, stride=2, padding=1)
        self.drop = torch.nn.Dropout(0.5)
        self.head = torch.nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.act(self.first(x)))
        return self.head(self.drop(x.mean((2, 3))))


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder()


@pytest.fixture
def convolutions() -> Convolutions:
    torch.manual_seed(0)
    return Convolutions()


@pytest.fixture(scope="session")
def decoder():
    return wb.open("glassllm-en")


TEXTS = [
    "Alice was beginning to get very tired of sitting by her sister on the bank",
    "“Off with her head!”",
    "The Mock Turtle sighed deeply, and began, in a voice sometimes choked with sobs",
    "Why?",
    "A large rose-tree stood near the entrance of the garden",
]


@pytest.fixture
def texts() -> list[str]:
    return list(TEXTS)
