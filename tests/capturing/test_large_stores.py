"""Files beyond 2 GiB, which are compared by samples: of holes, so that they take no room."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from workbench.capturing import capture, open_store
from workbench.core.digest import SAMPLED_ABOVE
from workbench.core.errors import FormatError
from workbench.core.progress import listening
from workbench.core.stored import sealed

MIB = 1 << 20


@pytest.fixture
def large(encoder, tmp_path) -> Path:
    """A store of one site whose rows are as many numbers as take a little more than 2 GiB together, nearly all of them 0."""
    ids = torch.randint(0, 50, (12, 5))
    capture(encoder, ids, at="embed", store=tmp_path / "store")
    place = tmp_path / "store"
    manifest = json.loads((place / "manifest.json").read_text())
    files = [place / name for name in manifest.pop("files")]
    del manifest["seal"]
    (site,) = manifest["sites"]
    site["shape"] = [SAMPLED_ABOVE // (4 * manifest["rows"]) + MIB]
    try:
        with (place / site["file"]).open("r+b") as f:
            f.truncate(4 * manifest["rows"] * site["shape"][0])
    except OSError as e:
        pytest.skip(f"this filesystem has no files with holes of 2 GiB: {e}")
    (place / "manifest.json").write_text(sealed(manifest, files))
    return place


def change(path: Path, at: int) -> None:
    with path.open("r+b") as f:
        f.seek(at)
        f.write(b"\x01")


def test_a_large_file_is_compared_by_samples_and_that_is_said(large: Path) -> None:
    path = large / "site000.bin"
    size = path.stat().st_size
    assert size > SAMPLED_ABOVE
    sample = (size - MIB) * 100 // 255  # where one of the 256 begins
    change(path, sample + 3 * MIB)  # between two of them: what is said not to be seen
    told: list[str] = []
    with listening(lambda what, done, total: told.append(what)):
        open_store(large)
    assert told.count("store: of files beyond 2 GiB, samples are compared with what was stored") == 1
    change(path, sample + MIB - 1)
    with pytest.raises(FormatError, match=r"site000\.bin was changed after it was stored"):
        open_store(large)
    with path.open("r+b") as f:
        f.truncate(size - 1)
    with pytest.raises(FormatError, match=r"site000\.bin"):
        open_store(large)
