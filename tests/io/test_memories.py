"""A memory's folder that was damaged, or says what isn't so, is refused, and nothing in it is changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import workbench as wb
from workbench.core.errors import DataError, ParameterError, WorkbenchError
from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.model import Ghost
from workbench.subjects.memory import FACTS, NETWORK, Memory
from workbench.subjects.own_checkpoints import checkpoint_of

SIZES: dict[str, Any] = {"width": 16, "blocks": 5, "head": 16, "states": 4, "attend_every": 0, "memory": 8}
TABLE = pd.DataFrame({"text": ["Who sings?\nThe robin", "Wer zirpt?\nDie Grille — süß"]})


@pytest.fixture(scope="module")
def untaught() -> Memory:
    torch.manual_seed(0)
    return Memory(checkpoint_of(Ghost(GhostConfig(**SIZES)).eval()), TABLE)


def facts(**columns: Any) -> Callable[[Path], None]:
    return lambda folder: pd.DataFrame(columns).to_parquet(folder / FACTS)


def not_utf_8(folder: Path) -> None:
    raw = pa.array([b"\xff\n\xfe", b"a\nb"])
    texts = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    pq.write_table(pa.table({"id": [0, 1], "text": texts}), folder / FACTS)


def one_text_four_million_times(folder: Path) -> None:
    rows = 200_000
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 4000]))
    table = pa.table({"id": np.arange(rows), "text": texts})
    with pq.ParquetWriter(folder / FACTS, table.schema) as file:
        for _ in range(20):
            file.write_table(table)


def cut(folder: Path) -> None:
    raw = (folder / FACTS).read_bytes()
    (folder / FACTS).write_bytes(raw[: len(raw) // 2])


def footer_that_lies(folder: Path) -> None:
    raw = (folder / FACTS).read_bytes()
    (folder / FACTS).write_bytes(raw[:-8] + (1 << 30).to_bytes(4, "little") + raw[-4:])


def config(**changed: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        file = folder / NETWORK / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changed))

    return write


def header(length: int | None = None, **changed: Any) -> Callable[[Path], None]:
    """What ``model.safetensors`` says of its own length, or of a tensor."""

    def write(folder: Path) -> None:
        file = folder / NETWORK / "model.safetensors"
        raw = file.read_bytes()
        size = int.from_bytes(raw[:8], "little")
        told = json.loads(raw[8 : 8 + size])
        told["lm_head.weight"] |= changed
        said = json.dumps(told).encode()
        file.write_bytes((length or len(said)).to_bytes(8, "little") + said + raw[8 + size :])

    return write


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (one_text_four_million_times, "unpacks to far more"),
        (cut, "can't be read as parquet"),
        (footer_that_lies, "can't be read as parquet"),
        (not_utf_8, "can't be read"),
        (facts(id=[0, 1], text=[b"\xff\n\xfe", b"a\nb"]), "given as bytes"),
        (facts(id=[0, 1], text=[1.5, 2.5]), "1.5, which is no text"),
        (facts(id=[0, 1], text=["a\nb", None]), "no text"),
        (facts(id=[0, 1], text=["a\nb", "c\n" + "d" * 5000]), "a row holds 4,096"),
        (facts(id=[0, 0], text=["a\nb", "c\nd"]), "unique whole numbers"),
        (facts(id=[-3, 0], text=["a\nb", "c\nd"]), "has the id -3"),
        (facts(id=[0, 1], question=["a\nb", "c\nd"]), "no column 'text'"),
        (header(length=10**15), "header claims 1,000,000,000,000,000 bytes"),
        (header(shape=[256, 10**9]), "takes 1,024,000,000,000 bytes"),
        (header(data_offsets=[0, 10**12]), "is given 1,000,000,000,000"),
        (config(width=32), "tensors differ"),
        (config(width=8192, blocks=256), "tensors differ"),
        (config(memory=8192), "k_proj.weight"),
        (config(memory=0), "tensors differ"),
        (config(width=10**12), "width: it must be"),
    ],
)
def test_a_folder_that_says_what_is_not_so_is_refused(
    untaught: Memory, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    untaught.save(tmp_path / "memory")
    damage(tmp_path / "memory")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(WorkbenchError) as refused:
        wb.open(tmp_path / "memory").logits("Who sings?\n")
    assert said in str(refused.value)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_memory_that_was_emptied_opens_and_is_filled_again(untaught: Memory, tmp_path: Path) -> None:
    untaught.remove(0, 1).save(tmp_path / "emptied")
    opened = wb.open(tmp_path / "emptied")
    assert len(opened) == 0 and len(opened.rows) == 0
    again = opened.add(*TABLE["text"])
    assert torch.equal(again.logits("Who sings?\n"), untaught.logits("Who sings?\n"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(b"\xff\xfe", "given as bytes"), ("q\udcff", "half a character"), ("", "empty"), (None, "no text")],
)
def test_what_is_no_text_is_neither_kept_nor_asked(untaught: Memory, wrong: Any, said: str) -> None:
    digest, network = untaught.digest, untaught.checkpoint.network()
    for verb in (
        untaught.add,
        lambda text: untaught.change(0, text),
        untaught.answer,
        untaught.logits,
        lambda text: untaught.fetched(text, 1),
        network.answer,
    ):
        with pytest.raises(DataError, match=said):
            verb(wrong)
    assert untaught.digest == digest and untaught.table["text"].tolist() == TABLE["text"].tolist()


@pytest.mark.parametrize("how", [{"fetched": -1}, {"fetched": 0.5}, {"most": -1}, {"most": True}], ids=str)
def test_numbers_that_are_none_are_refused(untaught: Memory, how: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="takes an integer of at least 0"):
        untaught.trace("Who sings?\n", **how)
    for id in (True, 0.5, -1, "0"):
        with pytest.raises(ParameterError, match="fact="):
            untaught.remove(id)


def test_one_byte_is_asked_and_kept(untaught: Memory) -> None:
    more = untaught.add("x")
    assert untaught.logits("W").shape == (1, 256) and len(more.trace("W", 3)) <= 3
    assert more.questions[-1] == "x\n" and more.answers[-1] == ""
