"""What is damaged: a small one of everything that is read, and how all of it is read."""

from __future__ import annotations

import functools
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

RNG = np.random.default_rng(0)
ARRAYS = {"w": RNG.normal(size=(3, 4)), "b": RNG.normal(size=4).astype("f2"), "i": np.arange(3)}
WORDS = ["the cat sat", "on a mat", "and was", "fat", "That, then, is that."] * 2


@dataclass(frozen=True)
class Thing:
    """What is read.

    Attributes
    ----------
    make : writes it into an empty folder. at : what is opened there.
    read : opens it and reads all of it; a refusal is raised.
    """

    make: Callable[[Path], None]
    at: str
    read: Callable[[Path], Any]


def read_subject(path: Path) -> None:
    """Open what lies there, and read every number."""
    import workbench as wb
    from workbench.core.subject import Rowed
    from workbench.subjects.checkpoint import Checkpoint

    subject = wb.open(path)
    if isinstance(subject, Checkpoint):
        for name, info in subject.tensors.items():
            array = subject[name]
            assert array.shape == info.shape
            np.array(array)  # every byte
    else:
        assert isinstance(subject, Rowed)
        assert len(subject) == len(getattr(subject, "values", subject.table))
    assert subject.digest


def read_network(path: Path) -> None:
    import workbench as wb

    captured = wb.capture(wb.open(path), WORDS[:2], max_length=16)
    for site in captured.sites:
        np.asarray(captured.array(site)).sum()


def read_corpus(path: Path) -> None:
    import workbench as wb

    assert len(wb.corpus(path)) > 0


def read_recording(path: Path) -> None:
    import workbench as wb

    trajectory = wb.open(path)
    trajectory.table.to_numpy()
    weights = trajectory.record.weights
    for step in trajectory.weight_steps:
        for name in weights.tensors:
            weights.read(int(step), name)
        weights.state(int(step))


def read_store(path: Path) -> None:
    from workbench.capturing import open_store

    captured = open_store(path)
    for site in captured.sites:
        np.asarray(captured.array(site)).sum()
    assert captured.digest


def read_result(path: Path) -> None:
    import workbench as wb

    result = wb.load(path)
    result.figure()
    result.run.to_json()


def read_edit(path: Path) -> None:
    from workbench.core.edit import load

    load(path)


def read_notebook(path: Path) -> None:
    from workbench.report.parameters import declared_parameters

    declared_parameters(path)


def read_manifest(path: Path) -> None:
    from workbench.report import facts

    facts.parse(path.read_bytes(), str(path))


# -- how they are made --------------------------------------------------------------------------------


def saved(save: Callable[..., None], *args: np.ndarray, **kwargs: np.ndarray) -> bytes:
    stream = io.BytesIO()
    save(stream, *args, **kwargs)
    return stream.getvalue()


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {"t": pd.date_range("2024", periods=9), "x": RNG.normal(size=9), "w": list("abcabcabc")}
    )


def safetensors_file() -> bytes:
    import torch
    from safetensors.torch import save

    return save(
        {"a": torch.randn(3, 4), "b": torch.randn(5).bfloat16(), "c": torch.randn(9).to(torch.float8_e4m3fn)}
    )


