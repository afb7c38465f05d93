"""Adapters: LoRA, rank-stabilized LoRA and DoRA, as edits; and what takes a merged one out again to the last bit."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from workbench.core.edit import Edit
from workbench.core.errors import DataError, MissingError, ViewError, suggest
from workbench.core.lazy import LazyTensor, Tensors, as_tensors
from workbench.edits._bits import packed, require_bits, unpacked
from workbench.numerics.rounded_sums import FORMATS, codes_of, from_order, in_order, numbers
from workbench.subjects.checkpoint import Checkpoint

_CACHED = 1 << 15  # numbers of a product that stay in a processor's cache while the ranks are added


@dataclass(frozen=True, eq=False, repr=False)
class LoRA(Edit):
    """W becomes ``W + scale * b @ a``, and under DoRA its rows are brought to learned norms.

    ``net + adapter`` attaches it and ``- adapter`` detaches it; nothing is written. ``adapter * 0.5`` is half its strength:
    a part of the way from W to what it becomes. Saving ``net + adapter`` merges it: sums are made in float32 and rounded
    once to the stored format. `Unmerge` takes a merged one out again.

    Parameters
    ----------
    a : tensor name to the (rank, inputs) factor; of a convolution its inputs are channels and places of the kernel, flat.
    b : the same names to the (outputs, rank) factor.
    scales : by name; alpha / rank, of rank-stabilized LoRA alpha / sqrt(rank).
    magnitude : DoRA's norms of the rows (outputs,), for those names that have them.
    transposed : names of tensors that are stored as (inputs, outputs), as those of embeddings are.
    strength : 1 is the adapter as it was trained.

    Raises
    ------
    MissingError
        A name has only one factor, or no scale.
    DataError
        Factors don't fit together.

    References
    ----------
    Hu et al. 2022, LoRA, ICLR; Kalajdzievski 2023, A rank stabilization scaling factor for fine-tuning with LoRA,
    arXiv:2312.03732; Liu et al. 2024, DoRA: weight-decomposed low-rank adaptation, ICML.
    """

    kind: ClassVar[str] = "lora"
    a: Tensors
    b: Tensors
    scales: Mapping[str, float] = field(default_factory=dict)
    magnitude: Tensors = field(default_factory=lambda: as_tensors({}))
    transposed: tuple[str, ...] = ()
    strength: float = 1.0

    def __post_init__(self) -> None:
        for side in ("a", "b", "magnitude"):
            object.__setattr__(self, side, as_tensors(getattr(self, side)))
        for name in {*self.a, *self.b, *self.magnitude}:
            for side, held in (("a", self.a), ("b", self.b), ("scale", self.scales)):
                if name not in held:
                    raise MissingError(f"{name} has no {side} of a LoRA. {suggest(name, held)}")
            a, b = self.a.lazy(name).shape, self.b.lazy(name).shape
            if len(a) != 2 or len(b) != 2 or b[1] != a[0]:
                raise DataError(
                    f"{name}: a is (rank, inputs) and b (outputs, rank); these have the shapes {a} and {b}."
                )
            if name in self.magnitude and (
                math.prod(self.magnitude.lazy(name).shape) != b[0] or name in self.transposed
            ):
                raise DataError(
                    f"{name}: DoRA takes one norm a row of a tensor (outputs, inputs), of which b has {b[0]}."
                )

    @property
    def rank(self) -> int:
        """The largest rank of a tensor's factors."""
        return max((self.a.lazy(name).shape[0] for name in self.a), default=0)

    @property
    def tensors(self) -> Collection[str]:
        return self.a.keys()

    @property
    def words(self) -> str:
        how = "" if self.strength == 1 else f" at strength {self.strength:g}"
        return (
            f"{'DoRA' if len(self.magnitude) else 'LoRA'} of rank {self.rank} on {len(self.a):,} tensors{how}"
        )

    def fits(self, name: str, shape: tuple[int, ...]) -> None:
        made = self.b.lazy(name).shape[0], self.a.lazy(name).shape[1]
        made = made[::-1] if name in self.transposed else made
        if not shape or made != (shape[0], math.prod(shape[1:])):
            raise DataError(
                f"{name} has the shape {shape} and this adapter's product {made}: it was trained on another base. Nothing was "
                f"written."
            )

    def on(self, name: str, tensor: LazyTensor) -> LazyTensor:
        norms = (
            np.asarray(self.magnitude[name], np.float32).reshape(-1, 1) if name in self.magnitude else None
        )

        def add(block: np.ndarray, start: int) -> np.ndarray:
            at, rows = slice(start, start + len(block)), block.reshape(len(block), -1)
            if norms is None:
                return (rows + self.difference(name, at)).astype(rows.dtype, copy=False).reshape(block.shape)
            moved = rows + self._product(name, self.scales[name], at).astype(np.float32)
            moved *= norms[at] / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), np.float32(1e-30))
            moved = moved if self.strength == 1 else rows + np.float32(self.strength) * (moved - rows)
            return moved.astype(rows.dtype, copy=False).reshape(block.shape)

        return tensor.map_rows(add)

    def scaled(self, factor: float) -> Edit:
        if factor < 0 and len(self.magnitude):
            raise ViewError(
                f"{self.label} has no negative: DoRA's norms aren't a sum. Subtract it from what it was added to, or unmerge."
            )
        return replace(self, strength=self.strength * factor, title="", run=None)

    def difference(self, name: str, at: slice = slice(None)) -> np.ndarray:
        """What plain LoRA adds to some rows of a tensor, flat, float32, the same to the last bit on every machine.

        It is summed in float64, one rank after the other: what a library multiplies depends on its version, the processor and
        threads, and a certificate of what was there before hangs on the last bit.

        Raises
        ------
        ViewError
            The tensor is under DoRA, which doesn't add.
        """
        if name in self.magnitude:
            raise ViewError(f"{name} is under DoRA, which scales rows: there is no difference that is added.")
        return self._product(name, self.scales[name] * self.strength, at).astype(np.float32)

    def rounding(self, name: str, at: slice = slice(None)) -> np.ndarray:
        """How far a product in float32, summed in whatever order, may lie from `difference`: a bound for each number.

        References
        ----------
        Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1.
        """
        rank = self.a.lazy(name).shape[0]
        # products and sums of the ranks, the scale, the strength, and the rounding of the difference itself
        steps = (rank + 3) * 2.0**-24
        sizes = self._product(name, abs(self.scales[name] * self.strength), at, sizes=True)
        tiny = np.finfo(np.float32).smallest_subnormal * (rank + 3)
        return np.nextafter((sizes * steps / (1 - steps) + tiny).astype(np.float32), np.float32(np.inf))

    def _product(
        self, name: str, scale: float, at: slice = slice(None), *, sizes: bool = False
    ) -> np.ndarray:
        """Rows of the factors' product in float64, or of the product of their sizes."""
        a, b = (np.asarray(t[name], np.float64) for t in (self.a, self.b))
        left, right = (a.T, b.T) if name in self.transposed else (b, a)
        left, right = (np.abs(left), np.abs(right)) if sizes else (left, right)
        left = left[at]
        total = np.zeros((len(left), right.shape[1]))
        rows = max(1, _CACHED // max(1, right.shape[1]))
        for start in range(
            0, len(left), rows
        ):  # of each number the ranks are added in order, whatever the block
            some, sums = left[start : start + rows], total[start : start + rows]
            for k in range(left.shape[1]):
                sums += some[:, k, None] * right[k]
        return total * scale


@dataclass(frozen=True, eq=False, repr=False)
class Unmerge(LoRA):
    """Takes a merged adapter out again, to the last bit: its product is subtracted, and what rounding took is put back.

    Made beside the merge, when base and adapter are both at hand; saved like any edit. What rounding took is the distance
    from what subtracting gives to the base, in numbers of the format: mostly 0, so that it packs small.

    Parameters
    ----------
    left : tensor name to what rounding took, packed. dtypes : of each tensor. digests : of each tensor merged, and before.
    lengths : of DoRA's tensors, by what each row was divided (outputs,), float64.
    """

    kind: ClassVar[str] = "unmerge"
    left: Tensors = field(default_factory=lambda: as_tensors({}))
    dtypes: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    lengths: Tensors = field(default_factory=lambda: as_tensors({}))

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "left", as_tensors(self.left))
        object.__setattr__(self, "lengths", as_tensors(self.lengths))

    @classmethod
    def of(cls, base: Checkpoint, adapter: LoRA, merged: Checkpoint | None = None) -> Unmerge:
        """What takes an adapter out of a merged checkpoint.

        Parameters
        ----------
        merged : what somebody else merged, as PEFT did; without one what saving ``base + adapter`` gives.

        Raises
        ------
        ViewError
            A tensor's bits can't be had, it is no 16- or 32-bit floating point, or DoRA isn't at strength 1.
        DataError
            The adapter or what was merged doesn't fit the base.
        """
        if len(adapter.magnitude) and adapter.strength != 1:
            raise ViewError(
                "DoRA is unmerged at strength 1 alone: keep the base, or a patch (workbench diff --patch)."
            )
        whole = base + adapter
        left, dtypes, digests, lengths = {}, {}, {}, {}
        for name in adapter.tensors:
            stored, dtype = base.stored(name), base.tensors[name].dtype
            if stored is None or dtype not in FORMATS:
                raise ViewError(
                    f"{name} of {base.name} is {dtype}: an adapter is unmerged from {', '.join(FORMATS)} alone."
                )
            codes = _merged_codes(
                whole if merged is None else merged, name, dtype, stored.shape, made=merged is None
            )
            if name in adapter.magnitude:
                w = _flat(base[name].astype(np.float64)) + adapter._product(name, adapter.scales[name])
                norms = np.asarray(adapter.magnitude[name], np.float64).ravel()
                lengths[name] = np.linalg.norm(w, axis=1) / np.where(norms == 0, 1, norms)
            before = _unsigned(stored.whole(), dtype)
            guess = adapter_taken(adapter, name, codes, dtype, lengths.get(name))
            wide = (
                np.dtype(FORMATS[dtype]).itemsize * 2
            )  # a distance of two codes takes a bit more than a code
            left[name] = packed((in_order(before, dtype) - guess).astype(f"<i{min(8, wide)}"))
            dtypes[name], digests[name] = (
                dtype,
                (LazyTensor.of(codes).digest, LazyTensor.of(before).digest),
            )
        parts = {
            "a": adapter.a,
            "b": adapter.b,
            "scales": dict(adapter.scales),
            "magnitude": adapter.magnitude,
        }
        return cls(
            **parts,  # type: ignore[arg-type]
            transposed=adapter.transposed,
            strength=adapter.strength,
            left=as_tensors(left),
            dtypes=dtypes,
            digests=digests,
            lengths=as_tensors(lengths),
            title=f"{adapter.label} taken out of {base.name}",
        )

    def on_bits(self, name: str, stored: LazyTensor, dtype: str) -> LazyTensor:
        coded = stored.map_rows(lambda rows, _: _unsigned(rows, dtype))
        require_bits(name, coded, dtype, self.dtypes, self.digests, self.label)  # type: ignore[arg-type]
        kind = stored.dtype
        return self._taken(name, coded).map_rows(lambda rows, _: rows.view(kind))

    def on(self, name: str, tensor: LazyTensor) -> LazyTensor:
        dtype = self.dtypes[name]
        coded = tensor.map_rows(lambda rows, _: codes_of(rows, dtype))
        require_bits(name, coded, dtype, self.dtypes, self.digests, self.label)  # type: ignore[arg-type]
        return self._taken(name, coded).map_rows(lambda rows, _: numbers(rows, dtype))

    def _taken(self, name: str, coded: LazyTensor) -> LazyTensor:
        dtype = self.dtypes[name]

        def take(codes: np.ndarray) -> np.ndarray:
            lengths = self.lengths.get(name)
            guess = adapter_taken(self, name, codes, dtype, lengths)
            wide = min(8, np.dtype(FORMATS[dtype]).itemsize * 2)
            return from_order(guess + unpacked(name, self.left[name], codes.shape, f"<i{wide}"), dtype)

        return coded.map(take)

    def scaled(self, factor: float) -> Edit:
        raise ViewError(f"{self.label} has no negative or multiple: add the adapter again instead.")


