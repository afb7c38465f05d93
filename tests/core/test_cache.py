"""Caching and storage: the same run is answered once, and nothing half-written is ever read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from workbench.core import cache as results_cache
from workbench.core.errors import FormatError, StorageError
from workbench.core.storage import writing

FEW = {"n_null": 3, "n_boot": 3}


def test_the_same_question_is_answered_from_the_cache(cache: Path) -> None:
    cloud = wb.circle(n=50)
    first = wb.pca(cloud, **FEW)
    again = wb.pca(cloud, **FEW)
    assert again.run == first.run  # the time it started too: nothing ran again
    assert wb.pca(cloud, whiten=True, **FEW).run.key != first.run.key
    assert wb.pca(wb.circle(n=50, random_state=1), **FEW).run.key != first.run.key
    assert len(list((cache / "results").iterdir())) == 3


def test_changed_code_is_not_answered_from_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = wb.circle(n=50)
    before = wb.pca(cloud, **FEW).run.key
    monkeypatch.setattr(wb.pca, "version", "changed")
    assert wb.pca(cloud, **FEW).run.key != before


def test_a_damaged_entry_is_computed_again(cache: Path) -> None:
    cloud = wb.circle(n=50)
    first = wb.pca(cloud, **FEW)
    path = cache / "results" / first.run.key / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:40])
    assert (wb.pca(cloud, **FEW).values == first.values).all()
    assert path.stat().st_size > 40


def test_load_refuses_what_is_not_a_result(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(FormatError, match="not a saved result"):
        wb.load(tmp_path)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), writing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_and_changes_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys, pathlib\n"
        "from workbench.core.storage import writing\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "with writing(pathlib.Path(sys.argv[1])) as t: t.write_bytes(b'x' * 100_000)\n"
    )
    path = tmp_path / "out" / "big"
    path.parent.mkdir()
    path.write_text("before")
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert "StorageError: The disk is full" in done.stderr
    assert path.read_text() == "before" and list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Give a folder"):
        wb.pca(wb.circle(n=50), **FEW).save(tmp_path / "file" / "result")


def test_an_unwritable_cache_costs_speed_not_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file"))
    assert np.isfinite(wb.pca(wb.circle(n=50), **FEW).values).all()


def test_prune_removes_what_was_used_longest_ago() -> None:
    keys = [wb.pca(wb.circle(n=50, random_state=i), **FEW).run.key for i in range(3)]
    for age, entry in zip((30, 20, 10), keys, strict=True):
        path = results_cache.cache_dir() / "results" / entry
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    sizes = {e.path.name: e.nbytes for e in results_cache.entries()}
    gone, left = results_cache.prune(keep_bytes=sizes[keys[2]] + sizes[keys[1]])
    assert [e.path.name for e in gone] == [keys[0]]
    assert left == []
    assert {e.path.name for e in results_cache.entries()} == set(keys[1:])


def test_equal_content_under_another_name_is_answered_under_its_own() -> None:
    x = np.random.default_rng(0).standard_normal((50, 3))
    first = wb.pca(wb.PointCloud(x, name="first", space="one"), **FEW)
    other = wb.pca(wb.PointCloud(x, name="other", space="two"), **FEW)
    assert other.run.started == first.run.started
    assert (other.title, other.space, other.run.subject) == ("Principal components of other", "two", "other")


@pytest.mark.slow
def test_a_full_disk_costs_the_cache_not_the_answer(tmp_path: Path) -> None:
    code = (
        "import resource, signal, numpy as np, workbench as wb\n"
        "cloud = wb.PointCloud(np.random.default_rng(0).standard_normal((5000, 3)))\n"
        "wb.pca(cloud.select(np.arange(50)), n_null=3, n_boot=3)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "print(wb.pca(cloud, n_null=3, n_boot=3).values.shape)\n"
    )
    env = {**os.environ, "WORKBENCH_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    assert done.stdout.strip() == "(5000, 2)", done.stderr
    assert len(list((tmp_path / "cache" / "results").iterdir())) == 1


@pytest.mark.parametrize("file", ["arrays.safetensors", "result.json"])
def test_one_flipped_bit_in_a_kept_answer_is_seen_and_computed_again(cache: Path, file: str) -> None:
    cloud = wb.circle(n=50)
    first = wb.pca(cloud, **FEW)
    path = cache / "results" / first.run.key / file
    whole = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    answered_from_damage = 0
    for bit in np.random.default_rng(0).integers(0, 8 * len(whole[file]), 30).tolist():
        for name, content in whole.items():
            (path.parent / name).write_bytes(content)
        raw = bytearray(whole[file])
        raw[bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        assert wb.pca(cloud, **FEW).digest == first.digest
        answered_from_damage += path.read_bytes() == bytes(raw)  # else it was stored again
    assert answered_from_damage <= (file == "result.json")  # another spelling of the same JSON


@pytest.mark.parametrize("file", ["arrays.safetensors", "result.json"])
@pytest.mark.parametrize("instead", ["pipe", "device", "folder", "many values", "a hole"])
def test_what_stands_in_a_kept_answers_place_is_neither_waited_for_nor_read(
    cache: Path, file: str, instead: str
) -> None:
    cloud = wb.circle(n=50)
    first = wb.pca(cloud, **FEW)
    path = cache / "results" / first.run.key / file
    path.unlink()
    if instead == "pipe":
        os.mkfifo(path)
    elif instead == "device":
        path.symlink_to("/dev/zero")
    elif instead == "folder":
        path.mkdir()
    elif instead == "many values":
        path.write_bytes(b"[" + b"[]," * 5_000_000 + b"[]]")
    else:
        with path.open("wb") as f:
            f.truncate(1 << 40)
    if instead in ("pipe", "device") or file == "result.json":
        assert len(results_cache.entries()) == 1
    with pytest.raises(FormatError, match="not a saved result"):
        wb.load(path.parent)
    assert wb.pca(cloud, **FEW).digest == first.digest
    assert path.is_file() and path.stat().st_size < 100_000


CAPTURING = """
import sys, time
import numpy as np, torch
import workbench as wb
from workbench.core.progress import listening
torch.manual_seed(0)
module = torch.nn.Sequential(torch.nn.Linear(8, 4))
def tell(what, done, total):
    if what == "capture: slow":
        print("at work", flush=True)
        time.sleep(0.005)
