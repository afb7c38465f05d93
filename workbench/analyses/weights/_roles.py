"""What a weight matrix is for, from its name and shape."""

from __future__ import annotations

import re
from dataclasses import dataclass

UNKNOWN = "other"
BOTH, NAME, SHAPE = 1.0, 0.7, 0.3
"""How sure a role is: name and shape say so; the name alone; the shape alone."""
_FROM_NAMES: tuple[tuple[str, str], ...] = (
    ("adapter", r"lora|adapter"),
    ("position embedding", r"pos(ition)?(al)?_?emb\w*|\bwpe\b"),
    ("router", r"router|(mlp|moe|ffn)\.gate\.weight|block_sparse_moe\.gate"),
    ("query, key, value", r"qkv|c_attn|query_key_value|in_proj"),
    ("query", r"quer(y|ies)|\bq(_?proj|_lin)?\b|attn_q\b|\bwq\b"),
    ("key", r"\bkeys?\b|\bk(_?proj|_lin)?\b|attn_k\b|\bwk\b"),
    ("value", r"\bvalues?\b|\bv(_?proj|_lin)?\b|attn_v\b|\bwv\b"),
    (
        "attention output",
        r"att\w*\.output|\bo_?proj\b|out_lin|attn\w*\.(c_proj|dense|out_proj|proj)|attn_output|\bwo\b",
    ),
    ("gate", r"gate_?proj|ffn_gate|\bw1\b"),
    ("output head", r"lm_head|\bhead\b|unembed\w*|decoder\.weight|classifier|embed_out|^output\.weight"),
    ("feed-forward in", r"intermediate|up_?proj|c_fc|fc1|lin1|ffn_up|h_to_4h|\bw3\b|dense_h_to"),
    (
        "feed-forward out",
        r"down_?proj|fc2|lin2|ffn_down|4h_to_h|\bw2\b|mlp\.c_proj|(layer|layers|block|blocks|h)\.\d+\.output",
    ),
    ("pooler", r"pooler"),
    ("embedding", r"emb(ed(d?ings?)?)?\b|embed_tokens|word_emb\w*|token_type|\bwte\b|token_embd"),
    ("convolution", r"\bconv\w*"),
)
ORDER = (*(role for role, _ in _FROM_NAMES), "square", "wide", "tall", UNKNOWN)
"""Roles in the order in which a table and a figure have them."""
_SQUARE = {"query", "key", "value", "attention output", "pooler"}
_SHARED = {"key", "value"}  # of which several queries may share one, so that they are narrower


@dataclass(frozen=True)
class Role:
    """What a matrix is for, how sure that is, and in which layer; -1 outside of layers."""

    name: str
    confidence: float
    layer: int


def role_of(name: str, shape: tuple[int, ...]) -> Role:
    """Say what a matrix is for.

    Parameters
    ----------
    name : dotted, as the checkpoint has it. shape : rows are outputs, columns inputs, as in torch.
    """
    number = re.search(r"(?:^|\.)(\d+)(?:\.|$)", name)
    layer = int(number[1]) if number else -1
    spelled = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    for role, pattern in _FROM_NAMES:
        if re.search(pattern, spelled):
            return Role(role, BOTH if _fits(role, shape) else NAME, layer)
    if len(shape) > 2:
        return Role("convolution", SHAPE, layer)
    n, m = shape[0], shape[1]
    if n > 8 * m:
        return Role("embedding", SHAPE, layer)
    return Role("square" if n == m else "tall" if n > m else "wide", SHAPE, layer)


def _fits(role: str, shape: tuple[int, ...]) -> bool:
    n, m = shape[0], shape[1]
    if role == "convolution":
        return len(shape) > 2
    if role in _SHARED:
        return n <= m
    if role in _SQUARE:
        return n == m
    if role == "feed-forward in" or role == "gate":
        return n > m
    if role == "feed-forward out":
        return n < m
    if role in ("embedding", "output head"):
        return n > m
    return True
