"""Which modules are captured, what shape they give, and how an output becomes rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.capturing.feeds import Fed
from workbench.core.errors import DataError, MissingError, nearest
from workbench.core.patterns import matching
from workbench.numerics.hooks import ATTENTION, as_array, attention_map, blocks, first_tensor

if TYPE_CHECKING:
    import torch

Rows = Literal["position", "sample"]
AUTO = "auto"
_WILD = ("*", "?", "[")


@dataclass(frozen=True)
class Wanted:
    """What the patterns name, before the network has run.

    Attributes
    ----------
    modules : whose output is wanted. exact : those of them that were named without a wildcard.
    attention : modules of which an attention map is wanted, if they have one.
    """

    modules: list[str]
    exact: set[str]
    attention: list[str]
    all_attention: bool


def wanted(module: torch.nn.Module, patterns: Sequence[str], attention: bool) -> Wanted:
    """Match patterns with the names of modules; ``auto`` stands for the network's blocks.

    Raises
    ------
    MissingError
        A pattern matches nothing; the kinds of names that exist are listed.
    """
    names = [n for n, _ in module.named_modules() if n]
    for pattern in patterns:
        if pattern != AUTO and not matching(names, pattern.removesuffix(ATTENTION)):
            raise MissingError(f"No module matches {pattern!r}. {_what_exists(pattern, names)}")
    outputs = [p for p in patterns if not p.endswith(ATTENTION)]
    outputs += blocks(module) if AUTO in patterns else []
    maps = [p.removesuffix(ATTENTION) for p in patterns if p.endswith(ATTENTION)]
    modules = matching(names, outputs)
    inside = [n for n in names if any(n == m or n.startswith(f"{m}.") for m in modules)] if attention else []
    asked = matching(names, maps)
    exact = {p for p in patterns if p != AUTO and not any(w in p for w in _WILD)}
    return Wanted(modules, exact, [n for n in names if n in {*inside, *asked}], all_attention=attention)


def _what_exists(pattern: str, names: list[str]) -> str:
    if not names:
        return (
            "The network has no modules inside: wrap it in torch.nn.Sequential, which gives it the name '0'."
        )
    kinds = list(dict.fromkeys(".".join("*" if p.isdigit() else p for p in n.split(".")) for n in names))
    shown = ", ".join(kinds[:40]) + (f" and {len(kinds) - 40} more" if len(kinds) > 40 else "")
    near = nearest(pattern, names)
    there = f"There are: {shown}. (* stands for one dotted part, ** for any number.)"
    return f"{near} {there}" if near else there


@dataclass(frozen=True)
class Site:
    """One site that gave something in the probe.

    Attributes
    ----------
    kind : ``positions`` (batch, positions, ...), ``flat`` (batch x positions, ...), ``pooled`` (batch, ...),
        ``map`` (batch, channels, ...), or ``attention`` (batch, heads, queries, keys).
    shape : of what it gave.
    """

    name: str
    kind: Literal["positions", "flat", "pooled", "map", "attention"]
    shape: tuple[int, ...]


def probe(module: torch.nn.Module, want: Wanted, fed: Fed, run: Callable[[Fed], Any]) -> list[Site]:
    """Run two samples to learn which sites give what, in the order of the forward pass.

    Modules that only a wildcard named and that don't run, or give no tensor, are left out.

    Raises
    ------
    DataError
        A site runs more than once, gives nothing, or something that has no samples.
    """
    known = dict(module.named_modules())
    ran: dict[str, int] = {}
    found: dict[str, tuple[int, ...]] = {}
    maps: list[Any] = []

    def watch(name: str) -> Callable[..., None]:
        def hook(_: Any, args: Any, output: Any) -> None:
            if name in want.modules:
                ran[name] = ran.get(name, 0) + 1
                tensor = first_tensor(output)
                if tensor is not None:
                    found[name] = tuple(tensor.shape)
            weights = attention_map(output) if name in want.attention else None
            if weights is not None and not (want.all_attention and any(weights is m for m in maps)):
                maps.append(weights)  # a module that only hands on what one inside it gave is left out
                found[name + ATTENTION] = tuple(weights.shape)

        return hook

    handles = []
    try:
        for name in dict.fromkeys([*want.modules, *want.attention]):
            handles.append(known[name].register_forward_hook(watch(name)))
        run(fed)
    finally:
        for handle in handles:
            handle.remove()
    _check_ran(want, ran, found)
    return [Site(s, kind_of(s, shape, fed), shape) for s, shape in found.items()]


def _check_ran(want: Wanted, ran: dict[str, int], found: dict[str, tuple[int, ...]]) -> None:
    twice = [n for n, times in ran.items() if times > 1]
    if twice:
        raise DataError(
            f"{_listed(twice)} ran more than once in one forward pass, so that there is no single output. Choose the "
            f"modules around with at=."
        )
    silent = sorted(want.exact & set(want.modules) - set(found))
    if silent:
        raise DataError(
            f"{_listed(silent)} put out nothing in the forward pass (a list of modules, or one that this network passes "
            f"by). Choose a module inside, for example with at='{silent[0]}.*'."
        )
    missing = sorted(n for n in want.exact if n.endswith(ATTENTION) and n not in found)
    if missing or (want.attention and not any(s.endswith(ATTENTION) for s in found)):
        raise DataError(
            f"No attention map came from {_listed(missing or want.attention)}. A module gives one as the second part of its "
            f"output, of shape (batch, heads, queries, keys)."
        )
    if not found:
        raise DataError(
            f"None of {_listed(want.modules)} put out a tensor in the forward pass. Choose others with at=."
        )


def kind_of(name: str, shape: tuple[int, ...], fed: Fed) -> Any:
    """What the shape of an output says of its rows: `Site.kind`.

    Raises
    ------
    DataError
        Nothing in it is one a sample.
    """
    b = len(fed.samples)
    t = None if fed.keep is None else fed.keep.shape[1]
    if name.endswith(ATTENTION):
        return "attention"
    if shape and shape[0] == b:
        if t is not None:
            return "positions" if len(shape) > 2 and shape[1] == t else "pooled"
        return "pooled" if len(shape) <= 2 else "positions" if len(shape) == 3 else "map"
    if t is not None and shape and shape[0] == b * t:
        return "flat"
    raise DataError(
        f"{name} gives the shape {shape} for {b} samples{'' if t is None else f' of {t} positions'}: its rows can't be told "
        f"apart. Leave it out of at=."
    )


def choose_rows(sites: Sequence[Site], rows: str, has_positions: bool) -> Rows:
    """Decide what a row is, so that all sites have the same; see `capture`.

    Raises
    ------
    DataError
        Some sites have a row a position and others one a sample; both are named.
    """
    if rows == "sample":
        return "sample"
    pooled = [s.name for s in sites if s.kind == "pooled"]
    if rows == "auto" and (not has_positions or len(pooled) == len(sites)):
        return "sample"
    if pooled:
        others = [s.name for s in sites if s.kind != "pooled"]
        raise DataError(
            f"{_listed(pooled)} gives one row a sample, {_listed(others) or 'and rows=position asks'} one a position. Choose "
            f"one or the other with at=, or rows='sample', which averages over positions."
        )
    return "position"


def _listed(names: Sequence[str], limit: int = 6) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


class Reader:
    """Makes rows of a site's output, in the batch's order, as an array of its own.

    By numpy, also where the network runs in torch: torch's copies wake all its threads, which costs more than the
    copying.

    Parameters
    ----------
    width : keys that an attention map is padded to.
    """

    def __init__(self, sites: Sequence[Site], rows: Rows, dtype: str, width: int):
        self._kinds = {s.name: s.kind for s in sites}
        self._rows = rows
        self._dtype = np.dtype(dtype)
        self._width = width
        self._keep: np.ndarray | None = None

    def expect(self, fed: Fed) -> None:
        """Get ready for a batch."""
        self._keep = fed.keep

    def __call__(self, site: str, tensor: torch.Tensor) -> np.ndarray:
        given = as_array(tensor)
        if given.dtype.kind not in "fiub":
            raise DataError(
                f"{site} puts out {given.dtype} numbers and this needs real ones. Leave it out of at=."
            )
        rows = self.read(self._kinds[site], given)
        rows = rows[:, None] if rows.ndim == 1 else rows
        with np.errstate(over="ignore"):  # told below, by the site's name
            out = np.ascontiguousarray(rows, self._dtype)
        if (
            self._dtype.itemsize < rows.dtype.itemsize
            and np.isfinite(rows).all()
            and not np.isfinite(out).all()
        ):
            raise DataError(
                f"{site} has values beyond the range of {self._dtype}. Capture with dtype='float32'."
            )
        return out.copy() if np.may_share_memory(out, given) else out  # the network may overwrite its own

    def read(self, kind: str, x: np.ndarray) -> np.ndarray:
        """Positions side by side with the samples, then kept or averaged."""
        if kind == "pooled":
            return x
        if kind == "attention":
            x = self._padded(x.swapaxes(1, 2))  # a query's row: heads, keys
        elif kind == "map":
            x = x.reshape(*x.shape[:2], -1).swapaxes(1, 2)
        if self._keep is None:
            return x.reshape(-1, *x.shape[2:]) if self._rows == "position" else x.mean(1, dtype=_wide(x))
        x = x.reshape(*self._keep.shape, *x.shape[1:]) if kind == "flat" else x
        if self._rows == "position":
            return x[self._keep]
        weight = self._keep.reshape(*self._keep.shape, *[1] * (x.ndim - 2))
        return x.sum(1, dtype=_wide(x), where=weight) / weight.sum(1)

    def _padded(self, x: np.ndarray) -> np.ndarray:
        if x.shape[-1] > self._width:
            raise DataError(
                f"An attention map has {x.shape[-1]} keys where at most {self._width} were expected."
            )
        out = np.zeros((*x.shape[:-1], self._width), x.dtype)
        out[..., : x.shape[-1]] = x
        return out


def _wide(x: np.ndarray) -> Any:
    """What sums are made in: halves and whole numbers would lose too much."""
    return x.dtype if x.dtype.kind == "f" and x.dtype.itemsize >= 4 else np.float32
