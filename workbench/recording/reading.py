"""Opening a recording: rows at once, weights tensor by tensor when they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, FormatError, MissingError
from workbench.numerics.objectives import Probe
from workbench.recording import codecs
from workbench.recording.bookmark_files import read_bookmarks
from workbench.recording.layout import (
    MANIFEST,
    OUTCOME,
    PROBE,
    STEPS_FILE,
    TRAINING,
    WEIGHTS_FILE,
    WIDTHS,
    Layout,
    Tensor,
    as_cause,
    attempts,
    damaged,
    listed,
    read_json,
    read_layout,
)
from workbench.recording.stored import described_by, opened, read_rows, widened
from workbench.subjects.checkpoint import TensorInfo
from workbench.subjects.descents.record import Record
from workbench.subjects.descents.trajectory import Trajectory
from workbench.subjects.own_kinds import kind_of
from workbench.subjects.own_models import built

if TYPE_CHECKING:
    import pandas as pd
    import torch

_CACHED = (
    256 << 20
)  # bytes of decoded tensors that are kept, so that going through the steps decodes each once
_LONGEST_CHAIN = 256
_NUMPY = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "U8": "u1",
    "I8": "i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "BOOL": "?",
}


def open_recording(path: str | Path, *, name: str | None = None, keep: Any = None) -> Trajectory:
    """Open a recording, finished or not, as a `Trajectory`.

    Parameters
    ----------
    keep : whatever must live as long as the trajectory.

    Raises
    ------
    MissingError
        There is none, or not one step of it was stored.
    FormatError
        A file is damaged.
    DataError
        Steps are missing between others.
    """
    folder = Path(path)
    layout = read_layout(folder)
    starts = attempts(folder, checked=layout.checked)
    rows = _rows(folder, layout, starts)
    if not len(rows["step"]):
        raise MissingError(
            f"{folder} holds a recording of no step: the optimizer's step() wasn't called, or the process ended before the first "
            f"rows were stored."
        )
    weights = _weights(folder, layout, starts, rows)
    ending = read_json(folder / OUTCOME, checked=layout.checked) if (folder / OUTCOME).exists() else {}
    diverged, outcome = ending.get("diverged"), ending.get("message", "")
    if not (diverged is None or type(diverged) is int) or not isinstance(outcome, str):
        raise damaged(folder, f"{OUTCOME} doesn't say how it ended")
    if not ending.get("ended"):
        unfinished = f"unfinished: steps after {int(rows['step'][-1])} weren't stored, if there were any"
        outcome = f"{outcome}; {unfinished}" if outcome else unfinished
    model, unbuilt = _own_network(layout, folder)
    outcome = "; ".join(part for part in (outcome, unbuilt) if part)
    table = _table(rows)
    parameters = layout.parameters
    record = Record(
        weights=weights if weights.steps else None,
        gradient_norms=_frame(rows, "grad", parameters),
        update_norms=_frame(rows, "update", parameters),
        optimizer=_optimizer(rows),
        outcome=outcome,
        diverged=diverged,
        probe=read_probe(folder, layout, PROBE),
        training=read_probe(folder, layout, TRAINING),
        model=model,
        about=layout.about,
        folder=folder,
        keep=keep,
        bookmarks=read_bookmarks(folder, checked=layout.checked),
    )
    return Trajectory(table, record, name=name or layout.name)


def _own_network(layout: Layout, folder: Path) -> tuple[torch.nn.Module | None, str]:
    """The network that was recorded, where it is of an own kind, whose configuration says all of it; and why there is none.

    What was recorded of it is readable without, so a configuration that makes no such network is told and not refused.
    """
    config = layout.about.get("config")
    if not isinstance(config, dict) or not kind_of(config):
        return None, ""
    try:
        shapes = {t.name: t.shape for t in layout.tensors}
        return built(config, shapes, folder.name, described_by=f"the configuration in {MANIFEST}"), ""
    except FormatError as e:
        return None, f"without its network, which can't be built ({as_cause(str(e))})"


def open_weights(folder: Path) -> StoredWeights:
    """The weights of a recording alone: a kill may come between those that it began with and the first row.

    Raises
    ------
    MissingError, FormatError, DataError
        As of `open_recording`.
    """
    layout = read_layout(folder)
    starts = attempts(folder, checked=layout.checked)
    return _weights(folder, layout, starts, _rows(folder, layout, starts))


def _weights(
    folder: Path, layout: Layout, starts: list[int], rows: Mapping[str, np.ndarray]
) -> StoredWeights:
    steps = rows["step"]
    return StoredWeights(folder, layout, starts, until=int(steps[-1]) + layout.every if len(steps) else 0)


# -- rows -------------------------------------------------------------------------------------------


def _rows(folder: Path, layout: Layout, starts: list[int]) -> dict[str, np.ndarray]:
    """All rows that count, column by column; what an earlier attempt had from a later one's start on is left out."""
    chunks: list[dict[str, np.ndarray]] = []
    for attempt, file in _files(folder, STEPS_FILE, starts):
        chunk = _chunk(file, layout)
        last = _last_of(chunks, attempt)
        new = chunk["step"] > last  # rows that were merged into one file, and the file that they came from
        cut = min(starts[attempt + 1 :], default=None)
        if cut is not None:
            new &= chunk["step"] < cut
        at = chunk.get("state.step", np.empty(0))
        early = np.ones(len(at), bool) if cut is None else at < cut
        kept = {k: v[early if k.startswith("state.") else new] for k, v in chunk.items()}
        chunks.append({**kept, "attempt": np.full(int(new.sum()), attempt)})
    groups = max((c["lr"].shape[1] for c in chunks), default=0)
    chunks = [widened(c, layout.parameters, layout.parameters, groups) for c in chunks]
    keys = dict.fromkeys(k for c in chunks for k in c if k not in ("attempt", "state.step"))
    rows = {
        k: np.concatenate([c.get(k, _absent(k, c)) for c in chunks])
        for k in keys
        if not k.startswith("state.")
    }
    rows = rows or {"step": np.empty(0, np.int64)}
    rows.update(_summaries(chunks))
    _require_no_gap(folder, rows["step"], layout.every)
    return rows


