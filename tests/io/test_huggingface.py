"""Folders in Hugging Face's layout: whole or in shards, and everything that can be wrong with an index."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from workbench.core.errors import FormatError, MissingError, ViewError
from workbench.io.opening import open as open_subject
from workbench.subjects.checkpoint import Checkpoint, Matrix

STATE = {
    "a.weight": torch.arange(12.0).reshape(3, 4),
    "a.bias": torch.ones(3).bfloat16(),
    "b.weight": torch.eye(2),
}
SHARDS = {
    "model-00001-of-00002.safetensors": ["a.weight", "a.bias"],
    "model-00002-of-00002.safetensors": ["b.weight"],
}


def sharded(folder: Path, shards: dict[str, list[str]] = SHARDS, **index: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file, names in shards.items():
        save_file({n: STATE[n] for n in names}, folder / file)
    where = {n: file for file, names in shards.items() for n in names}
    said = {"metadata": {"total_size": 70}, "weight_map": where, **index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(said))
    return folder


def whole(folder: Path, config: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True)
    save_file(STATE, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def assert_holds_state(found: Any) -> None:
    assert isinstance(found, Checkpoint)
    assert set(found) == set(STATE)
    for name, tensor in STATE.items():
        np.testing.assert_array_equal(found[name], tensor.float().numpy())
        assert found[name].dtype == np.float32


def test_known_answer_a_whole_folder(tmp_path: Path) -> None:
    found = open_subject(whole(tmp_path / "tiny", {"hidden_size": 4}))
    assert_holds_state(found)
    assert found.name == "tiny"
    assert found.config == {"hidden_size": 4}
    assert found.source == str(tmp_path / "tiny")


def test_known_answer_shards(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "tiny")
    found = open_subject(folder)
    assert_holds_state(found)
    assert found.tensors["b.weight"].file == "model-00002-of-00002.safetensors"
    assert_holds_state(open_subject(folder / "model.safetensors.index.json"))
    assert open_subject(folder / "model.safetensors.index.json").name == "tiny"
    shard = open_subject(folder / "model-00002-of-00002.safetensors")
    assert list(shard) == ["b.weight"]
    assert "set aside: all but 1 of 2 shards" in shard.holds


def test_known_answer_torch_shards(tmp_path: Path) -> None:
    for k, names in enumerate(SHARDS.values()):
        torch.save({n: STATE[n] for n in names}, tmp_path / f"pytorch_model-{k}.bin")
    where = {n: f"pytorch_model-{k}.bin" for k, names in enumerate(SHARDS.values()) for n in names}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    assert_holds_state(open_subject(tmp_path))


def test_a_shared_tensor_s_other_name_need_not_stand_in_the_index(tmp_path: Path) -> None:
    save_file({"embed": torch.ones(3, 2)}, tmp_path / "model-1.safetensors", {"head": "embed"})
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"embed": "model-1.safetensors"}}')
    found = open_subject(tmp_path)
    assert list(found) == ["embed", "head"]
    np.testing.assert_array_equal(found["head"], found["embed"])


def test_peer_what_the_hub_s_library_saves_in_shards_comes_back_equal(tmp_path: Path) -> None:
    from huggingface_hub import save_torch_state_dict

    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(32, 2, 64)
    state = {**layer.state_dict(), "half": torch.randn(50, 50).bfloat16()}
    save_torch_state_dict(state, tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    found = open_subject(tmp_path)
    assert set(found) == set(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.float().numpy())


def test_equal_content_under_other_names_has_one_digest(tmp_path: Path) -> None:
    plain = open_subject(whole(tmp_path / "a")).digest
    os.rename(tmp_path / "a", tmp_path / "other")
    assert open_subject(tmp_path / "other").digest == plain
    (tmp_path / "loose.bin").write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    assert open_subject(tmp_path / "loose.bin").digest == plain
    names = dict(zip(["x.safetensors", "y.safetensors"], SHARDS.values(), strict=True))
    one, two = open_subject(sharded(tmp_path / "one")), open_subject(sharded(tmp_path / "two", names))
    assert one.digest == two.digest != plain


def test_a_changed_weight_configuration_or_tokenizer_changes_the_digest(tmp_path: Path) -> None:
    digests = {open_subject(whole(tmp_path / "a", {"act": "gelu"})).digest}
    digests.add(open_subject(whole(tmp_path / "b", {"act": "relu"})).digest)
    (tmp_path / "b" / "tokenizer.json").write_text("{}")
    digests.add(open_subject(tmp_path / "b").digest)
    (tmp_path / "b" / "README.md").write_text("nothing that counts")
    digests.add(open_subject(tmp_path / "b").digest)
    save_file({**STATE, "b.weight": torch.zeros(2, 2)}, tmp_path / "b" / "model.safetensors")
    digests.add(open_subject(tmp_path / "b").digest)
    assert len(digests) == 4


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = sharded(tmp_path)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(
        MissingError, match=r"2 shards, of which 1 .*'model-00002-of-00002\.safetensors'.*Download"
    ):
        open_subject(folder)


@pytest.mark.parametrize(
    "shard",
    [
        "../secret.safetensors",
        "/etc/passwd",
        "sub/x.safetensors",
        "..",
        ".",
        "",
        "c:x",
        "..\\x",
        "a\nb",
        5,
        None,
    ],
)
def test_a_shard_that_escapes_the_folder_is_refused(shard: Any, tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for place in (tmp_path / "secret.safetensors", tmp_path / "in" / "sub" / "x.safetensors"):
        save_file({"a.weight": torch.ones(1)}, place)
    folder = sharded(tmp_path / "in", weight_map={"a.weight": shard})
    with pytest.raises(FormatError, match="no plain name of a file beside it"):
        open_subject(folder)


FIRST = next(iter(SHARDS))
BAD = {
    "no weight map": '{"metadata": {}}',
    "an empty weight map": '{"weight_map": {}}',
    "a list": '{"weight_map": []}',
    "no object": "[]",
    "no JSON": "{",
    "nothing nested": "[" * 100_000,
    "a text": '"x"',
    "a tensor twice": f'{{"weight_map": {{"a.weight": "{FIRST}", "a.weight": "{FIRST}"}}}}',
    "an unknown tensor": f'{{"weight_map": {{"c": "{FIRST}"}}}}',
}


@pytest.mark.parametrize("why", BAD)
def test_a_bad_index_is_refused_in_words(why: str, tmp_path: Path) -> None:
    folder = sharded(tmp_path)
    (folder / "model.safetensors.index.json").write_text(BAD[why])
    with pytest.raises(
        FormatError, match=r"model\.safetensors\.index\.json can't be read as a shard index"
    ) as caught:
        open_subject(folder)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1, "a": 2}', "\x00", ""])
def test_a_bad_configuration_is_refused(text: str, tmp_path: Path) -> None:
    folder = whole(tmp_path / "tiny")
    (folder / "config.json").write_text(text)
    with pytest.raises(FormatError, match=r"config\.json"):
        open_subject(folder)


def test_a_git_lfs_pointer_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n"
    )
    with pytest.raises(FormatError, match="git lfs pull"):
        open_subject(tmp_path)


def test_folders_that_hold_nothing_or_too_much_say_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="It holds nothing"):
        open_subject(tmp_path)
    (tmp_path / "notes.md").write_text("x")
    (tmp_path / "unet").mkdir()
    with pytest.raises(FormatError, match=r"It holds 'notes\.md', 'unet/'.*by its own path"):
        open_subject(tmp_path)
    save_file(STATE, tmp_path / "a.safetensors")
    assert_holds_state(open_subject(tmp_path))
    save_file(STATE, tmp_path / "b.safetensors")
    with pytest.raises(FormatError, match=r"several files of weights \('a\.safetensors', 'b\.safetensors'\)"):
        open_subject(tmp_path)


def test_a_folder_of_images_says_what_to_make_of_them(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.PNG").touch()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FormatError, match=r"3 images.*np\.save.*workbench report images\.npy.*inputs=images"):
        open_subject(tmp_path)


def test_shards_without_their_index_say_what_is_missing(tmp_path: Path) -> None:
    folder = sharded(tmp_path)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(FormatError, match=r"Download model\.safetensors\.index\.json"):
        open_subject(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(FormatError, match=r"Download model\.safetensors\.index\.json"):
        open_subject(folder)


def test_an_adapter_is_opened_with_its_own_configuration(tmp_path: Path) -> None:
    save_file({"lora_A": torch.ones(2, 3)}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text('{"r": 2}')
    found = open_subject(tmp_path)
    assert found.config == {"r": 2}
    np.testing.assert_array_equal(found["lora_A"], np.ones((2, 3)))


def test_an_adapter_of_torch_is_found_among_what_training_left(tmp_path: Path) -> None:
    torch.save({"base_model.model.q.lora_A.weight": torch.ones(2, 4)}, tmp_path / "adapter_model.bin")
    for name in ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
        torch.save({"state": {}}, tmp_path / name)
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    found = open_subject(tmp_path)
    assert list(found) == ["base_model.model.q.lora_A.weight"]
    assert found.config == {"peft_type": "LORA"}
    (tmp_path / "adapter_model.bin").rename(tmp_path / "mine.bin")
    assert list(open_subject(tmp_path)) == list(found)


def test_one_shard_of_one_is_the_whole(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "model-00001-of-00001.safetensors")
    assert_holds_state(open_subject(tmp_path))


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "model.safetensors.index.json", "extra.gguf"]
)
def test_a_pipe_in_the_place_of_a_file_is_refused(name: str, tmp_path: Path) -> None:
    folder = whole(tmp_path / "tiny")
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    os.mkfifo(folder / name)
    with pytest.raises(FormatError, match="neither a file nor a folder"):
        open_subject(folder)


def test_a_pipe_that_only_the_tokenizer_would_read_is_refused(tmp_path: Path) -> None:
    folder = whole(tmp_path / "tiny", {"model_type": "llama"})
    os.mkfifo(folder / "chat_template.jinja")
    with pytest.raises(FormatError, match="neither a file nor a folder"):
        open_subject(folder).network()


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "vocab.txt"])
def test_gigantic_texts_are_refused_by_their_size(name: str, tmp_path: Path) -> None:
    folder = whole(tmp_path / "tiny", {"model_type": "llama"})
    with (folder / name).open("wb") as f:
        f.truncate(40 << 30)  # nothing is written
    with pytest.raises(FormatError, match=f"{name}.* larger than"):
        open_subject(folder)


PACKED: dict[str, tuple[dict[str, torch.Tensor], str, list[str]]] = {
    "GPTQ": (
        {
            "l.qweight": torch.ones(64, 128, dtype=torch.int32),
            "l.qzeros": torch.ones(4, 16, dtype=torch.int32),
            "l.scales": torch.ones(4, 128).half(),
            "l.g_idx": torch.arange(512, dtype=torch.int32),
        },
        "l.qweight",
        ["l.scales"],
    ),
    "bitsandbytes, 4 bits": (
        {
            "l.weight": torch.ones(4096, 1, dtype=torch.uint8),
            "l.weight.absmax": torch.ones(128),
            "l.weight.quant_map": torch.ones(16),
            "n.weight": torch.ones(3, 4),
        },
        "l.weight",
        ["n.weight"],
    ),
    "bitsandbytes, 8 bits": (
        {
            "l.weight": torch.ones(8, 4, dtype=torch.int8),
            "l.SCB": torch.ones(8),
            "n.weight": torch.ones(3, 4),
        },
        "l.weight",
        ["n.weight"],
    ),
    "compressed-tensors": (
        {"l.weight_packed": torch.ones(8, 4, dtype=torch.int32), "l.weight_scale": torch.ones(8, 1)},
        "l.weight_packed",
        ["l.weight_scale"],
    ),
    "MXFP4": (
        {
            "e.gate_up_proj_blocks": torch.ones(2, 8, 4, 16, dtype=torch.uint8),
            "e.gate_up_proj_scales": torch.ones(2, 8, 4, dtype=torch.uint8),
            "e.bias": torch.ones(2, 8),
        },
        "e.gate_up_proj_blocks",
        ["e.bias"],
    ),
    "none": ({"pairs": torch.ones(5, 2, dtype=torch.int32), "w": torch.ones(3, 4)}, "", ["pairs", "w"]),
}


@pytest.mark.parametrize("how", PACKED)
def test_packed_integers_are_no_matrix(how: str, tmp_path: Path) -> None:
    tensors, packed, matrices = PACKED[how]
    save_file(tensors, tmp_path / "model.safetensors")
    found = open_subject(tmp_path)
    assert set(matrices) <= set(found.parts(Matrix))
    assert packed not in found.parts(Matrix)
    for name in matrices:
        found.at(name).as_matrix()
    if packed:
        assert "packed integers" in found.holds
        with pytest.raises(ViewError, match=f"{packed} holds packed integers"):
            found.at(packed).as_matrix()


def test_integers_of_a_quantized_network_are_packed_whatever_they_are_called(tmp_path: Path) -> None:
    save_file({"l.codes": torch.ones(8, 4, dtype=torch.int8)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"quantization_config": {"quant_method": "aqlm"}}')
    with pytest.raises(ViewError, match="quantized by aqlm"):
        open_subject(tmp_path).as_matrix()