def gguf_file() -> bytes:
    import gguf

    with tempfile.TemporaryDirectory() as folder:
        writer = gguf.GGUFWriter(Path(folder) / "x", "llama")
        writer.add_array("tokens", [f"t{i}" for i in range(70)])
        values = RNG.normal(size=(4, 64)).astype(np.float32)
        writer.add_tensor("f", values)
        for kind in (gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0):
            writer.add_tensor(kind.name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return (Path(folder) / "x").read_bytes()


def torch_file(zipped: bool = True) -> bytes:
    import torch

    stream = io.BytesIO()
    state = {"a": torch.randn(3, 4), "b": torch.randn(5).bfloat16(), "t": torch.randn(4, 3).t()}
    torch.save(
        {"state_dict": state, "epoch": 3, "x": [1, (2, "s")]}, stream, _use_new_zipfile_serialization=zipped
    )
    return stream.getvalue()


def mixed_torch_file() -> bytes:
    """Weights with objects, numpy's arrays and lists beside them."""
    import argparse

    import torch

    stream = io.BytesIO()
    beside = {"args": argparse.Namespace(rate=0.1), "mean": ARRAYS["w"], "accuracy": np.float64(0.5)}
    torch.save(
        {"model": torch.nn.Linear(3, 4), "layers": [torch.ones(2), (torch.ones(1),)], **beside}, stream
    )
    return stream.getvalue()


def split_gguf(folder: Path) -> None:
    import gguf

    for i in range(2):
        writer = gguf.GGUFWriter(folder / f"x-{i + 1:05d}-of-00002.gguf", "llama")
        writer.add_uint16("split.no", i)
        writer.add_uint16("split.count", 2)
        writer.add_int32("split.tensors.count", 2)
        writer.add_tensor(f"w{i}", RNG.normal(size=(4, 64)).astype(np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def parquet_file() -> bytes:
    stream = io.BytesIO()
    table().assign(v=[[1.0, 2.0]] * 9).to_parquet(stream)
    return stream.getvalue()


def word2vec_file() -> bytes:
    words = (f"w{k} ".encode() + row.astype("<f4").tobytes() for k, row in enumerate(RNG.normal(size=(9, 4))))
    return b"9 4\n" + b"".join(words)


def shards(folder: Path) -> None:
    (folder / "model-1.safetensors").write_bytes(safetensors_file())
    index = {"weight_map": dict.fromkeys("abc", "model-1.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def llama(folder: Path) -> None:
    """A language model of a few thousand weights, its tokenizer beside it."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {w: i for i, w in enumerate(["<unk>", "</s>", "<pad>", *dict.fromkeys(" ".join(WORDS).split())])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>", pad_token="<pad>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=32,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def recording(folder: Path) -> None:
    import torch

    import workbench as wb

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.randn(16, 3), torch.arange(16) % 2
    with wb.record(model, optimizer, to=folder / "run", weights_at=2):
        for _ in range(7):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()


def store(folder: Path) -> None:
    import torch

    from workbench.capturing import capture

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    capture(network, RNG.normal(size=(10, 3)).astype(np.float32), at=["0", "2"], store=folder / "store")


def result(folder: Path) -> None:
    import workbench as wb

    wb.pca(wb.PointCloud(RNG.normal(size=(12, 3))), n_null=5, n_boot=5).save(folder / "result")


def edit(folder: Path) -> None:
    import workbench as wb

    left, right = RNG.normal(size=(3, 2)), RNG.normal(size=(2, 4))
    wb.LowRank({"a": left}, {"a": right}).save(folder / "edit.safetensors")


def notebook(folder: Path) -> None:
    import nbformat.v4 as v4

    cells = [
        v4.new_markdown_cell("# T"),
        v4.new_code_cell("n = 3\nwhat = 'a'\nrates = (1, 2.5)"),
        v4.new_code_cell("n"),
    ]
    cells[1].metadata["tags"] = ["parameters"]
    (folder / "x.ipynb").write_text(json.dumps(v4.new_notebook(cells=cells)))


def file(name: str, make: Callable[[], bytes], read: Callable[[Path], Any] = read_subject) -> Thing:
    return Thing(lambda folder: (folder / name).write_bytes(make()) and None, name, read)


def lines(frame: pd.DataFrame) -> bytes:
    return frame.to_json(orient="records", lines=True).encode()


THINGS: dict[str, Thing] = {
    "safetensors": file("x.safetensors", safetensors_file),
    "gguf": file("x.gguf", gguf_file),
    "torch": file("x.pth", torch_file),
    "old torch": file("old.pth", functools.partial(torch_file, False)),
    "mixed torch": file("x.pt", mixed_torch_file),
    "split gguf": Thing(split_gguf, "x-00002-of-00002.gguf", read_subject),
    "npy": file("x.npy", lambda: saved(np.save, ARRAYS["w"])),
    "npz": file("x.npz", lambda: saved(np.savez, **ARRAYS)),
    "packed npz": file("packed.npz", lambda: saved(np.savez_compressed, **ARRAYS)),
    "csv": file("x.csv", lambda: table().to_csv(index=False).encode()),
    "jsonl": file("x.jsonl", lambda: lines(table().drop(columns="t").rename(columns={"w": "text"}))),
    "parquet": file("x.parquet", parquet_file),
    "word2vec": file("x.bin", word2vec_file),
    "txt": file("x.txt", lambda: "\n\n".join(WORDS).encode()),
    "corpus csv": file("t.csv", lambda: pd.DataFrame({"text": WORDS}).to_csv().encode(), read_corpus),
    "corpus jsonl": file("t.jsonl", lambda: lines(pd.DataFrame({"text": WORDS, "k": 1})), read_corpus),
    "shards": Thing(shards, "model.safetensors.index.json", read_subject),
    "folder": Thing(llama, ".", read_subject),
    "network": Thing(llama, ".", read_network),
    "recording": Thing(recording, "run", read_recording),
    "store": Thing(store, "store", read_store),
    "result": Thing(result, "result", read_result),
    "edit": Thing(edit, "edit.safetensors", read_edit),
    "notebook": Thing(notebook, "x.ipynb", read_notebook),
}
