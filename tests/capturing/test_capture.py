"""Capture: its rows are what a plain forward pass gives, in the source's order, whatever the source."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.capturing import capture, open_store
from workbench.capturing.running import Work
from workbench.core.errors import DataError, MethodError, MissingError, ParameterError, ViewError
from workbench.core.progress import listening
from workbench.subjects.activations import Aligned
from workbench.subjects.corpus import Corpus
from workbench.subjects.network import Network
from workbench.subjects.points import PointCloud, Points


def batches_run(work) -> list[str]:
    """What was told while ``work`` ran, for seeing whether a network ran at all."""
    said: list[str] = []
    with listening(lambda what, done, total: said.append(what)):
        work()
    return said


@pytest.fixture(scope="module")
def minilm():
    return wb.open("minilm")


def test_known_answer_rows_are_the_hidden_states_of_a_plain_forward_pass(minilm, texts) -> None:
    acts = capture(minilm, texts, batch_size=2, markers=True)
    assert acts.sites == [f"encoder.layer.{i}" for i in range(6)]
    network = minilm.network()
    start = 0
    for i, text in enumerate(texts):  # one at a time: padding and the order of batches mustn't show
        batch = network.encode(pd.DataFrame({"text": [text]}), 64)
        with torch.inference_mode():
            states = network.module(**batch.inputs, output_hidden_states=True).hidden_states
        stop = start + len(batch.rows)
        assert acts.table["token"].iloc[start:stop].tolist() == batch.rows["token"].tolist()
        assert acts.table["position"].iloc[start:stop].tolist() == list(range(stop - start))
        assert (acts.table["text_id"].iloc[start:stop] == i).all()
        for layer in range(6):
            ours = acts.array(f"encoder.layer.{layer}")[start:stop]
            np.testing.assert_allclose(ours, states[layer + 1][0].numpy(), atol=2e-5)
        start = stop
    assert len(acts) == start


def test_what_the_tokenizer_adds_has_no_rows_but_is_read(minilm, texts) -> None:
    all_rows, rows = (capture(minilm, texts, at="encoder.layer.5", markers=m) for m in (True, False))
    added = all_rows.table["token"].isin(["[CLS]", "[SEP]"]).to_numpy()
    assert added.sum() == 2 * len(texts)
    np.testing.assert_allclose(rows.values, all_rows.values[~added], atol=2e-5)
    columns = ["text_id", "token", "position"]
    pd.testing.assert_frame_equal(rows.table[columns], all_rows.table[columns][~added].reset_index(drop=True))
    means = capture(minilm, texts, at="encoder.layer.5", rows="sample").values
    of = rows.table["text_id"].to_numpy()
    np.testing.assert_allclose(
        means, [rows.values[of == i].mean(axis=0) for i in range(len(texts))], atol=2e-5
    )


def test_how_much_of_the_texts_was_cut_is_said_by_every_answer(minilm, tmp_path) -> None:
    texts = ["a cat sat on the mat and slept", "a dog", "it ran far and far away and away"]
    cut = capture(minilm, texts, at="encoder.layer.*", max_length=8, store=tmp_path / "cut")
    said = "2 of 3 texts were cut at 8 tokens, which left out 4 of 18 tokens (22%)"
    assert said in cut.holds and said in open_store(tmp_path / "cut").holds
    answer = wb.pca(cut.at("encoder.layer.5").select("position > 0"), n_null=0)
    assert said in answer.caveat
    assert "cut" not in capture(minilm, texts, at="encoder.layer.5", max_length=16).holds


def test_a_table_of_texts_is_a_corpus(minilm, texts) -> None:
    table = pd.DataFrame({"text": texts, "topic": range(len(texts))})
    acts = capture(minilm, table, at="encoder.layer.0")
    assert acts.digest == capture(minilm, Corpus(table), at="encoder.layer.0").digest
    assert set(acts.table["topic"]) == set(range(len(texts)))


def test_known_answer_attention_rows_sum_to_one_and_are_the_networks_own(minilm, texts) -> None:
    at = ["encoder.layer.[03]", "encoder.layer.5.attention.self#attention"]
    acts = capture(minilm, texts, at=at, attention=True, markers=True)
    maps = [s for s in acts.sites if s.endswith("#attention")]
    assert maps == [f"encoder.layer.{i}.attention.self#attention" for i in (0, 3, 5)]
    network = minilm.network()
    network.module.set_attn_implementation("eager")
    batch = network.encode(pd.DataFrame({"text": [texts[1]]}), 64)
    with torch.inference_mode():
        theirs = network.module(**batch.inputs, output_attentions=True).attentions
    mine = np.flatnonzero(acts.table["text_id"] == 1)
    for site, layer in zip(maps, (0, 3, 5), strict=True):
        rows = acts.array(site)
        assert rows.shape == (len(acts), 12, 64)
        np.testing.assert_allclose(rows.sum(-1), 1, atol=1e-5)
        n = len(mine)
        np.testing.assert_allclose(rows[mine, :, :n], theirs[layer][0].permute(1, 0, 2).numpy(), atol=1e-5)
        assert not rows[mine, :, n:].any()


def test_the_way_to_compute_attention_is_put_back(decoder, texts) -> None:
    network = decoder.network()
    before = network.module.config._attn_implementation
    assert before != "eager"
    acts = capture(network, texts, at="model.layers.*.self_attn#attention")
    assert network.module.config._attn_implementation == before
    rows = acts.array("model.layers.2.self_attn#attention")
    np.testing.assert_allclose(rows.sum(-1), 1, atol=1e-5)
    later = np.arange(64)[None, :] > acts.table["position"].to_numpy()[:, None]
    assert not (rows.max(1) * later).any()  # a decoder doesn't look ahead


def test_the_row_table_says_text_token_position_and_labels(decoder) -> None:
    table = pd.DataFrame(
        {"text": ["The Queen " * 60, "Why?"], "mood": ["cross", "calm"], "token": [7, 8], "n": [1.5, 2.5]}
    )
    table.index = [40, 20]
    acts = capture(decoder, Corpus(table, name="two"), max_length=16)
    assert list(acts.table.columns) == ["text_id", "text", "token", "position", "mood", "label_token", "n"]
    assert acts.table["text_id"].tolist() == [40] * 16 + [20] * (len(acts) - 16)
    assert ("The Queen " * 60).startswith("".join(acts.table["token"].iloc[:16]))
    assert acts.table["text"].iloc[0] == ("The Queen " * 60)[:199] + "…"
    assert acts.table["mood"].tolist() == ["cross"] * 16 + ["calm"] * (len(acts) - 16)
    assert acts.table["label_token"].iloc[-1] == 8
    assert acts.name == "glassllm-en on two"
    assert len(acts.select("mood == 'calm' and position > 0")) == len(acts) - 17
    assert acts.at("model.layers.2").view(Points).values.shape == (len(acts), 128)
    assert set(acts.view(Aligned).arrays) == {f"model.layers.{i}" for i in range(4)}


def test_labels_of_any_kind_can_be_stored(encoder) -> None:
    x = np.ones((3, 2), np.int64)
    odd = pd.DataFrame({"mixed": [1, "a", None], "lists": [[1], [], [2, 3]], 7: [0.5, 1.5, 2.5]})
    table = capture(encoder, PointCloud(x, table=odd), rows="sample").table
    assert table["mixed"].tolist() == ["1", "a", "None"]
    assert table["lists"].tolist() == ["[1]", "[]", "[2, 3]"]
    assert table["7"].tolist() == [0.5, 1.5, 2.5]
    twice = pd.DataFrame(np.ones((3, 2)), columns=["a", "a"])
    with pytest.raises(DataError, match="Two labels are called 'a'"):
        capture(encoder, PointCloud(x, table=twice))


def test_rows_that_are_texts_average_over_their_tokens(decoder, texts) -> None:
    tokens = capture(decoder, texts, at="model.layers.3")
    means = capture(decoder, texts, at="model.layers.3", rows="sample")
    groups = tokens.table["text_id"].to_numpy()
    ours = [tokens.values[groups == i].mean(0) for i in range(len(texts))]
    np.testing.assert_allclose(means.values, ours, atol=1e-5)
    assert list(means.table.columns) == ["text_id", "text"]


def test_rows_that_are_texts_keep_the_corpus_ids_so_that_a_selection_holds_for_both(decoder) -> None:
    texts = wb.corpus(max_texts=16)
    acts = capture(decoder, texts, at="model.layers.0", rows="sample")
    assert acts.ids.tolist() == texts.ids.tolist()
    assert acts.space == texts.space
    assert acts.table["topic"].tolist() == texts.table["topic"].tolist()


def test_two_networks_with_the_same_tokens_share_their_rows(decoder, texts) -> None:
    name = "model.layers.1.mlp.down_proj.weight"
    other = decoder + wb.Replacement({name: np.zeros_like(decoder[name])})
    a, b = capture(decoder, texts), capture(other, texts)
    assert a.space == b.space
    assert a.digest != b.digest
    np.testing.assert_array_equal(a.array("model.layers.0"), b.array("model.layers.0"))
    assert not np.array_equal(a.array("model.layers.1"), b.array("model.layers.1"))


def test_texts_without_tokens_have_no_rows(decoder) -> None:
    acts = capture(decoder, ["", "Why?", ""])
    assert set(acts.table["text_id"]) == {1}
    assert capture(decoder, ["", "Why?", ""], rows="sample").ids.tolist() == [1]
    with pytest.raises(DataError, match="none of its 2 texts holds a token"):
        capture(decoder, ["", ""])


def test_the_batch_size_changes_nothing_but_rounding(decoder, texts) -> None:
    one, all_at_once = (capture(decoder, texts, batch_size=n) for n in (1, 5))
    for site in one.sites:
        np.testing.assert_allclose(one.array(site), all_at_once.array(site), atol=1e-5)
    pd.testing.assert_frame_equal(one.table, all_at_once.table)


# -- which modules ------------------------------------------------------------------------------------


def test_auto_takes_the_blocks(encoder, convolutions) -> None:
    ids = np.ones((3, 4), np.int64)
    assert capture(encoder, ids).sites == ["blocks.0", "blocks.1"]
    nested = torch.nn.Sequential(
        torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh()), torch.nn.Linear(2, 1)
    )
    assert capture(nested, np.ones((3, 2))).sites == ["0", "1"]
    assert capture(convolutions, np.ones((2, 3, 8, 8))).sites == ["first", "act", "second", "drop", "head"]


def test_a_pattern_that_matches_nothing_lists_what_exists(minilm) -> None:
    with pytest.raises(
        MissingError,
        match=r"'encoder\.layers\.\*'.*Did you mean.*encoder\.layer\.\*\.attention\.self, .*pooler",
    ):
        capture(minilm, ["a"], at="encoder.layers.*")
    with pytest.raises(MissingError, match="'nothing'"):
        capture(minilm, ["a"], at=["encoder.layer.0", "nothing"])
    with pytest.raises(MissingError, match=r"wrap it in torch\.nn\.Sequential"):
        capture(torch.nn.Linear(2, 2), np.ones((3, 2)), at="0")


def test_sites_with_other_rows_are_refused_by_name(encoder, minilm) -> None:
    ids = np.ones((3, 4), np.int64)
    with pytest.raises(
        DataError, match=r"head gives one row a sample, blocks\.0 one a position.*rows='sample'"
    ):
        capture(encoder, ids, at=["blocks.0", "head"])
    with pytest.raises(DataError, match=r"position_embeddings gives the shape \(1, "):
        capture(minilm, ["one text", "two texts"], at="**")
    assert capture(encoder, ids, at=["blocks.0", "head"], rows="sample").sites == ["blocks.0", "head"]
    assert len(capture(encoder, ids, at="head")) == 3


def test_a_module_that_does_not_run_or_runs_twice_is_refused_by_name(encoder) -> None:
    with pytest.raises(DataError, match=r"blocks put out nothing.*at='blocks\.\*'"):
        capture(encoder, np.ones((3, 4), np.int64), at="blocks")
    shared = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh())
    shared.extend([torch.nn.Linear(2, 2), shared[1]])
    with pytest.raises(DataError, match="1 ran more than once"):
        capture(shared, np.ones((3, 2)))
    with pytest.raises(DataError, match=r"No attention map came from blocks\.0"):
        capture(encoder, np.ones((3, 4), np.int64), at="blocks.0", attention=True)
    with pytest.raises(DataError, match=r"No attention map came from blocks\.0#attention"):
        capture(encoder, np.ones((3, 4), np.int64), at="blocks.0#attention")


# -- which sources ------------------------------------------------------------------------------------


def test_arrays_tensors_and_clouds_give_a_row_a_sample() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    x = np.random.default_rng(0).normal(size=(70, 4))
    with torch.no_grad():
        expected = module(torch.tensor(x, dtype=torch.float32)).numpy()
    cloud = PointCloud(x, table=pd.DataFrame({"kind": list("ab") * 35}, index=range(100, 170)))
    for source in (x, torch.tensor(x), cloud):
        acts = capture(module, source)
        np.testing.assert_allclose(acts.array("2"), expected, atol=1e-6)
    assert acts.space == cloud.space
    assert acts.ids.tolist() == cloud.ids.tolist()
    assert acts.table["kind"].tolist() == list("ab") * 35
    whole = capture(module, (x * 10).astype(np.int32))  # without an embedding, whole numbers are numbers
    assert whole.array("0").shape == (70, 3)


def test_image_positions_are_averaged_or_kept(convolutions) -> None:
    x = np.random.default_rng(0).normal(size=(5, 3, 8, 8)).astype(np.float32)
    with torch.no_grad():
        first = convolutions.first(torch.tensor(x)).numpy()
    averaged = capture(convolutions, x, at=["first", "second"])
    np.testing.assert_allclose(averaged.array("first"), first.mean((2, 3)), atol=1e-6)
    kept = capture(convolutions, x, at="first", rows="position")
    assert kept.array("first").shape == (5 * 64, 4)
    np.testing.assert_array_equal(kept.array("first")[64 + 9], first[1, :, 1, 1])
    assert kept.table.iloc[64 + 9].tolist() == [1, 9]
    with pytest.raises(DataError, match=r"different numbers of rows a sample \(first 64, second 16\)"):
        capture(convolutions, x, at=["first", "second"], rows="position")
    with pytest.raises(DataError, match="head gives one row a sample"):
        capture(convolutions, x, at=["first", "head"], rows="position")


def test_loaders_and_lists_of_batches_give_what_an_array_gives(encoder) -> None:
    ids = torch.randint(0, 50, (11, 6), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(11) % 3
    expected = capture(encoder, ids.numpy()).array("blocks.1")
    data = torch.utils.data.TensorDataset(ids, labels)
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    acts = capture(encoder, loader, labels="digit")
    np.testing.assert_allclose(acts.array("blocks.1"), expected, atol=1e-6)
    assert acts.table["digit"].tolist() == np.repeat(labels.numpy(), 6).tolist()
    assert acts.table["token"].tolist() == ids.flatten().tolist()
    as_dicts = [{"input_ids": ids[i : i + 5], "y": labels[i : i + 5]} for i in (0, 5, 10)]
    np.testing.assert_allclose(capture(encoder, as_dicts, labels="y").array("blocks.1"), expected, atol=1e-6)
    generator = (ids[i : i + 3].numpy() for i in range(0, 11, 3))
    np.testing.assert_allclose(capture(encoder, generator).array("blocks.1"), expected, atol=1e-6)


def test_a_mask_leaves_padding_out_wherever_it_is(encoder) -> None:
    ids = torch.randint(0, 50, (3, 4), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1]])
    acts = capture(encoder, [{"input_ids": ids, "attention_mask": mask}], at="embed")
    np.testing.assert_array_equal(acts.array("embed"), encoder.embed(ids)[mask.bool()].detach().numpy())
    assert acts.table["sample"].tolist() == [0, 0, 0, 1, 1, 1, 1, 2]
    assert acts.table["position"].tolist() == [0, 1, 2, 0, 1, 2, 3, 0]
    nothing = mask * torch.tensor([[1], [0], [1]])
    with pytest.raises(DataError, match="Sample 1 of the source keeps no position"):
        capture(encoder, [{"input_ids": ids, "attention_mask": nothing}])


def test_a_loader_that_shuffles_is_refused(encoder) -> None:
    data = torch.utils.data.TensorDataset(torch.arange(40).reshape(10, 4))
    with pytest.raises(DataError, match="Turn shuffling"):
        capture(encoder, torch.utils.data.DataLoader(data, batch_size=2, shuffle=True))


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        ([], DataError, "gives no batch"),
        (np.empty((0, 4)), DataError, "is empty"),
        ([torch.ones(0, 4)], DataError, "empty"),
        ([("a", "b")], DataError, "with a str"),
        ([(torch.ones(2, 4), [0, 1])], DataError, "labels= a name"),
        ([torch.ones(2, 4, dtype=torch.int64), torch.ones(2, 4)], DataError, "Make them alike"),
        ("a text", ViewError, "Write: workbench.capture"),
        (3, ViewError, "this is a int"),
    ],
)
def test_sources_that_cannot_be_fed_are_refused(encoder, source, error, said) -> None:
    with pytest.raises(error, match=said):
        capture(encoder, source)


def test_what_the_network_cannot_read_is_refused(encoder, convolutions) -> None:
    with pytest.raises(ViewError, match="doesn't read text"):
        capture(encoder, ["a text"])
    with pytest.raises(MethodError, match=r"forward pass on a batch of 0 \(2, 3, 4\)"):
        capture(convolutions, np.ones((2, 3, 4)))
    with pytest.raises(ViewError, match="given a dict"):
        capture({}, np.ones((2, 2)))
    with pytest.raises(ParameterError, match="labels="):
        capture(encoder, np.ones((2, 2), np.int64), labels="y")


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": "token"},
        {"dtype": "int8"},
        {"max_length": 0},
        {"max_length": 8.0},
        {"batch_size": 0},
        {"at": []},
        {"at": [3]},
    ],
)
def test_illegal_parameters_are_refused_by_name(encoder, wrong) -> None:
    with pytest.raises(ParameterError, match=f"capture: {next(iter(wrong))}="):
        capture(encoder, np.ones((2, 2), np.int64), **wrong)


# -- the network's state ------------------------------------------------------------------------------


def test_the_module_is_left_as_it_was(convolutions) -> None:
    convolutions.train()
    convolutions.first.eval()
    modes = [m.training for m in convolutions.modules()]
    x = np.ones((3, 3, 8, 8), np.float32)
    a = capture(convolutions, x, at="drop")
    b = capture(convolutions, x, at="drop", store=None, name="again")
    np.testing.assert_array_equal(a.values, b.values)  # dropout does nothing
    assert [m.training for m in convolutions.modules()] == modes
    assert not any(m._forward_hooks for m in convolutions.modules())
    with pytest.raises(MethodError):
        capture(convolutions, np.ones((3, 5, 8, 8)))
    assert [m.training for m in convolutions.modules()] == modes
    assert not any(m._forward_hooks for m in convolutions.modules())
    convolutions(torch.tensor(x)).sum().backward()  # and can be trained on


def test_dtypes_are_kept_and_what_does_not_fit_is_refused() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        module[0].weight.fill_(3e4)
    x = np.array([[1.0, 0.5], [0.1, 0.2]])
    for dtype in ("float32", "float64"):
        assert capture(module, x, dtype=dtype).values.dtype == dtype
    assert capture(module, x / 10, dtype="float16").values.dtype == np.float16
    with pytest.raises(DataError, match=r"0 has values beyond the range of float16.*dtype='float32'"):
        capture(module, x * 10, dtype="float16")
    assert capture(module, np.array([[np.inf, 1.0], [1.0, 1.0]]), dtype="float16").values.dtype == np.float16


# -- the cache ----------------------------------------------------------------------------------------


def test_the_same_capture_again_runs_two_texts_only(decoder, texts, monkeypatch) -> None:
    ran: list[int] = []
    run = Work.run
    monkeypatch.setattr(Work, "run", lambda work, fed: (ran.append(len(fed.samples)), run(work, fed))[1])
    first = batches_run(lambda: capture(decoder, texts, batch_size=4))
    again = batches_run(lambda: capture(decoder, texts, batch_size=4))
    assert "capture: glassllm-en on texts" in first
    assert again[-1] == "capture: glassllm-en on texts (from the cache)"
    assert "capture: glassllm-en on texts" not in again
    apart = [4, 1, 1, 1, 1]  # once: whether a text's rows depend on the others
    assert ran == [2, 2, *apart, 4, 1, 2, 2]  # each time: to learn the sites, and their rows


@pytest.mark.slow
def test_whatever_matters_makes_another_capture(decoder, texts, cache) -> None:
    network = decoder.network()
    capture(network, texts)
    changed = [
        lambda: capture(network, texts, at="model.layers.[01]"),
        lambda: capture(network, texts, rows="sample"),
        lambda: capture(network, texts, attention=True),
        lambda: capture(network, texts, max_length=8),
        lambda: capture(network, texts, dtype="float16"),
        lambda: capture(network, texts, batch_size=3),
        lambda: capture(network, texts[:-1]),
        lambda: capture(network, [*texts[:-1], texts[-1] + "."]),
    ]
    for i, work in enumerate(changed):
        work()
        assert len(list((cache / "captures").iterdir())) == i + 2
    for work in changed:
        assert batches_run(work)[-1].endswith("(from the cache)")
    with torch.no_grad():
        network.module.model.layers[0].mlp.up_proj.weight[0, 0] += 1
    assert not batches_run(lambda: capture(network, texts))[-1].endswith("(from the cache)")


def test_changed_code_settings_or_hooks_are_another_network(encoder) -> None:
    ids = np.ones((2, 3), np.int64)

    class Scaled(torch.nn.Module):
        def __init__(self, scale: float):
            super().__init__()
            self.inner = torch.nn.Embedding(5, 2)
            self.inner.weight.data.fill_(1)
            self.scale = scale
            self.out = torch.nn.Identity()

        def forward(self, x):
            return self.out(self.inner(x) * self.scale)

    class Shifted(Scaled):
        def forward(self, x):
            return self.out(self.inner(x) + self.scale)

    assert capture(Scaled(2.0), ids, at="out").values[0, 0] == 2
    assert capture(Scaled(3.0), ids, at="out").values[0, 0] == 3
    assert capture(Shifted(3.0), ids, at="out").values[0, 0] == 4
    Scaled.forward = Shifted.forward  # as when a notebook's cell is run again
    assert capture(Scaled(2.0), ids, at="out").values[0, 0] == 3
    before = capture(encoder, ids, at="blocks.0").values[0].copy()
    handle = encoder.blocks[0].register_forward_hook(lambda module, args, out: out * 0)
    assert not capture(encoder, ids, at="blocks.0").values.any()
    handle.remove()
    np.testing.assert_array_equal(capture(encoder, ids, at="blocks.0").values[0], before)


def test_no_cache_runs_again(decoder, texts, monkeypatch) -> None:
    before = capture(decoder, texts)
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    again = []
    said = batches_run(lambda: again.append(capture(decoder, texts)))
    assert not any(s.endswith("(from the cache)") for s in said)
    np.testing.assert_array_equal(before.array("model.layers.3"), again[0].array("model.layers.3"))


def test_any_network_that_encodes_can_be_captured(encoder) -> None:
    from workbench.subjects.network import Batch

    def encode(lines: pd.DataFrame, max_length: int) -> Batch:
        """A token a letter."""
        cut = [t[:max_length] for t in lines["text"]]
        width = max(map(len, cut))
        ids = torch.tensor([[ord(c) % 50 for c in t.ljust(width)] for t in cut])
        keep = np.array([[True] * len(t) + [False] * (width - len(t)) for t in cut])
        rows = pd.DataFrame({"token": [c for t in cut for c in t]})
        return Batch((ids,), keep, rows)

    acts = capture(Network("letters", "", encoder, encode), ["abc", "de"], max_length=4)
    assert acts.table["token"].tolist() == list("abcde")
    expected = encoder.blocks[0](encoder.embed(torch.tensor([ord("d") % 50])))
    np.testing.assert_allclose(acts.array("blocks.0")[3], expected[0].detach().numpy(), atol=1e-6)
