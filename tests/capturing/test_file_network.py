"""What was written down of a network of files is believed where nobody can have changed what it is made of, and nowhere else.

Each process is a fresh one, as that of a report's kernel is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workbench.subjects.file_network import MOST_CAPTURES, MOST_NOTES, Known, origin_of

ASK = """
import json, sys
import workbench as wb
from workbench.core.digest import digest
net, texts = wb.open("glassllm-en"), wb.Corpus.from_texts(["a cat sat on a mat", "the queen spoke", "off with her head"])
def asked(network, texts=texts, **more):
    acts = wb.capture(network, texts, **more)
    return [acts.digest, acts.name, digest(*map(acts.array, acts.sites))]
"""
BOTH = """
drawn = net.untrained(random_state=3)
said = [asked(net), asked(drawn), net.shared_network().holds, drawn.holds, drawn.name, drawn.digest]
"""
TOLD = """
print(json.dumps([said, sorted({"torch", "transformers"} & sys.modules.keys())]))
"""
FORGOTTEN = """
import torch
"""
PATCHED = """
from transformers.models.llama.modeling_llama import LlamaDecoderLayer
LlamaDecoderLayer.forward = lambda self, x, *args, **kwargs: x
"""
CHANGED = """
network = net.network()
network.module.model.layers[0].forward = lambda x, *args, **kwargs: x
said = asked(network)
"""


def run(cache: Path, *code: str, **env: str) -> tuple[Any, list[str]]:
    """What a process says and which libraries it imported."""
    lines = "".join([ASK, *code, TOLD])
    settings = {**os.environ, "WORKBENCH_CACHE": str(cache), **env}
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, env=settings)
    assert done.returncode == 0, done.stderr
    said, imported = json.loads(done.stdout.splitlines()[-1])
    return said, imported


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    cache = tmp_path_factory.mktemp("cache")
    said, imported = run(cache, BOTH)
    assert imported == ["torch", "transformers"]
    return cache, said


def test_what_was_kept_is_found_without_making_a_network(kept) -> None:
    cache, said = kept
    assert run(cache, BOTH) == (said, [])
    assert said[0][2] != said[1][2] and "852,608 parameters" in said[2]


def test_where_torch_was_imported_before_the_network_is_made_and_the_answer_is_the_same(kept) -> None:
    cache, said = kept
    assert run(cache, FORGOTTEN, BOTH) == (said, ["torch", "transformers"])


@pytest.mark.parametrize("what", ["other texts", "a store"])
def test_what_was_not_written_down_makes_the_network(kept, what: str, tmp_path: Path) -> None:
    ask = {
        "other texts": "said = asked(net, wb.Corpus.from_texts(['a cat sat']))",
        "a store": f"said = asked(net, store={str(tmp_path / 'store')!r})",
    }[what]
    said, imported = run(kept[0], ask)
    assert said and imported == ["torch", "transformers"]


def test_neither_a_patched_class_nor_a_changed_module_is_written_down_as_the_files_network(
    kept, tmp_path: Path
) -> None:
    patched, _ = run(tmp_path, PATCHED, BOTH)
    assert patched[0][2] != kept[1][0][2] and patched[1][2] != kept[1][1][2]
    changed, _ = run(tmp_path, CHANGED)
    assert changed[2] != kept[1][0][2]
    assert list((tmp_path / "networks").glob("*")) == []
    again, imported = run(tmp_path, BOTH)
    assert again == kept[1] and imported  # as in a cache of its own
    assert run(tmp_path, BOTH) == (again, [])


def test_without_a_cache_nothing_is_believed_or_written(kept, tmp_path: Path) -> None:
    assert run(kept[0], "said = asked(net)", WORKBENCH_NO_CACHE="1")[1] == ["torch", "transformers"]
    run(tmp_path, "said = asked(net)", WORKBENCH_NO_CACHE="1")
    assert not (tmp_path / "networks").exists()


def test_a_capture_that_is_gone_is_made_again(tmp_path: Path) -> None:
    said, _ = run(tmp_path, "said = asked(net)")
    (store,) = (tmp_path / "captures").iterdir()
    (store / "site000.bin").write_bytes(b"")
    assert run(tmp_path, "said = asked(net)") == (said, ["torch", "transformers"])


def test_what_is_known_is_read_as_it_was_written_and_nothing_else_is(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    a, b = "0" * 32, "f" * 32
    known = Known(a, "a network", True, {a: b})
    known.write("one")
    assert Known.read("one") == known and Known.read("another") is None
    (note,) = (tmp_path / "networks").iterdir()
    whole = json.loads(note.read_text())
    for wrong in (
        {"captures": {a: "../../elsewhere"}},
        {"captures": [a]},
        {"drawn": "yes"},
        {"captures": None},
    ):
        note.write_text(json.dumps({**whole, **wrong}))
        assert Known.read("one") is None
    for text in ("", "[]", note.read_text()[:20], "{}"):
        note.write_text(text)
        assert Known.read("one") is None


def test_notes_and_the_captures_in_one_are_few(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    many = {f"{i:032x}": f"{i:032x}" for i in range(MOST_CAPTURES + 5)}
    Known("0" * 32, "a network", None, many).write("last")
    found = Known.read("last")
    assert found is not None and list(found.captures) == list(many)[5:]
    folder = tmp_path / "networks"
    for i in range(MOST_NOTES):
        (folder / f"old{i}.json").write_text("{}")
        os.utime(folder / f"old{i}.json", (i, i))
    Known("0" * 32, "a network").write("newest")
    assert len(list(folder.iterdir())) == MOST_NOTES
    assert Known.read("newest") and Known.read("last") and not (folder / "old0.json").exists()


def test_files_that_were_digested_in_samples_have_no_origin() -> None:
    assert origin_of("sampled-" + "0" * 32) == ""
    assert origin_of("0" * 32) != origin_of("1" * 32)
