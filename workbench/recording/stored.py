"""One file of arrays as a recording stores it: with a description, and digests of both that reading compares."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import WorkbenchError
from workbench.recording.layout import CHECK, SELF, damaged


def store(file: Path, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
    """Write arrays and a JSON description of them."""
    from safetensors.numpy import save_file

    text = json.dumps(description)
    whole = {k: np.ascontiguousarray(a).reshape(a.shape) for k, a in arrays.items()}  # 0-d ones too
    save_file(whole, file, {SELF: text, CHECK: digest(text)})


def store_rows(file: Path, columns: Mapping[str, np.ndarray], parameters: Sequence[str] = ()) -> None:
    """Write whole arrays that are read at once, with a digest of each.

    Parameters
    ----------
    parameters : which the columns of ``grad`` and ``update`` are of.
    """
    store(
        file, columns, {"parameters": list(parameters), "checks": {k: digest(a) for k, a in columns.items()}}
    )


def read_rows(file: Path, *, checked: bool) -> tuple[dict[str, np.ndarray], list[str] | None]:
    """The inverse of `store_rows`; no parameters are named where the format had none (``checked`` is false).

    Raises
    ------
    FormatError
        The file is damaged.
    """
    with opened(file) as held:
        columns = {k: held.get_tensor(k) for k in held.keys()}  # noqa: SIM118
        described = described_by(held, file, checked=checked)
    if not described:
        return columns, None
    checks, parameters = described.get("checks"), described.get("parameters")
    if not isinstance(checks, dict) or not isinstance(parameters, list):
        raise damaged(file.parent, f"{file.name} doesn't say what it holds")
    if checks != {k: digest(a) for k, a in columns.items()}:
        raise damaged(file.parent, f"{file.name} isn't what was stored")
    return columns, [str(p) for p in parameters]


def widened(
    columns: Mapping[str, np.ndarray], held: Sequence[str], wanted: Sequence[str], groups: int
) -> dict[str, np.ndarray]:
    """Rows of some parameters and groups among those of more: what wasn't trained had no gradient, and no learning rate.

    Parameters
    ----------
    held, wanted : names of the columns of ``grad`` and ``update`` as they are, and as they become.
    groups : columns of ``lr``, as many as there are or more.
    """
    made = dict(columns)
    place = {name: i for i, name in enumerate(wanted)}
    for key in ("grad", "update"):
        made[key] = np.zeros((len(columns[key]), len(wanted)), columns[key].dtype)
        made[key][:, [place[name] for name in held]] = columns[key]
    lr = columns["lr"]
    made["lr"] = np.pad(lr, ((0, 0), (0, groups - lr.shape[1])), constant_values=np.nan)
    return made


def described_by(held: Any, file: Path, *, checked: bool) -> dict[str, Any]:
    """What an open file says of itself; nothing where it says nothing and needn't.

    Raises
    ------
    FormatError
        It is damaged, or lacks its digest (``checked``).
    """
    metadata = held.metadata() or {}
    text, check = metadata.get(SELF), metadata.get(CHECK)
    if (checked or check is not None) and (text is None or digest(text) != check):
        raise damaged(file.parent, f"{file.name} doesn't describe itself as it was stored")
    try:
        described = json.loads(text) if text is not None else {}
    except (ValueError, RecursionError):
        described = None
    if not isinstance(described, dict):
        raise damaged(file.parent, f"{file.name} doesn't say how it is to be read")
    return described


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """A safetensors file, mapped; whatever goes wrong with its content in the block is said in our words.

    Raises
    ------
    FormatError
        It can't be read, or not as the block reads it.
    """
    from safetensors import safe_open

    if file.exists() and not file.is_file():  # a pipe would be waited for
        raise damaged(file.parent, f"{file.name} is no file")
    try:
        with safe_open(file, framework="numpy") as held:
            yield held
    except WorkbenchError:
        raise
    except Exception as e:
        raise damaged(file.parent, f"{file.name} can't be read ({e})") from None
