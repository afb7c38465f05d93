"""Where a checkpoint keeps its attention heads: each layer's four projections, cut into heads, whatever the layout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.analyses.weights._roles import BOTH, SHAPE, role_of
from workbench.core.errors import DataError, ParameterError
from workbench.subjects.checkpoint import Checkpoint

if TYPE_CHECKING:
    from jaxtyping import Float

FUSED, OUTPUT = "query, key, value", "attention output"
_APART = ("query", "key", "value")
_COUNTS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads")
_CROSS = re.compile(r"cross|enc_?dec|encoder_attn|encoder_attention")
_BY_HEAD = {"gpt_neox", "gpt_neox_japanese", "bloom"}  # a head's query, key and value one after another
_OTHERWISE = {"falcon", "codegen", "chatglm", "gpt_bigcode"}  # orders that aren't read here


@dataclass(frozen=True)
class Attention:
    """Which tensors are the attention of one layer.

    Attributes
    ----------
    stack : what stands before the layer's number in the names. names : role to tensor. confidence : the least of their roles'.
    """

    stack: str
    layer: int
    names: Mapping[str, str]
    confidence: float


@dataclass(frozen=True)
class Heads:
    """The factors of n heads that m key heads serve, in a residual stream of width d.

    Attributes
    ----------
    query, output : (n, d, h). key, value : (m, d, h); head i takes those of i * m // n.
    """

    query: Float[np.ndarray, "n d h"]
    key: Float[np.ndarray, "m d h"]
    value: Float[np.ndarray, "m d h"]
    output: Float[np.ndarray, "n d h"]

    @property
    def shared(self) -> list[int]:
        """Which key head each head takes."""
        n, m = len(self.query), len(self.key)
        return [i * m // n for i in range(n)]


def attentions(checkpoint: Checkpoint) -> tuple[list[Attention], int]:
    """Find the layers that attend to what they read themselves, and say how many others were left out.

    Raises
    ------
    DataError
        There is none with all four projections.
    """
    groups: dict[tuple[str, int, bool], list[str]] = {}
    for name, info in checkpoint.tensors.items():
        if len(info.shape) == 2 and info.floating and not info.packed and 0 not in info.shape:
            before = re.match(r"(.*?)(?:^|(?<=\.))(\d+)\.", name)
            stack, layer = (before[1], int(before[2])) if before else ("", 0)
            groups.setdefault((stack, layer, bool(_CROSS.search(_spelled(name)))), []).append(name)
    found, left = [], 0
    for (stack, layer, cross), names in groups.items():
        named = _named(checkpoint, names)
        if named is None:
            left += any(role_of(n, checkpoint.tensors[n].shape).name in (*_APART, FUSED) for n in names)
        elif cross:
            left += 1
        else:
            found.append(Attention(stack, layer, *named))
    if not found:
        raise DataError(
            f"{checkpoint.name} has no layer whose queries, keys, values and attention output are told by their names "
            f"({checkpoint.holds}). Open a transformer's weights, all of them, under the names that they were saved with."
        )
    return sorted(found, key=lambda a: (a.stack, a.layer)), left


def read_heads(checkpoint: Checkpoint, found: Attention, n_heads: int) -> Heads:
    """Read one layer's projections and cut them into heads.

    Parameters
    ----------
    n_heads : how many heads there are, or 0 for what the checkpoint's configuration says.

    Raises
    ------
    ParameterError
        The projections can't be cut into so many.
    DataError
        Nobody says how many heads there are, an entry isn't finite, or the order of a fused projection isn't known.
    """
    n = n_heads or _count(checkpoint)
    held = {role: _values(checkpoint, name) for role, name in found.names.items()}
    output = held[OUTPUT]
    if FUSED in held:
        fused = held[FUSED]
        if fused.shape[0] < fused.shape[1]:  # inputs by outputs, as GPT-2 keeps them
            fused, output = fused.T, output.T
        parts = _apart(checkpoint, found.names[FUSED], fused, output.shape[1], n)
    else:
        parts = (held["query"], held["key"], held["value"])
    many = _key_heads(parts, output, n)
    if not many:
        raise _uneven(checkpoint, found, n, len(parts[0]))
    query, key, value = (
        w.reshape(-1, w.shape[0] // k, w.shape[1]) for w, k in zip(parts, (n, many, many), strict=True)
    )
    cut = output.reshape(output.shape[0], n, -1).transpose(1, 0, 2)
    return Heads(query.transpose(0, 2, 1), key.transpose(0, 2, 1), value.transpose(0, 2, 1), cut)


def _spelled(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _named(checkpoint: Checkpoint, names: list[str]) -> tuple[dict[str, str], float] | None:
    """Role to name of the four projections among tensors of one layer, and how sure that is; None where they aren't there."""
    roles = {n: role_of(n, checkpoint.tensors[n].shape) for n in names}
    by_role: dict[str, list[str]] = {}
    for n, role in roles.items():
        by_role.setdefault(role.name, []).append(n)
    wanted = (FUSED,) if len(by_role.get(FUSED, ())) == 1 else _APART
    if any(len(by_role.get(role, ())) != 1 for role in wanted):
        return None
    chosen = {role: by_role[role][0] for role in wanted}
    sure = min((roles[n].confidence for n in chosen.values()), default=BOTH)
    module = chosen[wanted[-1]].rsplit(".", 2)[0] + "."
    fits = [
        n
        for n in names
        if n not in chosen.values() and _goes_back(checkpoint, n, wanted[0], chosen[wanted[0]])
    ]
    last = [n for n in fits if roles[n].name == OUTPUT]
    if not last:  # what else the same module holds
        last = [n for n in fits if n.startswith(module)]
        sure = SHAPE
    return ({**chosen, OUTPUT: last[0]}, min(sure, roles[last[0]].confidence)) if len(last) == 1 else None


