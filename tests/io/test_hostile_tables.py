"""Tables and archives that are small and would take much: refused in words, at once, before anything is allocated."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.io.arrays import read_npz
from workbench.io.opening import open as open_subject

MANY = 3000


def one_text_in_every_row(path: Path) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(MANY, np.int32)), pa.array(["x" * 1_000_000]))
    table = pa.table({"x": np.zeros(MANY), "s": texts})
    pq.write_table(table, path, compression="zstd", store_schema=False)


def one_text_in_every_list(path: Path) -> None:
    table = pa.table({"x": np.zeros(MANY), "s": [["y" * 100_000]] * MANY})
    pq.write_table(table, path, compression="zstd")


def one_text_in_every_structure(path: Path) -> None:
    table = pa.table({"x": np.zeros(500), "s": [{"f": "y" * 1_000_000}] * 500})
    pq.write_table(table, path, compression="zstd")


def zeros(path: Path) -> None:
    pq.write_table(pa.table({"x": np.zeros(40_000_000)}), path, compression="zstd")


def keys_of_their_own(path: Path) -> None:
    path.write_text("\n".join(json.dumps({f"k{i}": 1}) for i in range(MANY)))


def commas(path: Path) -> None:
    path.write_text("," * 100_000)


def commas_in_lines(path: Path) -> None:
    path.write_text(("," * 20_000 + "\n") * 5)


def short_lines(path: Path) -> None:
    path.write_text(",".join(f"a{i}" for i in range(20_000)) + "\n" + "1\n" * 20_000)


def one_name(path: Path) -> None:
    path.write_text(",".join(["a"] * 20_000) + "\n" + ",".join(["1"] * 20_000))


def a_text_of_brackets(path: Path) -> None:
    path.write_text("[" * 100_000 + "]" * 100_000)


HOSTILE: list[tuple[Callable[[Path], None], str, str]] = [
    (one_text_in_every_row, "parquet", "unpacks to far more"),
    (one_text_in_every_list, "parquet", "unpacks to far more"),
    (one_text_in_every_structure, "parquet", "unpacks to far more"),
    (zeros, "parquet", "unpacks to far more"),
    (keys_of_their_own, "jsonl", "most cells are empty"),
    (commas, "csv", "100,001 columns"),
    (commas_in_lines, "csv", "have no name"),
    (short_lines, "csv", "most cells are empty"),
    (one_name, "csv", "are called 'a'"),
    (a_text_of_brackets, "jsonl", "too deeply nested"),
]
ASK = """
import resource, sys, time
import pandas, pyarrow.parquet
import workbench as wb
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    print("opened", wb.open(sys.argv[1], kind="points"))
except wb.WorkbenchError as e:
    print(e)
print(time.process_time() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.parametrize(("make", "ending", "words"), HOSTILE, ids=[m.__name__ for m, _, _ in HOSTILE])
def test_small_files_that_would_take_much_are_refused_at_once(
    make: Callable[[Path], None], ending: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / f"t.{ending}"
    make(path)
    asked = subprocess.run([sys.executable, "-c", ASK, str(path)], capture_output=True, text=True, check=True)
    said, figures = asked.stdout.strip().rsplit("\n", 1)
    seconds, megabytes = map(float, figures.split())
    assert words in said
    assert seconds < 1 and megabytes < 300


def test_one_long_list_is_one_row(tmp_path: Path) -> None:
    lists = pa.ListArray.from_arrays(
        pa.array([0, 200_000], pa.int32()), pa.array(np.zeros(200_000, np.float32))
    )
    pq.write_table(pa.table({"v": lists}), tmp_path / "t.parquet")
    assert open_subject(tmp_path / "t.parquet").values.shape == (1, 200_000)


def test_honest_tables_of_few_different_texts_and_gaps_are_read(tmp_path: Path) -> None:
    n = 200_000
    table = pa.table(
        {"x": np.arange(n) / 2, "label": np.array(["a", "b"])[np.arange(n) % 2], "tags": [["a", "b"]] * n}
    )
    pq.write_table(table, tmp_path / "t.parquet", compression="zstd")
    assert open_subject(tmp_path / "t.parquet").values.shape == (n, 1)
    (tmp_path / "t.csv").write_text(
        ",".join(f"a{i}" for i in range(200)) + "\n" + ("1" + "," * 199 + "\n") * 2000
    )
    assert len(open_subject(tmp_path / "t.csv")) == 2000


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_list_of_an_archive_is_read_once_for_all_its_members(
    save: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = {f"layer{i}": np.full(2, i) for i in range(400)}
    save(tmp_path / "m.npz", **arrays)
    listed = []

    class Counting(zipfile.ZipFile):
        def __init__(self, *args: Any, **kwargs: Any):
            listed.append(args)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(zipfile, "ZipFile", Counting)
    archive = read_npz(tmp_path / "m.npz")
    values = {name: archive.read(name) for name in archive.tensors}
    assert len(listed) == 1
    for name, array in arrays.items():
        np.testing.assert_array_equal(values[name], array)
