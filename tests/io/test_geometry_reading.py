"""A geometry GPT that was saved reads texts where its tokens are bytes; a configuration that lies is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.core.errors import DataError, FormatError
from workbench.io.geometry_reading import go_on
from workbench.numerics.attention import NAMES
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.network import Network
from workbench.subjects.own_checkpoints import checkpoint_of

SMALL: dict[str, Any] = {"width": 16, "layers": 1, "heads": 2}


def saved(folder: Path, **sizes: Any) -> Path:
    torch.manual_seed(0)
    checkpoint_of(GPT(GeometryConfig(**{**SMALL, **sizes})).eval()).save(folder / "gpt")
    return folder / "gpt"


def opened(folder: Path, **sizes: Any) -> Network:
    return network_in(saved(folder, **sizes))


def network_in(folder: Path) -> Network:
    checkpoint = wb.open(folder)
    assert isinstance(checkpoint, Checkpoint)
    network = checkpoint.network()
    assert isinstance(network, Network)
    return network


def test_texts_are_captured_byte_by_byte(tmp_path: Path) -> None:
    network = opened(tmp_path)
    texts = wb.corpus(["To be, or not", "süß"])
    acts = wb.capture(network, texts, at="layers.*")
    assert "".join(acts.table["token"][:13]) == "To be, or not" and len(acts.table) == 13 + 5
    stream, rows = [], acts.at("layers.0").values
    hook = network.module.get_submodule("layers.0").register_forward_hook(
        lambda _m, _x, y: stream.append(y[0])
    )
    with torch.no_grad():
        network.module(torch.tensor([list("süß".encode())]))
    hook.remove()
    assert np.allclose(rows[13:], stream[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_it_goes_on_as_the_whole_text_says(name: str, tmp_path: Path) -> None:
    network, prompt = opened(tmp_path, mechanism=name), "O Romeo"
    written = go_on(network.module, prompt, most=4)
    text = list(prompt.encode())
    with torch.no_grad():
        for _ in range(4):
            text.append(int(network.module(torch.tensor([text]))[0, -1].argmax()))
    assert written == bytes(text[7:]).split(b"\n")[0].decode("utf-8", "replace")


def test_a_byte_without_a_token_is_refused_and_few_tokens_are_no_bytes(tmp_path: Path) -> None:
    network = opened(tmp_path / "128", vocabulary=128)
    assert isinstance(network.answer("Romeo"), str)
    for ask in (
        lambda: network.answer("süß"),
        lambda: wb.capture(network, wb.corpus(["plain", "süß"]), at="layers.0"),
    ):
        with pytest.raises(
            DataError,
            match=r"128 tokens, the bytes 0 to 127, and the text has 3 others, such as 159, 188, 195",
        ):
            ask()
    for tokens in (16, 127, 257):
        assert "takes arrays" in opened(tmp_path / str(tokens), vocabulary=tokens).holds


HUGE = {"width": 8192, "layers": 256, "heads": 64, "expand": 16, "vocabulary": 65536}


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (
            {**HUGE, "initializer": "cellular_automaton"},
            r"would be \(65536, 8192\) and is \(256, 16\)",
        ),  # 2 TB
        ({**HUGE, "initializer": "orthogonal", "mechanism": "gauge"}, "tensors differ"),
        ({"vocabulary": 10**40}, "vocabulary: .* from 2 to 65,536"),
        ({"width": 16.0}, "width: .* not 16.0"),
        ({"mechanism": ["x"]}, r"there is no \['x'\].*ultrametric\. Take"),
        ({"initializer": None}, r"there is no None.*orthogonal\. Take"),
        ({"options": {"key_heads": 10**30}}, "key_heads: .* from 0 to 256"),
        ({"options": []}, "options: .* by name"),
        ({"dropout": float("nan")}, "dropout: .* not nan"),
        ({"moons": 1}, "moons: there is no such number"),
        ({"layers": 2}, "layers.1.* and is absent"),
        ({"vocabulary": 128}, r"would be \(128, 16\) and is \(256, 16\)"),
    ],
)
def test_a_configuration_that_lies_is_refused_before_anything_is_allocated(
    lie: dict[str, Any], why: str, tmp_path: Path
) -> None:
    path = saved(tmp_path) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **lie}))
    with pytest.raises(FormatError, match=why):
        network_in(path.parent)