def _goes_back(checkpoint: Checkpoint, name: str, role: str, first: str) -> bool:
    """Whether a tensor has the shape of an output for the projection of this role."""
    shape, other = checkpoint.tensors[name].shape, checkpoint.tensors[first].shape
    return min(other) in shape if role == FUSED else shape == other[::-1]


def _count(checkpoint: Checkpoint) -> int:
    config: Mapping[str, Any] = checkpoint.config
    for held in (config, *(v for v in config.values() if isinstance(v, Mapping))):
        for key, value in held.items():
            if (
                (key in _COUNTS or str(key).endswith("attention.head_count"))
                and isinstance(value, int)
                and value > 0
            ):
                return value
    raise DataError(
        f"{checkpoint.name} doesn't say how many heads a layer has, which its weights alone can't tell. Give n_heads=12 or "
        f"whatever it is, or open the folder that holds the network's config.json beside them."
    )


def _values(checkpoint: Checkpoint, name: str) -> np.ndarray:
    w = np.asarray(checkpoint[name], np.float64)
    if not np.isfinite(w).all():
        row, column = np.argwhere(~np.isfinite(w))[0]
        raise DataError(
            f"{name} of {checkpoint.name} holds {w[row, column]} at row {row:,}, column {column:,}, so that its heads have no "
            f"circuits. Choose other layers with .at(pattern), or a step before it diverged."
        )
    return w


def _apart(
    checkpoint: Checkpoint, name: str, fused: np.ndarray, width: int, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries, keys and values out of one projection (outputs, inputs), where the heads together are so wide."""
    kind = str(checkpoint.config.get("model_type", ""))
    by_head = kind in _BY_HEAD
    if kind in _OTHERWISE or ("query_key_value" in name and not by_head):
        raise DataError(
            f"{name} of {checkpoint.name} holds queries, keys and values in an order that isn't known here"
            f"{f' of {kind}' if kind else ''}. Save them as three tensors (q_proj, k_proj, v_proj) and open that."
        )
    h = width // n
    if not h or width % n or len(fused) % h or (len(fused) - width) % (2 * h) or len(fused) <= width:
        raise ParameterError(
            f"attention_heads: {n} heads don't fit {name} of {checkpoint.name}, which gives {len(fused):,} numbers for heads "
            f"that are {width:,} wide together. Give n_heads as the network's configuration has it."
        )
    if by_head:
        turned = fused.reshape(n, 3, h, -1).transpose(1, 0, 2, 3).reshape(3, n * h, -1)
        return turned[0], turned[1], turned[2]
    keys = (len(fused) - width) // 2
    return fused[:width], fused[width : width + keys], fused[width + keys :]


def _key_heads(parts: tuple[np.ndarray, ...], output: np.ndarray, n: int) -> int:
    """How many key heads serve n heads, or 0 where the shapes don't go together."""
    query, key, value = parts
    h = len(query) // n
    if not h or len(query) % n or len(key) % h or output.shape[1] % n or query.shape[1] != key.shape[1]:
        return 0
    many = len(key) // h
    fits = n % many == 0 and len(value) * n == output.shape[1] * many and value.shape[1] == output.shape[0]
    return many if fits else 0


def _uneven(checkpoint: Checkpoint, found: Attention, n: int, wide: int) -> ParameterError:
    shapes = ", ".join(f"{name} {checkpoint.tensors[name].shape}" for name in found.names.values())
    return ParameterError(
        f"attention_heads: {n} heads don't fit layer {found.layer} of {checkpoint.name} ({shapes}): the {wide:,} numbers of its "
        f"queries, and as many keys and values, must divide into them. Give n_heads as the network's configuration has it."
    )
