"""What edits do together: the base's bytes come back, order and brackets mean what they say, equal edits are equal."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nets_for_tests import checkpoint

import workbench as wb
from workbench.core import edit as edits
from workbench.core.edit import Edit, Stack, kind_named, stacked
from workbench.core.errors import DataError, FormatError, MissingError, ViewError
from workbench.core.lazy import Tensors
from workbench.edits.dense import Dense
from workbench.edits.low_rank import LowRank
from workbench.edits.magnitude_mask import MagnitudeMask
from workbench.edits.mask import Mask
from workbench.edits.permutation import Permutation
from workbench.edits.replacement import Replacement

SHAPES = {"a.weight": (9, 7), "b.weight": (4, 3, 2), "b.bias": (5,), "scale": ()}


def values(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {n: rng.standard_normal(shape, np.float32) for n, shape in SHAPES.items()}


def low_rank(seed: int) -> Edit:
    rng = np.random.default_rng(seed)
    left = {"a.weight": rng.standard_normal((9, 2)), "b.weight": rng.standard_normal((4, 1), np.float32)}
    right = {"a.weight": rng.standard_normal((2, 7)), "b.weight": rng.standard_normal((1, 6), np.float32)}
    return LowRank(left, right, float(rng.uniform(0.1, 3)))


def mask(seed: int) -> Edit:
    rng = np.random.default_rng(seed)
    return Mask.of({n: rng.random(shape) < 0.6 for n, shape in SHAPES.items()})


MAKERS = {
    "low_rank": low_rank,
    "dense": lambda seed: Dense(values(seed), 0.5),
    "mask": mask,
    "magnitude_mask": lambda seed: MagnitudeMask(("a.weight", "b.weight"), (seed % 10) / 10),
    "permutation": lambda seed: Permutation(("a.weight", "b.bias"), seed),
    "replacement": lambda seed: Replacement({"b.weight": values(seed)["b.weight"]}),
}
one = st.tuples(st.sampled_from(sorted(MAKERS)), st.integers(0, 9)).map(lambda t: MAKERS[t[0]](t[1]))
several = st.lists(one, min_size=1, max_size=6)
a_few = partial(settings, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def contents(tensors: Tensors) -> dict[str, bytes]:
    return {n: tensors[n].tobytes() for n in tensors}


def by_hand(base: Tensors, parts: list[Edit]) -> dict[str, bytes]:
    """Each edit applied to what the one before it gave, whole."""
    now = {n: base[n] for n in base}
    for part in parts:
        now = {n: (checkpoint(**now) + part)[n] for n in now}
    return {n: a.tobytes() for n, a in now.items()}


@a_few(max_examples=60)
@given(several, st.randoms(use_true_random=False))
def test_taking_every_edit_away_again_gives_the_bytes_of_the_base(parts, random) -> None:
    net = checkpoint(**values(100))
    before = contents(net)
    edited = net
    for part in parts:
        edited = edited + part
    assert contents(edited) == by_hand(net, parts)
    assert contents(net) == before
    undone = edited
    for _ in parts:
        undone = undone.undo()
    assert undone is net
    for part in random.sample(parts, len(parts)):
        edited = edited - part
    assert edited is net
    assert contents(edited) == before


@a_few(max_examples=60)
@given(several, several, several)
def test_brackets_change_nothing(a, b, c) -> None:
    net = checkpoint(**values(100))
    one, two, three = stacked(*a), stacked(*b), stacked(*c)
    left, right = (one + two) + three, one + (two + three)
    assert left.digest == right.digest
    assert left.parts == right.parts
    ways = [net + left, net + right, net + one + two + three, net + (one + two) + three]
    assert len({way.digest for way in ways}) == 1
    assert len({tuple(contents(way).items()) for way in ways}) == 1
    assert {(net + one + two).digest != net.digest} == {True}


@a_few(max_examples=60)
@given(several, one, several)
def test_an_edit_is_taken_from_wherever_it_lies(before, middle, after) -> None:
    net = checkpoint(**values(100))
    if any(part.digest == middle.digest for part in after):
        return  # then it is the later of the two equal ones that goes
    rest = net + stacked(*before) + stacked(*after)
    found = net + stacked(*before) + middle + stacked(*after) - middle
    assert found.digest == rest.digest
    assert contents(found) == contents(rest)


@a_few(max_examples=40)
@given(several)
def test_what_is_read_in_blocks_equals_what_is_read_whole(parts) -> None:
    from workbench.core import lazy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lazy, "BLOCK", 16)
        edited = checkpoint(**values(100)) + stacked(*parts)
        for n in edited:
            tensor = edited.lazy(n)
            blocks = [block.reshape(-1) for _, block in tensor.blocks()]
            assert len(blocks) > 1 or tensor.shape in ((), (5,))
            assert np.concatenate(blocks).tobytes() == tensor.whole().tobytes()
            if tensor.rows > 3:
                np.testing.assert_array_equal(tensor.read(1, 3), tensor.whole()[1:3])


@a_few(max_examples=40)
@given(several)
def test_a_saved_edit_is_the_edit(tmp_path_factory, parts) -> None:
    edit = dataclasses.replace(stacked(*parts), title="some edits")
    again = wb.load(edit.save(tmp_path_factory.mktemp("edit") / "kept"))
    assert isinstance(again, Edit)
    assert again.digest == edit.digest
    assert (again.label, again.kind) == (edit.label, edit.kind)
    assert list(again.tensors) == list(edit.tensors) or set(again.tensors) == set(edit.tensors)
    net = checkpoint(**values(100))
    assert contents(net + again) == contents(net + edit)
    assert net + edit - again is net


@pytest.mark.parametrize("kind", MAKERS)
def test_digests_are_of_what_an_edit_does(kind) -> None:
    make = MAKERS[kind]
    assert make(1).digest == make(1).digest
    assert make(1).digest != make(2).digest
    titled = dataclasses.replace(make(1), title="another title")
    assert titled.digest == make(1).digest
    assert len({MAKERS[k](3).digest for k in MAKERS}) == len(MAKERS)
    assert kind_named(kind) is type(make(1))


def test_a_digest_is_not_of_names_alone() -> None:
    zero, almost = np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)
    almost[1, 1] = 1e-30
    assert Dense({"w": zero}).digest != Dense({"w": almost}).digest
    assert Dense({"w": zero}).digest != Dense({"v": zero}).digest
    assert Dense({"w": zero}).digest != Replacement({"w": zero}).digest
    assert Dense({"w": zero}).digest == Dense({"w": zero.copy()}).digest
    swapped = {"a": zero, "b": almost}, {"b": zero, "a": almost}
    assert Dense(swapped[0]).digest != Dense(swapped[1]).digest


@pytest.mark.parametrize("kind", ["low_rank", "dense"])
def test_what_adds_has_a_negative_and_multiples(kind) -> None:
    net, edit = checkpoint(**values(100)), MAKERS[kind](1)
    negative = -edit
    assert (-negative).digest == edit.digest != negative.digest
    assert (2 * edit).digest == (edit * 2).digest != edit.digest
    there = {n: (net + edit)[n] for n in net}
    for n in net:
        np.testing.assert_allclose((net + edit + -edit)[n], net[n], atol=1e-5)
        np.testing.assert_allclose((net - edit)[n] + there[n], 2 * net[n], atol=1e-5)  # as far below as above
        np.testing.assert_allclose((net + 3 * edit)[n] - net[n], 3 * (there[n] - net[n]), atol=1e-4)
    assert (net - edit).digest == (net + -edit).digest
    assert net - edit + edit - -edit is not net  # edit was added to it, and stays
    assert contents((net - edit) + edit - edit - -edit) == contents(net)


@pytest.mark.parametrize("kind", ["mask", "magnitude_mask", "permutation", "replacement"])
def test_what_has_no_negative_says_what_to_do(kind) -> None:
    net, edit = checkpoint(**values(100)), MAKERS[kind](1)
    for refused in (lambda: -edit, lambda: 2 * edit, lambda: net - edit):
        with pytest.raises(ViewError, match=r"no negative.*added to.*keep the base"):
            refused()
    assert net + edit - edit is net


def test_a_stack_has_a_negative_if_its_parts_have() -> None:
    net, both = checkpoint(**values(100)), low_rank(1) + Dense(values(2))
    for n in net:
        np.testing.assert_allclose((net + both + -both)[n], net[n], atol=1e-5)
    assert [part.kind for part in (-both).parts] == ["dense", "low_rank"]
    with pytest.raises(ViewError, match="scale the edits in it"):
        _ = 2 * both
    with pytest.raises(ViewError, match="no negative"):
        _ = -(both + mask(1))
    assert (both - both).parts == ()
    assert (both - Dense(values(2))).digest == low_rank(1).digest
    assert net + (both - both) is net


def test_equal_edits_are_taken_away_one_at_a_time() -> None:
    net, edit = checkpoint(**values(100)), Dense(values(1))
    twice = net + edit + Dense(values(1))
    assert (twice - edit).digest == (net + edit).digest
    assert twice - edit - edit is net


def test_nothing_of_the_base_is_copied() -> None:
    arrays = values(100)
    net = checkpoint(**arrays)
    edited = net + low_rank(1) + Permutation(("a.weight",))
    for n in ("b.bias", "scale"):
        assert np.shares_memory(edited[n], arrays[n])
    assert not np.shares_memory(edited["a.weight"], arrays["a.weight"])
    assert edited.base is net


def test_of_a_file_only_what_is_touched_leaves_the_disk(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(values(100), tmp_path / "net.safetensors")
    net = wb.open(tmp_path / "net.safetensors")
    edited = net + MagnitudeMask(("a.weight",), 0.5)
    owner: Any = edited["b.weight"]
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    assert isinstance(owner, np.memmap)
    assert edited["a.weight"].base is None or not isinstance(edited["a.weight"].base, np.memmap)


def test_what_an_edit_holds_cannot_be_changed() -> None:
    mine = np.ones((2, 2), np.float32)
    edit = Dense({"w": mine})
    before = edit.digest
    mine *= 100
    assert (edit.difference["w"] == 1).all()
    assert Dense(edit.difference).digest == before
    with pytest.raises(ValueError, match="read-only"):
        edit.difference["w"][0] = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        edit.scale = 3.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        edit.difference["w"] = mine  # type: ignore[index]


@pytest.mark.parametrize(
    "edit",
    [
        Dense({"a.wieght": np.zeros((9, 7))}),
        MagnitudeMask(("a.wieght",), 0.5),
        LowRank({"a.wieght": np.zeros((9, 1))}, {"a.wieght": np.zeros((1, 7))}),
    ],
    ids=lambda e: e.kind,
)
def test_a_tensor_that_is_not_there_is_suggested(edit) -> None:
    with pytest.raises(MissingError, match=r"Did you mean 'a\.weight'"):
        checkpoint(**values(1)) + edit


@pytest.mark.parametrize(
    "edit",
    [
        Dense({"a.weight": np.zeros((7, 9))}),
        Replacement({"a.weight": np.zeros((7, 9))}),
        LowRank({"a.weight": np.zeros((7, 1))}, {"a.weight": np.zeros((1, 9))}),
        LowRank({"b.bias": np.zeros((5, 1))}, {"b.bias": np.zeros((1, 1))}),
        Mask.of({"a.weight": np.zeros((9, 8), bool)}),
    ],
    ids=lambda e: f"{e.kind} {next(iter(e.tensors))}",
)
def test_an_edit_of_another_shape_is_refused_before_anything_is_read(edit) -> None:
    with pytest.raises(DataError, match=r"has the shape|keeps the shape"):
        checkpoint(**values(1)) + edit


@pytest.mark.parametrize(
    "thing", [3, np.ones(2), "prune", checkpoint(**values(2))], ids=lambda t: type(t).__name__
)
def test_what_is_no_edit_is_refused_with_what_is(thing) -> None:
    for refused in (
        lambda: checkpoint(**values(1)) + thing,
        lambda: checkpoint(**values(1)) - thing,
        lambda: mask(1) + thing,
    ):
        with pytest.raises(ViewError, match=r"is an edit, not a .*LowRank"):
            refused()


def test_a_folder_that_is_no_edit_is_refused(tmp_path: Path) -> None:
    path = low_rank(1).save(tmp_path / "edit")
    (path / "edit.json").write_text('{"kind": "no_such_kind", "fields": {}, "tensors": []}')
    with pytest.raises(FormatError, match="no_such_kind"):
        wb.load(path)
    (path / "edit.json").unlink()
    with pytest.raises(FormatError):
        wb.load(path)
    kept = low_rank(1).save(tmp_path / "edit")
    (kept / "arrays.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(FormatError, match="not a saved edit"):
        wb.load(kept)


def test_an_edit_is_said_in_words() -> None:
    net = checkpoint(**values(1))
    assert (net + low_rank(1)).name == "small (rank 2 added to 2 tensors)"
    assert (net + low_rank(1) + Permutation(("a.weight",), 4)).name.endswith(
        ", then weights shuffled, seed 4)"
    )
    many = net
    for seed in range(6):
        many = many + Permutation(("a.weight",), seed)
    assert many.name == (
        "small (3 earlier edits, then weights shuffled, seed 3, then weights shuffled, seed 4, then weights shuffled, seed 5)"
    )
    assert repr(low_rank(1)) == "<LowRank rank 2 added to 2 tensors>"


def test_another_kind_is_one_class(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(edits, "KINDS", dict(edits.KINDS))

    @dataclasses.dataclass(frozen=True, eq=False, repr=False)
    class Clipped(Edit):
        kind = "clipped"
        names: tuple[str, ...]
        limit: np.ndarray

        @property
        def tensors(self):
            return self.names

        def on(self, name, tensor):
            return tensor.map_rows(lambda rows, start: np.clip(rows, -self.limit, self.limit))

    net, edit = checkpoint(**values(1)), Clipped(("a.weight",), np.full(7, 0.5, np.float32))
    assert np.abs((net + edit)["a.weight"]).max() == 0.5
    again = wb.load((edit + low_rank(1)).save(tmp_path / "edit"))
    assert contents(net + again) == contents(net + edit + low_rank(1))
    assert isinstance(again, Stack)


def test_a_tensor_of_an_edited_checkpoint_is_a_matrix_and_can_be_edited_again() -> None:
    from workbench.subjects.checkpoint import Matrix

    edited = checkpoint(**values(1)) + Dense(values(2), title="moved at a site")
    part = edited.at("*.weight").at("a.weight")
    assert part.name == "small (moved at a site) · a.weight"
    assert part.view(Matrix).values.tobytes() == edited["a.weight"].tobytes()
    assert part.digest == edited.at("*.weight").at("a.weight").digest
    assert part.digest != checkpoint(**values(1)).at("*.weight").at("a.weight").digest
    again = part + MagnitudeMask(("a.weight",), 1.0)
    assert not again["a.weight"].any()
    assert again.undo() is part
    with pytest.raises(MissingError, match=r"no tensor 'b\.weight'"):
        part + Dense(values(2))


@pytest.mark.parametrize("file", ["edit.json", "arrays.safetensors"])
def test_one_flipped_bit_in_a_saved_edit_is_seen(file, tmp_path) -> None:
    edit = low_rank(1)
    path = edit.save(tmp_path / "edit") / file
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).integers(0, 8 * len(whole), 40).tolist():
        raw = bytearray(whole)
        raw[bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        try:
            opened = wb.load(path.parent)
        except FormatError:
            continue
        assert file == "edit.json"  # another spelling of the same JSON
        assert opened.digest == edit.digest
    path.write_bytes(whole)
    assert wb.load(path.parent).digest == edit.digest
