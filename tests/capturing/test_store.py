"""The store: killed, out of room, contended, lied to; it goes on, or refuses, and never opens half-written."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.capturing import capture, open_store, writing
from workbench.capturing.running import Work, threads
from workbench.capturing.store import read_store
from workbench.core import cache as results
from workbench.core.errors import Cancelled, FormatError, MissingError, StorageError
from workbench.core.progress import listening
from workbench.core.stored import sealed

ROOT = Path(__file__).parents[2]
CHILD = """
import sys, time
import workbench as wb
from workbench.capturing import writing
from workbench.core.progress import listening
writing.SYNC_SECONDS = 0
def tell(what, done, total):
    if what == "capture: killed":
        print(done, total, flush=True)
        time.sleep(60 if done == 12 else 0)  # on a fast machine the end comes before the signal
texts = wb.corpus(max_texts=64)
with listening(tell):
    acts = wb.capture(wb.open("glassllm-en"), texts, batch_size=4, attention=True, store=sys.argv[1], name="killed")
"""


def child(store: Path, code: str, threads: int = 1) -> subprocess.Popen:
    command = [sys.executable, "-c", textwrap.dedent(code), str(store)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)},
    )


def content(folder: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in sorted(folder.iterdir())}


def kill_after(store: Path, batches: int) -> int:
    """Run the child, send SIGKILL when it has told so many steps, and return what its journal holds."""
    process = child(store, CHILD)
    assert process.stdout is not None
    for told, _ in enumerate(process.stdout, start=1):
        if told == batches:
            process.kill()
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    assert not store.exists()
    return int((store.with_name(f"{store.name}.partial") / "journal").read_text().split()[-2])


@pytest.mark.slow
@pytest.mark.parametrize("here", [1, 2])
def test_killed_in_the_middle_the_result_is_that_of_an_uninterrupted_run(tmp_path, here) -> None:
    # By another number of threads sums come in another order, which is other bits. Other code in a process changes that
    # number (numba's does, so UMAP by its library), so a capture goes on with as many as it was begun with.
    committed = kill_after(tmp_path / "killed", 6)
    assert 0 < committed < 16
    with pytest.raises(MissingError, match="unfinished capture"):
        open_store(tmp_path / "killed.partial")

    network, texts = wb.open("glassllm-en"), wb.corpus(max_texts=64)
    passes: list[int] = []
    acts = {}
    for name, count in (("killed", here), ("whole", 1)):
        with counted_passes(passes), threads(count):
            acts[name] = capture(
                network, texts, batch_size=4, attention=True, store=tmp_path / name, name="killed"
            )
    assert passes[1] - passes[0] == committed  # what was committed wasn't computed again
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert acts["killed"].digest == acts["whole"].digest
    assert sorted(tmp_path.iterdir()) == [tmp_path / "killed", tmp_path / "whole"]
    assert len(acts["killed"].sites) == 8
    assert np.isfinite(acts["killed"].array("model.layers.3")).all()


@contextmanager
def counted_passes(found: list[int]) -> Iterator[None]:
    """Add how often a network was called in the block."""
    run, calls = Work.run, []

    def counting(*args):
        calls.append(1)
        return run(*args)

    Work.run = counting  # of the network nothing may be touched: that would make it another
    try:
        yield
    finally:
        Work.run = run
        found.append(len(calls))


def runs(encoder, ids: np.ndarray, **keywords) -> int:
    """How often the network is called in a capture."""
    calls: list[int] = []
    with counted_passes(calls):
        capture(encoder, ids, batch_size=2, **keywords)
    return calls[0]


def stop_at(step: int):
    def listener(what: str, done: int, total: int | None) -> None:
        if what.startswith("capture: ") and total == 10 and done == step:
            raise Cancelled("enough")

    return listener


@pytest.fixture
def ids() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 50, (20, 5))


def test_what_was_cancelled_goes_on_where_it_stopped(encoder, ids, tmp_path) -> None:
    whole = runs(encoder, ids, store=tmp_path / "whole")
    with pytest.raises(Cancelled), listening(stop_at(7)):
        runs(encoder, ids, store=tmp_path / "stopped")
    assert not (tmp_path / "stopped").exists()
    assert runs(encoder, ids, store=tmp_path / "stopped") == whole - 7
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


@pytest.mark.parametrize("changed", ["weights", "source", "sites", "dtype"])
def test_an_unfinished_store_of_something_else_is_never_gone_on_with(
    encoder, ids, tmp_path, cache, changed
) -> None:
    store = tmp_path / "store"
    for where in (store, None):
        with pytest.raises(Cancelled), listening(stop_at(7)):
            capture(encoder, ids, batch_size=2, store=where)
    keywords = {}
    if changed == "weights":
        with torch.no_grad():
            encoder.blocks[0].bias[0] += 1
    elif changed == "source":
        ids = np.roll(ids, 1)
    else:
        keywords = {"sites": {"at": "blocks.1"}, "dtype": {"dtype": "float16"}}[changed]
    before = content(tmp_path / "store.partial")
    with pytest.raises(StorageError, match="unfinished capture of something else"):
        capture(encoder, ids, batch_size=2, store=store, **keywords)
    assert content(tmp_path / "store.partial") == before
    fresh = capture(encoder, ids, batch_size=2, **keywords)
    with torch.no_grad():
        hidden = encoder.embed(torch.tensor(ids))
        for block in encoder.blocks:
            out = block(hidden)
            hidden = hidden + torch.tanh(out)
    np.testing.assert_allclose(fresh.array("blocks.1"), out.flatten(0, 1).numpy(), atol=2e-3)
    assert len(list((cache / "captures").glob("*.partial"))) == 1


def test_a_torn_journal_loses_no_more_than_its_last_line(encoder, ids, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(writing, "SYNC_SECONDS", 0)  # a line a batch
    whole = runs(encoder, ids, store=tmp_path / "whole")
    for lines, torn, left in ((4, b"5", 3), (4, b"5 01234", 3), (0, b"", 0), (0, b"4", 0)):
        with pytest.raises(Cancelled), listening(stop_at(7)):
            runs(encoder, ids, store=tmp_path / "torn")
        journal = tmp_path / "torn.partial" / "journal"
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:lines]) + torn)
        assert runs(encoder, ids, store=tmp_path / "torn") == whole - left
        assert content(tmp_path / "torn") == content(tmp_path / "whole")
        shutil.rmtree(tmp_path / "torn")


@pytest.mark.parametrize("file", ["site000.bin", "site001.bin", "journal"])
def test_an_unfinished_store_that_was_damaged_is_begun_anew(encoder, ids, tmp_path, file) -> None:
    whole = runs(encoder, ids, store=tmp_path / "whole")
    with pytest.raises(Cancelled), listening(stop_at(7)):
        runs(encoder, ids, store=tmp_path / "stopped")
    damaged = tmp_path / "stopped.partial" / file
    flip(damaged, 8 * (damaged.stat().st_size - (800 if file != "journal" else 4)))
    told: list[str] = []
    with listening(lambda what, done, total: told.append(what)):
        assert runs(encoder, ids, store=tmp_path / "stopped") == whole
    assert any("was damaged; it is begun anew" in line for line in told)
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


def flip(file: Path, bit: int) -> None:
    raw = bytearray(file.read_bytes())
    raw[bit // 8] ^= 1 << bit % 8
    file.write_bytes(raw)


def test_killed_before_its_plan_was_written_it_starts_anew(encoder, ids, tmp_path) -> None:
    partial = tmp_path / "store.partial"
    partial.mkdir()
    (partial / "lock").touch()
    (partial / "new").write_text('{"for')
    assert len(capture(encoder, ids, store=tmp_path / "store")) == 100


@pytest.mark.slow
def test_two_processes_that_capture_the_same_do_it_once(tmp_path) -> None:
    code = """
    import sys
    import numpy as np, torch
    from workbench.capturing import capture
    from workbench.core.progress import listening
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Linear(64, 64))
    said = []
    with listening(lambda what, done, total: said.append(what)):
        print(capture(module, np.ones((20_000, 8)), store=sys.argv[1]).digest)
    print(sum(s == "capture: Sequential on ndarray" for s in said))
    """
    both = [child(tmp_path / "store", code) for _ in range(2)]
    (first, ran), (second, ran_too) = (p.communicate()[0].split() for p in both)
    assert first == second
    assert sorted((int(ran), int(ran_too))) == [0, 626]
    assert [f.name for f in tmp_path.iterdir()] == ["store"]
    assert sorted(content(tmp_path / "store")) == [
        "manifest.json",
        "rows.parquet",
        "site000.bin",
        "site001.bin",
    ]


# -- no room ------------------------------------------------------------------------------------------


def fill_up(file: Path) -> int:
    """Write until the disk is full; return the error's number."""
    with file.open("wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(4096))
        except OSError as e:
            return e.errno


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode:
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_gets_full_leaves_nothing_that_opens_and_the_rest_is_done_later(
    encoder, ids, tiny_disk, tmp_path
) -> None:
    def fill(what: str, done: int, total: int | None) -> None:
        if what.startswith("capture: ") and total == 10 and done == 6:
            assert fill_up(tiny_disk / "filler") == errno.ENOSPC

    ids = np.tile(ids, (1, 40))  # 200 tokens a sample, some 10 kB a batch
    store = tiny_disk / "store"
    with pytest.raises(StorageError, match=r"disk is full.*goes on from there"), listening(fill):
        capture(encoder, ids, batch_size=2, store=store)
    assert not store.exists()
    with pytest.raises(MissingError):
        open_store(store.with_name("store.partial"))
    (tiny_disk / "filler").unlink()
    assert runs(encoder, ids, store=store) < runs(encoder, ids, store=tmp_path / "whole")
    assert content(store) == content(tmp_path / "whole")


def test_too_little_room_is_said_before_anything_runs(encoder, ids, tiny_disk) -> None:
    with pytest.raises(StorageError, match=r"needs 1\.2 MB and .* has 1\.0 MB free.*float16"):
        capture(encoder, np.tile(ids, (1, 500)), at=["embed"], store=tiny_disk / "store")
    assert list(tiny_disk.iterdir()) == []


def test_a_size_limit_is_an_error_and_no_half_written_store(tmp_path) -> None:
    code = """
    import resource, sys
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    import numpy as np, torch
    from workbench.capturing import capture
    from workbench.core.errors import StorageError
    try:
        capture(torch.nn.Sequential(torch.nn.Linear(8, 64)), np.ones((2000, 8)), store=sys.argv[1])
    except StorageError as e:
        print("refused", e)
    """
    process = child(tmp_path / "store", textwrap.dedent(code))
    assert process.communicate()[0].startswith("refused The disk is full (or a size limit is reached)")
    assert process.returncode == 0
    assert not (tmp_path / "store").exists()


def test_a_folder_that_cannot_be_written_is_said(encoder, ids, tmp_path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="can't be written"):
        capture(encoder, ids, store=tmp_path / "file" / "store")
    assert (tmp_path / "file").read_text() == "not a folder"


# -- what is there already ----------------------------------------------------------------------------


def test_a_store_opens_again_and_is_not_written_over(encoder, ids, tmp_path) -> None:
    first = capture(encoder, ids, store=tmp_path / "store")
    before = {f.name: f.stat().st_mtime_ns for f in (tmp_path / "store").iterdir()}
    again = capture(encoder, ids, store=str(tmp_path / "store"), name="again")
    assert (first.digest, first.name, again.name) == (again.digest, "Encoder on ndarray", "again")
    opened = open_store(tmp_path / "store")
    assert isinstance(opened.array("blocks.0").base, np.memmap)
    assert not opened.array("blocks.0").flags.writeable
    assert opened.name == "Encoder on ndarray"
    pd.testing.assert_frame_equal(opened.table, first.table)
    with pytest.raises(StorageError, match="holds another capture"):
        capture(encoder, ids[:-1], store=tmp_path / "store")
    assert {f.name: f.stat().st_mtime_ns for f in (tmp_path / "store").iterdir()} == before


def test_a_users_own_folder_is_left_alone(encoder, ids, tmp_path) -> None:
    for name in ("mine", "other.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="left alone"):
        capture(encoder, ids, store=tmp_path / "mine")
    with pytest.raises(StorageError, match=r"'thesis\.txt'.* left alone"):
        capture(encoder, ids, store=tmp_path / "other")
    for name in ("mine", "other.partial"):
        assert (tmp_path / name / "thesis.txt").read_text() == "years of work"


def test_a_damaged_entry_of_the_cache_is_made_again(encoder, ids, cache) -> None:
    first = capture(encoder, ids)
    expected = first.array("blocks.1").copy()
    (folder,) = (cache / "captures").iterdir()
    (folder / "site000.bin").write_bytes(b"short")
    np.testing.assert_array_equal(capture(encoder, ids).array("blocks.1"), expected)
    assert [e.what for e in results.entries()] == ["capture"]


def test_sites_of_any_name_get_a_file_inside_the_folder(tmp_path) -> None:
    module = torch.nn.Sequential()
    module.add_module("/evil", torch.nn.Linear(2, 2))
    module.add_module("a b/c", torch.nn.Linear(2, 2))
    acts = capture(module, np.ones((3, 2)), store=tmp_path / "in" / "store")
    assert acts.sites == ["/evil", "a b/c"]
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["store"]


LIES = {
    "more rows than bytes": {"rows": 101},
    "rows beyond memory": {"rows": 10**18},
    "no rows": {"rows": 0},
    "rows that are none": {"rows": True},
    "another dtype": {"dtype": "float64"},
    "a dtype of objects": {"dtype": "object"},
    "another format": {"format": "workbench capture 999"},
    "no key": {"key": None},
    "no sites": {"sites": []},
    "sites that are none": {"sites": ["blocks.0"]},
    "a file outside": {"sites": [{"name": "a", "file": "../../../etc/passwd", "shape": [6]}]},
    "an absolute file": {"sites": [{"name": "a", "file": "/etc/passwd", "shape": [6]}]},
    "a negative shape": {"sites": [{"name": "a", "file": "site000.bin", "shape": [-6]}]},
    "a huge shape": {"sites": [{"name": "a", "file": "site000.bin", "shape": [2**62, 2**62]}]},
    "many dimensions": {"sites": [{"name": "a", "file": "site000.bin", "shape": [1] * 1000}]},
    "a missing file": {"sites": [{"name": "a", "file": "site009.bin", "shape": [6]}]},
    "a site twice": {"sites": [{"name": "a", "file": "site000.bin", "shape": [6]}] * 2},
}


@pytest.fixture
def stored(encoder, ids, tmp_path) -> Path:
    capture(encoder, ids, store=tmp_path / "store")
    return tmp_path / "store"


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies_is_refused(stored, lie) -> None:
    manifest = json.loads((stored / "manifest.json").read_text())
    files = [stored / name for name in manifest.pop("files")]
    del manifest["seal"]
    (stored / "manifest.json").write_text(sealed({**manifest, **LIES[lie]}, files))
    with pytest.raises(FormatError, match="can't be opened as a captured store"):
        open_store(stored)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b'{"a":' * 100_000, b" " * (17 << 20)])
