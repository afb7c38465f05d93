"""Models of the hub: found in the local copy without a network, refused in words where neither is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from workbench.core.errors import MissingError, ParameterError
from workbench.io.hub import HUB_ID
from workbench.io.opening import open as open_subject

OPEN = """
import sys
from workbench.core.errors import WorkbenchError
from workbench.io.opening import open as open_subject
try:
    found = open_subject(sys.argv[1])
    print("opened", found.name, sorted(found))
except WorkbenchError as e:
    print(type(e).__name__, e)
"""


def opened(what: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", OPEN, what],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    return run.stdout


def test_a_copy_in_the_cache_opens_offline(tmp_path: Path) -> None:
    repository = tmp_path / "models--someone--tiny"
    blob, snapshot = repository / "blobs" / "b10b", repository / "snapshots" / ("0" * 40)
    blob.parent.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    save_file({"w": torch.ones(2)}, blob)
    (snapshot / "model.safetensors").symlink_to(Path("../../blobs/b10b"))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    said = opened("someone/tiny", HF_HUB_CACHE=str(tmp_path), HF_HUB_OFFLINE="1")
    assert said == "opened someone/tiny ['w']\n"


def test_offline_without_a_copy_is_refused_in_words(tmp_path: Path) -> None:
    said = opened("someone/tiny", HF_HUB_CACHE=str(tmp_path), HF_HUB_OFFLINE="1")
    assert said.startswith("MissingError There is no file 'someone/tiny'")
    assert "download the model's folder" in said


def test_an_unreachable_hub_is_refused_in_words(tmp_path: Path) -> None:
    said = opened(
        "someone/tiny", HF_HUB_CACHE=str(tmp_path), HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9"
    )
    assert said.startswith("MissingError There is no file 'someone/tiny'")
    assert list(tmp_path.rglob("*.safetensors")) == []


@pytest.mark.parametrize(
    "what", ["data/cloud.csv", "nowhere/model.safetensors", "a/b/c", "/a/b", "../a", "a/"]
)
def test_what_can_only_be_a_path_is_not_asked_of_the_hub(what: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # asking it would say that it isn't installed
    with pytest.raises(MissingError, match=r"does not exist|neither a file"):
        open_subject(what)


def test_a_misspelt_file_in_a_folder_is_not_asked_of_the_hub(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "first").write_text("x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingError, match="Did you mean 'first'"):
        open_subject("runs/frist")


def test_without_the_package_it_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingError, match="pip install huggingface-hub"):
        open_subject("someone/tiny")


def test_a_model_of_the_hub_is_no_cloud() -> None:
    with pytest.raises(ParameterError, match="kind='points'"):
        open_subject("someone/tiny", kind="points")


@pytest.mark.parametrize(
    ("text", "legal"),
    [
        ("bert-base/uncased", True),
        ("a/B.c-1_2", True),
        ("a", False),
        ("a/b/c", False),
        ("../b", False),
        ("a/b c", False),
    ],
)
def test_ids_are_told_from_paths(text: str, legal: bool) -> None:
    assert bool(HUB_ID.fullmatch(text)) == legal