def adapter_taken(
    adapter: LoRA, name: str, codes: np.ndarray, dtype: str, lengths: np.ndarray | None
) -> np.ndarray:
    """What subtracting an adapter from merged codes gives, rounded, as ordered codes."""
    merged = _flat(numbers(codes, dtype))
    if lengths is None:
        before = merged - adapter.difference(name)
    else:
        before = (merged * lengths[:, None] - adapter._product(name, adapter.scales[name])).astype(np.float32)
    return in_order(codes_of(before, dtype), dtype).reshape(codes.shape)


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


def _merged_codes(
    merged: Checkpoint, name: str, dtype: str, shape: tuple[int, ...], *, made: bool
) -> np.ndarray:
    """One tensor's codes, of what saving would write, or of what somebody wrote."""
    if made:
        return merged.lazy(name).map_rows(lambda rows, _: codes_of(rows, dtype)).whole()
    info = merged.tensors.get(name)
    if info is None or (info.dtype, info.shape) != (dtype, shape):
        raise DataError(f"{merged.name} has no {name} of the base's shape {shape} and format {dtype}.")
    stored = merged.stored(name)
    if stored is None:
        raise ViewError(f"The bits of {name} can't be had of {merged.name}: save it as safetensors.")
    return _unsigned(stored.whole(), dtype)


def _unsigned(stored: np.ndarray, dtype: str) -> np.ndarray:
    return np.ascontiguousarray(stored).view(FORMATS[dtype])