with listening(tell):
    acts = wb.capture(module, np.ones((800, 8), np.float32), batch_size=4, name="slow")
assert acts.values.shape == (800, 4)
assert np.allclose(acts.values, module(torch.ones(1, 8)).detach().numpy(), atol=1e-6)
"""


@pytest.mark.slow
def test_prune_leaves_a_running_capture_and_a_running_write_alone(cache: Path) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", CAPTURING], stdout=subprocess.PIPE, text=True) as process,
        writing(cache / "results" / "key") as temporary,
    ):
        temporary.mkdir()
        (temporary / "half").write_text("written")
        assert process.stdout is not None
        process.stdout.readline()
        stayed = set()
        while process.poll() is None:
            gone, left = results_cache.prune()
            assert all(not e.path.name.endswith(".partial") for e in gone)
            stayed |= {e.path for e in left}
            process.stdout.readline()
        assert process.returncode == 0
        assert {path.parent.name for path in stayed} == {"captures", "results"}
    assert (cache / "results" / "key").is_dir()
    gone, left = results_cache.prune()
    assert not left
    assert results_cache.entries() == []


def test_prune_removes_links_and_not_what_they_lead_to(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (cache / "results").mkdir(parents=True)
    (cache / "results" / "link").symlink_to(tmp_path / "mine")
    gone, _ = results_cache.prune()
    assert [e.path.name for e in gone] == ["link"]
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert results_cache.entries() == []