def _last_of(chunks: list[dict[str, np.ndarray]], attempt: int) -> int:
    """The last step so far of the same attempt."""
    for c in reversed(chunks):
        if len(c["step"]) and c["attempt"][0] == attempt:
            return int(c["step"][-1])
    return -1


def _absent(key: str, chunk: dict[str, np.ndarray]) -> np.ndarray:
    return np.full(len(chunk["step"]), np.nan)


def _summaries(chunks: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Summaries of the optimizer's state, which have steps of their own."""
    by_step: dict[int, dict[str, float]] = {}
    for c in chunks:
        for i, step in enumerate(c.get("state.step", ())):
            values = {k: float(v[i]) for k, v in c.items() if k.startswith("state.") and k != "state.step"}
            by_step[int(step)] = values
    if not by_step:
        return {}
    keys = dict.fromkeys(k for v in by_step.values() for k in v)
    steps = sorted(by_step)
    columns = {k: np.array([by_step[s].get(k, np.nan) for s in steps]) for k in keys}
    return {"state.step": np.array(steps), **columns}


def _require_no_gap(folder: Path, steps: np.ndarray, every: int) -> None:
    if len(steps) and (np.diff(steps) == every).all() and steps[0] < every:
        return
    if not len(steps):
        return
    at = np.flatnonzero(np.diff(steps) != every)
    low, high = (-every, steps[0]) if steps[0] >= every else (steps[at[0]], steps[at[0] + 1])
    raise DataError(
        f"{folder} misses steps {low + every} to {high - every}: the file of their rows is gone. Restore it from a copy; the "
        f"steps after a gap are no continuation of those before."
        if high > low
        else f"{folder}: step {high} comes after step {low}; its files are mixed up."
    )


def _chunk(file: Path, layout: Layout) -> dict[str, np.ndarray]:
    columns, parameters = read_rows(file, checked=layout.checked)
    parameters = layout.parameters if parameters is None else parameters
    n = len(columns["step"]) if columns.get("step", np.empty(())).ndim == 1 else -1
    p, groups = (
        len(parameters),
        np.shape(columns.get("lr", ()))[-1] if np.ndim(columns.get("lr", ())) == 2 else 0,
    )
    shapes = {"loss": (n,), "lr": (n, groups), "grad": (n, p), "update": (n, p)}
    ok = n >= 0 and groups > 0 and set(parameters) <= set(layout.parameters) and len(set(parameters)) == p
    ok = ok and columns["step"].dtype.kind == "i" and (np.diff(columns["step"]) > 0).all()
    ok = ok and all(
        k in columns and columns[k].shape == s and columns[k].dtype.kind == "f" for k, s in shapes.items()
    )
    m = len(columns["state.step"]) if columns.get("state.step", np.empty(())).ndim == 1 else 0
    logs = {k: v for k, v in columns.items() if k not in shapes and k != "step"}
    ok = ok and all(v.shape == ((m,) if k.startswith("state.") else (n,)) for k, v in logs.items())
    if not ok:
        raise damaged(file.parent, f"{file.name} doesn't hold the rows that its manifest describes")
    return widened(columns, parameters, layout.parameters, groups)


def _table(rows: dict[str, np.ndarray]) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, np.ndarray] = {"step": rows["step"], "loss": rows["loss"]}
    lr = rows["lr"]
    columns.update({"lr" if g == 0 else f"lr_{g}": lr[:, g] for g in range(lr.shape[1])})
    for name, key in (("grad_norm", "grad"), ("update_norm", "update")):
        with np.errstate(over="ignore", invalid="ignore"):
            columns[name] = np.sqrt(np.square(rows[key].astype(np.float64)).sum(axis=1))
    columns.update({k.removeprefix("log."): v for k, v in rows.items() if k.startswith("log.")})
    return pd.DataFrame(columns, index=pd.Index(rows["step"]))


