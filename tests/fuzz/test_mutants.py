"""Readers fed with damage: each gives something whose every number reads, or a refusal; nothing else.

`fuzzing` says what a fault is and makes the mutants, by thing, seed and number; as a script it tries as many as one likes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from fuzzing import outcome, survive
from things_for_tests import THINGS, Thing, read_subject

ANY = Thing(make=lambda folder: None, at=".", read=read_subject)


@pytest.mark.parametrize("name", THINGS)
def test_every_mutant_is_read_or_refused(name: str, tmp_path: Path) -> None:
    out = survive(name, 40, 20, tmp_path / "x")
    assert out.faults == []
    assert out.counts["refused"] > 4
    kept = {"x", *(["cache"] if (tmp_path / "cache").exists() else [])}
    assert {p.name for p in tmp_path.iterdir()} == kept


@pytest.mark.slow
@pytest.mark.parametrize("name", THINGS)
def test_every_one_of_many_mutants_is_read_or_refused(name: str, tmp_path: Path) -> None:
    assert survive(name, 300, 21, tmp_path / "x").faults == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SIZES = st.lists(st.integers(-1, 2**64) | st.integers(0, 5), max_size=4)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "BF16", "F8_E5M2", "BOOL", "F4", "X", 7]),
        "shape": SIZES,
        "data_offsets": SIZES,
    }
)


@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    header=st.dictionaries(st.text(max_size=8), ENTRY | JSON, max_size=4) | JSON, data=st.binary(max_size=64)
)
def test_any_json_as_a_header_opens_or_is_refused(header: object, data: bytes, tmp_path: Path) -> None:
    raw = json.dumps(header).encode()
    (tmp_path / "x.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    assert outcome(ANY, tmp_path / "x.safetensors") in ("read", "refused")


@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    raw=st.binary(max_size=200),
    start=st.sampled_from([b"", b"GGUF\3\0\0\0", b"\x93NUMPY\1\0", b"PK\3\4", b"PAR1", b"\x80\2"]),
)
def test_any_bytes_under_any_name_open_or_are_refused(raw: bytes, start: bytes, tmp_path: Path) -> None:
    for ending in ("safetensors", "gguf", "npz", "npy", "csv", "dat"):
        (tmp_path / f"x.{ending}").write_bytes(start + raw)
        assert outcome(ANY, tmp_path / f"x.{ending}") in ("read", "refused")
