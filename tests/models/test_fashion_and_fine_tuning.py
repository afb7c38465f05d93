"""Clothes are learned where their files are, and refused with how to get them elsewhere; a language model learns new texts."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.core.errors import DataError, FormatError, MissingError, ParameterError, ViewError
from workbench.models.fashion_descent import DEBIAN, FILES, read_idx

there = pytest.mark.skipif(not (DEBIAN / FILES[0]).exists(), reason="needs Debian's dataset-fashion-mnist")


def write(folder: Path, images: np.ndarray, classes: np.ndarray) -> Path:
    for name, array in zip(FILES, (images, classes), strict=True):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        (folder / name).write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))
    return folder


@there
@pytest.mark.parametrize(("network", "width"), [("perceptron", 24), ("convolutional", 4)])
def test_clothes_are_learned(network: str, width: int) -> None:
    descent = wb.fashion_descent(network=network, width=width, images=1000, steps=80, learning_rate=3e-3)
    net = descent.network(80)
    x, y = descent.probe.tensors(net)
    right = float((net(x).argmax(1) == y).float().mean())
    assert right > 0.6 and descent.probe.evaluate(net).item() < 1.2
    assert len(descent.training) == 1000 and len(descent.probe) == 512
    assert not {bytes(a) for a in descent.training.x} & {bytes(a) for a in descent.probe.x}


def test_a_folder_of_one_s_own_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, classes = rng.integers(0, 256, (560, 28, 28)), rng.integers(0, 10, 560)
    folder = write(tmp_path, images, classes)
    np.testing.assert_array_equal(read_idx(folder, FILES[0]), images)
    descent = wb.fashion_descent(folder=str(folder), images=48, steps=3, width=4)
    assert len(descent.probe) == 512 and descent.training.x.shape == (48, 784)


def test_files_that_are_absent_or_damaged_are_refused_with_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="apt-get install"):
        wb.fashion_descent(folder=str(tmp_path))
    folder = write(tmp_path, np.zeros((4, 28, 28)), np.zeros(4))
    whole = (folder / FILES[0]).read_bytes()
    for damaged in (
        whole[:-20],
        b"not gzip",
        gzip.compress(b"\0\0\x0d\x03"),
        gzip.compress(gzip.decompress(whole)[:-1]),
    ):
        (folder / FILES[0]).write_bytes(damaged)
        with pytest.raises(FormatError, match="Get it again"):
            wb.fashion_descent(folder=str(folder))


@pytest.fixture(scope="module")
def rhymes(tmp_path_factory: pytest.TempPathFactory) -> wb.Corpus:
    who = [f"{a} {b}" for a in ("red", "old", "wet", "shy") for b in ("cat", "dog", "hen", "fox")]
    lines = [f"The {w} sat on the {c}." for w in who for c in ("mat", "wall", "step")]
    path = tmp_path_factory.mktemp("texts") / "rhymes.csv"
    pd.DataFrame({"text": lines}).to_csv(path, index=False)
    return wb.corpus(path)


@pytest.mark.slow
def test_a_language_model_learns_new_texts_and_the_checkpoint_is_left_alone(rhymes: wb.Corpus) -> None:
    net = wb.open("glassllm-en")
    before = {n: p.clone() for n, p in net.network().module.named_parameters()}
    descent = wb.fine_tune(net, rhymes, steps=8, length=12, batch_size=4, learning_rate=1e-3)
    first, last = (descent.probe.evaluate(descent.network(s)).item() for s in (0, 8))
    assert last < first - 0.5
    assert all((before[n] == p).all() for n, p in net.network().module.named_parameters())
    assert descent.probe.loss == "next_token" and descent.probe.x.shape[1] == 12
    assert not {bytes(a) for a in descent.training.x} & {bytes(a) for a in descent.probe.x}
    how = {"budget": 2, "repeats": 3, "batch_size": 2, "n_null": 9, "rate_factors": ()}
    found = wb.renormalize(descent, arm="whitening", layers="model.layers.*.mlp.*", **how)
    moved = found.table().set_index("name").loc["whitening", "outputs moved by"]
    assert 0 < moved < 1e-5 and "lm_head" not in found.caveat
    with pytest.raises(DataError, match=r"lm_head has the same weight tensor.*tied"):
        wb.renormalize(descent, arm="flattening", layers="lm_head", budget=2, repeats=3)


def test_what_cannot_be_tuned_is_refused(rhymes: wb.Corpus) -> None:
    net = wb.open("glassllm-en")
    with pytest.raises(DataError, match="more texts"):
        wb.fine_tune(net, rhymes, length=400)
    with pytest.raises(ParameterError, match="steps=0"):
        wb.fine_tune(net, rhymes, steps=0)
    with pytest.raises(ViewError, match="doesn't predict tokens"):
        wb.fine_tune(wb.open("minilm"), rhymes)