def _frame(rows: dict[str, np.ndarray], key: str, names: list[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows[key], index=pd.Index(rows["step"], name="step"), columns=names)


def _optimizer(rows: dict[str, np.ndarray]) -> pd.DataFrame:
    import pandas as pd

    columns = {k.removeprefix("state."): v for k, v in rows.items() if k.startswith("state.")}
    steps = columns.pop("step", np.empty(0, np.int64))
    return pd.DataFrame(columns, index=pd.Index(steps, name="step"))


def read_probe(folder: Path, layout: Layout, name: str) -> Probe | None:
    """The probe that a file of a recording holds (`PROBE` or `TRAINING`); None where there is no such file."""
    file = folder / name
    if not file.exists() or not layout.loss:
        return None
    arrays, _ = read_rows(file, checked=layout.checked)
    if "y" not in arrays or len(arrays) < 2:
        raise damaged(folder, f"{name} holds no inputs and targets")
    return Probe.from_arrays(arrays, layout.loss)


# -- weights ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    """What a file of weights says of itself: the step that its differences are to, and each tensor's kind, check and error."""

    file: Path
    step: int
    base: int | None
    tensors: dict[str, tuple[str, str, float]]
    state: dict[str, str]  # digests of the optimizer's arrays


class StoredWeights:
    """The weights of a recording; see `workbench.subjects.descents.step_weights.WeightSource`.

    Those after ``until`` aren't counted: a kill came between them and the rows that lead there.
    """

    def __init__(self, folder: Path, layout: Layout, starts: list[int], until: int):
        self._folder, self._layout = folder, layout
        self.until = until
        self._by_name = {t.name: t for t in layout.tensors}
        self._plans: dict[tuple[int, int], _Step] = {}  # by attempt and step
        for attempt, file in _files(folder, WEIGHTS_FILE, starts):
            self._plans.update({(attempt, step): plan for step, plan in self._look(file).items()})
        self._check_bases()
        latest = {
            s: a
            for a, s in sorted(self._plans)
            if s <= until and not any(s > start for start in starts[a + 1 :])
        }
        self._attempt = dict(sorted(latest.items()))
        self.steps = tuple(self._attempt)
        ordered = sorted(layout.tensors, key=lambda t: t.role != "parameter")
        self.tensors = {
            t.name: TensorInfo(t.name, t.shape, t.dtype, t.count * WIDTHS[t.dtype]) for t in ordered
        }
        self.parameters = tuple(layout.parameters)
        self._decoded: OrderedDict[tuple[int, int, str], np.ndarray] = OrderedDict()
        self._bytes = 0

    def read(self, step: int, name: str) -> np.ndarray:
        tensor = self._by_name[name]
        return _numbers(self._bits(self._attempt[step], step, tensor), tensor)

    def digest(self, step: int) -> str:
        plan = self._plans[self._attempt[step], step]
        checks = {n: c for n, (_, c, _) in plan.tensors.items()}
        exact = all(kind != "low-rank" for kind, _, _ in plan.tensors.values())
        return digest(checks) if exact or plan.base is None else digest(checks, self.digest(plan.base))

    def error(self, step: int, name: str) -> float:
        return self._plans[self._attempt[step], step].tensors[name][2]

    def state(self, step: int) -> Mapping[str, Mapping[str, np.ndarray]]:
        by_parameter: dict[str, dict[str, np.ndarray]] = {}
        plan = self._plans[self._attempt[step], step]
        with opened(plan.file) as held:
            keys = [k for k in held.keys() if k.startswith(f"{step}/state/")]  # noqa: SIM118
            arrays = {k.removeprefix(f"{step}/state/"): held.get_tensor(k) for k in keys}
        if self._layout.checked and {k: digest(a) for k, a in arrays.items()} != plan.state:
            raise damaged(self._folder, f"the optimizer's state at step {step} isn't what was stored")
        for key, array in arrays.items():
            what, parameter = key.split("/", 1)
            by_parameter.setdefault(parameter, {})[what] = array
        return by_parameter

    def _bits(self, attempt: int, step: int, tensor: Tensor) -> np.ndarray:
        """One tensor's bits: from the nearest step on that is stored whole, or that was decoded just now."""
        chain: list[int] = []
        at: int | None = step
        while at is not None:
            decoded = self._decoded.get((attempt, at, tensor.name))
            if decoded is not None:
                break
            chain.append(at)
            plan = self._plans[attempt, at]
            at = plan.base if plan.tensors[tensor.name][0] in ("delta", "same", "low-rank") else None
            if len(chain) > _LONGEST_CHAIN:
                raise damaged(self._folder, f"the differences before step {step} have no beginning")
        before = self._decoded[attempt, at, tensor.name] if at is not None else None
        for at in reversed(chain):
            before = self._decode(attempt, at, tensor, before)
        if before is None:
            raise damaged(self._folder, f"{tensor.name} at step {step} can't be found")
        self._remember((attempt, step, tensor.name), before)
        return before

    def _decode(self, attempt: int, step: int, tensor: Tensor, before: np.ndarray | None) -> np.ndarray:
        plan = self._plans[attempt, step]
        kind, wanted, _ = plan.tensors[tensor.name]
        width = WIDTHS[tensor.dtype]
        bits: np.ndarray | None
        with opened(plan.file) as held:
            if kind == "low-rank":
                left, right = (held.get_tensor(f"{step}/{side}/{tensor.name}") for side in ("left", "right"))
                bits = _added(before, left, right, tensor)
                checked = codecs.check(left, right)
            elif kind == "same":
                bits = before
                checked = codecs.check(bits) if bits is not None else ""
            else:
                stored = held.get_tensor(f"{step}/bits/{tensor.name}")
                bits = stored.reshape(-1) if kind == "raw" else codecs.unpack(stored, tensor.count, width)
                bits = codecs.unfold(bits, before) if kind == "delta" else bits  # type: ignore[arg-type]
                checked = codecs.check(bits)
        if bits is None or checked != wanted or bits.size != tensor.count or bits.dtype.itemsize != width:
            raise damaged(self._folder, f"{tensor.name} in {plan.file.name} isn't what was stored")
        return bits

    def _remember(self, key: tuple[int, int, str], array: np.ndarray) -> None:
        if key in self._decoded or array.nbytes > _CACHED:
            return
        for old in [k for k in self._decoded if k[2] == key[2]]:  # one step of each tensor
            self._bytes -= self._decoded.pop(old).nbytes
        while self._decoded and self._bytes + array.nbytes > _CACHED:
            self._bytes -= self._decoded.popitem(last=False)[1].nbytes
        self._decoded[key] = array
        self._bytes += array.nbytes

    def _look(self, file: Path) -> dict[int, _Step]:
        """What a file says of the steps that it holds."""
        with opened(file) as held:
            header = described_by(held, file, checked=self._layout.checked)
            try:
                plans = {
                    int(step): _Step(
                        file,
                        int(step),
                        plan["base"],
                        {n: (str(k), str(c), float(e)) for n, (k, c, e) in plan["tensors"].items()},
                        {str(k): str(c) for k, c in plan.get("state", {}).items()},
                    )
                    for step, plan in header.items()
                }
            except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
                raise damaged(self._folder, f"{file.name} doesn't say how it is to be read") from None
        for step in plans.values():
            kinds = [k for k, _, _ in step.tensors.values()]
            if set(step.tensors) != set(self._by_name) or not all(k in codecs.KINDS for k in kinds):
                raise damaged(self._folder, f"{file.name} doesn't hold the tensors that the manifest names")
        return plans

    def _check_bases(self) -> None:
        for attempt, step in self._plans:
            base = self._plans[attempt, step].base
            if base is not None and (
                type(base) is not int or base >= step or (attempt, base) not in self._plans
            ):
                file = self._plans[attempt, step].file.name
                raise damaged(self._folder, f"{file} builds on weights of step {base!r}, which are gone")


def _added(before: np.ndarray | None, left: np.ndarray, right: np.ndarray, tensor: Tensor) -> np.ndarray:
    if before is None or left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
        raise ValueError("its factors don't fit")
    moved = left.astype(np.float64) @ right
    values = _numbers(before, tensor).reshape(len(left), -1).astype(np.float64) + moved
    return codecs.bits(values.astype(_NUMPY[tensor.dtype]))


def _numbers(raw: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Bits as numbers; bfloat16 is the upper half of a float32."""
    if tensor.dtype == "BF16":
        return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32).reshape(tensor.shape)
    return raw.view(_NUMPY[tensor.dtype]).reshape(tensor.shape)


def _files(folder: Path, pattern: Any, starts: list[int]) -> list[tuple[int, Path]]:
    files = [(int(m[1]), f) for f in listed(folder) if (m := pattern.fullmatch(f.name))]
    if files and max(a for a, _ in files) >= len(starts):
        raise damaged(folder, "the file that says where its last attempt began is gone")
    return files
