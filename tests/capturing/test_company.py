"""What a network gives for a sample doesn't depend on the batch that it is in, or that is refused or said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from workbench.capturing import capture
from workbench.core.errors import ViewError
from workbench.core.progress import listening
from workbench.subjects.network import Batch, Network

X = np.random.default_rng(0).normal(size=(40, 3, 8)).astype(np.float32)


class Recurrent(torch.nn.Module):
    """A recurrent part and a head, in torch's own order of axes or with the samples first."""

    def __init__(self, kind: type[torch.nn.RNNBase], batch_first: bool = False):
        super().__init__()
        torch.manual_seed(0)
        self.part = kind(8, 6, batch_first=batch_first)
        self.head = torch.nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.part(x)[0])


class Contrasting(torch.nn.Module):
    """Compares each sample with all of its batch, in the end."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = torch.nn.Linear(8, 6)
        self.compare = Similarities()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.compare(self.embed(x))


class Similarities(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x @ x.T).softmax(-1)


def attention(batch_first: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)
    return torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def normalized_by_the_batch() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.BatchNorm1d(4, track_running_stats=False))


def normalized_by_what_was_seen() -> torch.nn.Module:
    module = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.BatchNorm1d(4))
    module(torch.tensor(X[:, 0]))
    return module


ENTANGLED = {
    "an LSTM, steps first": (lambda: Recurrent(torch.nn.LSTM), X),
    "a GRU, steps first": (lambda: Recurrent(torch.nn.GRU), X),
    "a transformer, steps first": (lambda: attention(False), X),
    "normalization by the batch": (normalized_by_the_batch, X[:, 0]),
    "comparisons in the batch": (Contrasting, X[:, 0]),
}
INDEPENDENT = {
    "an LSTM, samples first": (lambda: Recurrent(torch.nn.LSTM, batch_first=True), X),
    "a transformer, samples first": (lambda: attention(True), X),
    "normalization by what was seen": (normalized_by_what_was_seen, X[:, 0]),
}


def told(work) -> list[str]:
    lines: list[str] = []
    with listening(lambda what, done, total: lines.append(what)):
        work()
    return lines


@pytest.mark.parametrize("what", ENTANGLED)
@pytest.mark.parametrize("batch_size", [2, 32, 1000])
def test_samples_that_see_each_other_are_refused_whatever_the_batch(what, batch_size) -> None:
    make, x = ENTANGLED[what]
    with pytest.raises(ViewError, match=r"can't be run in batches.*batch_first=True.*batch_size=1"):
        capture(make(), x, batch_size=batch_size)


@pytest.mark.parametrize(
    ("what", "site"),
    [
        ("an LSTM, steps first", "part"),
        ("a GRU, steps first", "head"),
        ("a transformer, steps first", "layers.1"),
        ("normalization by the batch", "1"),
    ],
)
def test_batches_that_are_given_are_run_as_they_are_and_that_is_said(what, site) -> None:
    make, x = ENTANGLED[what]
    module = make()
    rows = []
    for _ in range(2):  # the second is answered from the cache
        with pytest.warns(RuntimeWarning, match="holds for these batches alone"):
            rows.append(capture(module, [x], at=site, rows="position" if x.ndim > 2 else "auto").array(site))
    np.testing.assert_array_equal(rows[0], rows[1])
    kept: list[torch.Tensor] = []
    module.eval().get_submodule(site).register_forward_hook(
        lambda _, args, out: kept.append(out[0] if isinstance(out, tuple) else out)
    )
    with torch.no_grad():
        module(torch.tensor(x))
    np.testing.assert_allclose(rows[0], kept[0].flatten(0, x.ndim - 2).numpy(), atol=1e-5)


def test_one_by_one_is_taken_where_it_is_asked_for() -> None:
    module = Recurrent(torch.nn.LSTM)
    rows = capture(module, X, at="part", batch_size=1).array("part")
    with torch.no_grad():
        alone = [module.part(torch.tensor(x[None]))[0].mean(1)[0].numpy() for x in X]
    np.testing.assert_allclose(rows, alone, atol=1e-6)


@pytest.mark.parametrize("what", INDEPENDENT)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_samples_that_do_not_are_the_same_in_every_batch(what, dtype) -> None:
    make, x = INDEPENDENT[what]
    module = make().to(dtype)
    few, many = (capture(module, x, batch_size=n) for n in (1, 16))
    for site in many.sites:
        rows = many.array(site)
        assert np.linalg.norm(rows - few.array(site)) <= 4 * torch.finfo(dtype).eps * np.linalg.norm(rows)


def test_an_output_that_compares_leaves_the_sites_before_it_as_they_are() -> None:
    module = Contrasting()
    lines = told(lambda: capture(module, X[:, 0], at="embed"))
    assert any(
        "output for a sample depends on what else is in its batch; its sites don't" in s for s in lines
    )


class Mixing(torch.nn.Module):
    """Reads tokens both ways, and takes padding for tokens."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = torch.nn.Embedding(30, 8)
        self.both_ways = torch.nn.GRU(8, 4, bidirectional=True, batch_first=True)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.both_ways(self.embed(ids))[0]


def letters(lines: pd.DataFrame, max_length: int) -> Batch:
    rows = [[ord(c) - ord("a") + 1 for c in text][:max_length] for text in lines["text"]]
    width = max(map(len, rows))
    ids = np.array([row + [0] * (width - len(row)) for row in rows])
    tokens = pd.DataFrame({"token": [chr(ord("a") + i - 1) for row in rows for i in row]})
    return Batch((torch.tensor(ids),), ids > 0, tokens)


@pytest.mark.parametrize("texts", [["abcdefgh", "ab", "cde"], ["abcdefgh"] * 8 + ["ab"]])
def test_texts_that_see_their_padding_are_run_one_by_one_and_that_is_said(texts, tmp_path) -> None:
    network = Network("letters", "", Mixing().eval(), letters)
    expected = capture(network, texts, at="both_ways", batch_size=1)
    for store in (None, None, tmp_path / "store", tmp_path / "store"):
        told: list[str] = []
        with (
            pytest.warns(
                RuntimeWarning, match=r"both_ways gives .* for one alone: each text is run by itself"
            ),
            listening(lambda what, done, total, told=told: told.append(what)),
        ):
            acts = capture(network, texts, at="both_ways", batch_size=2, store=store)
        np.testing.assert_array_equal(acts.array("both_ways"), expected.array("both_ways"))
    assert told[-1].endswith("(from the cache)")
    assert len(capture(network, texts, at="embed")) == sum(map(len, texts))


def test_texts_of_one_length_have_no_padding_to_see() -> None:
    network = Network("letters", "", Mixing().eval(), letters)
    assert len(capture(network, ["abcd", "abef", "cdef"], at="both_ways")) == 12