def test_a_manifest_that_is_none_is_refused(stored, raw) -> None:
    (stored / "manifest.json").write_bytes(raw)
    with pytest.raises(FormatError, match="its manifest"):
        open_store(stored)


def test_damaged_files_are_refused(stored) -> None:
    raw = (stored / "rows.parquet").read_bytes()
    for wrong in (raw[:-100], b"", raw[: len(raw) // 2] + bytes(200) + raw[len(raw) // 2 + 200 :]):
        (stored / "rows.parquet").write_bytes(wrong)
        with pytest.raises(FormatError, match=r"rows\.parquet (was changed|has [\d,]+ bytes and had)"):
            open_store(stored)
        with pytest.raises(FormatError, match="row table"):
            read_store(stored, checked=True)
    pd.DataFrame({"a": range(99)}).to_parquet(stored / "rows.parquet")
    with pytest.raises(FormatError, match="99 lines for 100 rows"):
        read_store(stored, checked=True)
    pd.DataFrame({"a": range(100)}, index=[0] * 100).to_parquet(stored / "rows.parquet")
    with pytest.raises(FormatError, match="row ids"):
        read_store(stored, checked=True)
    (stored / "rows.parquet").write_bytes(raw)
    open_store(stored)
    with (stored / "site001.bin").open("ab") as f:
        f.write(b"x")
    with pytest.raises(FormatError, match=r"site001\.bin has 2,401 bytes"):
        open_store(stored)


@pytest.mark.parametrize("file", ["site000.bin", "site001.bin", "rows.parquet", "manifest.json"])
def test_one_flipped_bit_is_seen(stored, file) -> None:
    before = open_store(stored)
    expected = {site: before.array(site).copy() for site in before.sites}
    raw = (stored / file).read_bytes()
    unseen = 0
    for bit in np.random.default_rng(0).integers(0, 8 * len(raw), 60).tolist():
        flip(stored / file, bit)
        try:
            opened = open_store(stored)
        except FormatError:
            pass
        else:  # another spelling of the same JSON, such as an upper-case escape
            unseen += 1
            assert file == "manifest.json"
            assert opened.digest == before.digest
            assert all(np.array_equal(opened.array(site), expected[site]) for site in expected)
        (stored / file).write_bytes(raw)
    assert unseen <= 1
    assert open_store(stored).digest == before.digest


@pytest.mark.parametrize("file", ["site001.bin", "rows.parquet", "manifest.json"])
@pytest.mark.parametrize("instead", ["pipe", "device", "folder", "large"])
def test_what_stands_in_a_files_place_is_neither_waited_for_nor_read(stored, file, instead) -> None:
    put_instead(stored / file, instead)
    with pytest.raises((FormatError, MissingError), match=re.escape(str(stored))):
        open_store(stored)


@pytest.mark.parametrize("file", ["lock", "plan.json", "journal", "site000.bin", "new"])
@pytest.mark.parametrize("instead", ["pipe", "device"])
def test_nor_in_an_unfinished_store(encoder, ids, tmp_path, file, instead) -> None:
    with pytest.raises(Cancelled), listening(stop_at(7)):
        capture(encoder, ids, batch_size=2, store=tmp_path / "store")
    put_instead(tmp_path / "store.partial" / file, instead)
    if file == "new":
        assert len(capture(encoder, ids, batch_size=2, store=tmp_path / "store")) == 100
    else:
        with pytest.raises((FormatError, StorageError), match=r"store\.partial"):
            capture(encoder, ids, batch_size=2, store=tmp_path / "store")


def put_instead(file: Path, what: str) -> None:
    file.unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(file)
    elif what == "device":
        file.symlink_to("/dev/zero")
    elif what == "folder":
        file.mkdir()
    else:
        with file.open("wb") as f:
            f.truncate(1 << 40)  # a hole


def test_what_is_no_store_is_missing(tmp_path) -> None:
    with pytest.raises(MissingError, match=r"no manifest\.json"):
        open_store(tmp_path)
    with pytest.raises(MissingError):
        open_store(tmp_path / "absent")
