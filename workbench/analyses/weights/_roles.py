"""What a weight matrix is for, from its name and shape."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

UNKNOWN = "other"
BOTH, NAME, SHAPE = 1.0, 0.7, 0.3
"""How sure a role is: name and shape say so; the name alone; the shape alone."""
_ATTENTION = r"att\w*\."  # a module of attention: attn, attention, self_attn, SelfAttention spelled apart
_FROM_NAMES: tuple[tuple[str, str], ...] = (
    ("adapter", r"lora|adapter"),
    ("vector", r"time_mix|_token$|logits_bias"),
    (
        "position embedding",
        r"pos(ition)?(al)?_?emb\w*|embed_positions|\bwpe\b|pos_conv|rel_?emb\w*|relative_(attention|position)_bias",
    ),
    ("router", r"router|(mlp|moe|ffn)\.gate\.weight|block_sparse_moe\.gate"),
    ("mixer in", r"(mixer|mamba)\.in_proj|ssm_in\b"),
    ("state space", r"(mixer|mamba)\.(x_proj|dt_proj|a_log)|ssm_(x|dt|a)\b"),
    ("mixer out", r"(mixer|mamba)\.out_proj|ssm_out\b"),
    ("query, key, value", rf"qkv|c_attn|query_key_value|{_ATTENTION}in_proj"),
    ("to latent", r"\b(q|kv)_a_proj"),
    ("from latent", r"\b(q|kv)_b_proj"),
    ("query", r"(?<!pos_)quer(y|ies)|\bq(_?proj|_lin)?\b|attn_q\b|\bwq\b"),
    ("key", r"(?<!feed_forward\.)\b(keys?|key_proj)\b|\bk(_?proj|_lin)?\b|attn_k\b|\bwk\b"),
    ("value", r"(?<!feed_forward\.)\b(values?|value_proj)\b|\bv(_?proj|_lin)?\b|attn_v\b|\bwv\b"),
    (
        "attention output",
        rf"att\w*\.output|\bo_?proj\b|out_lin|{_ATTENTION}(c_proj|dense|out_proj|proj|o|wo)\b|attn_output",
    ),
    ("gate", r"gate_?proj|ffn_gate|\bw1\b|\bwi_0\b|\breceptance\b"),
    (
        "output head",
        r"lm_head|\bhead\b|unembed\w*|decoder\.weight|classifier|embed_out|vocab_projector|^(output|proj_out)\.weight",
    ),
    (
        "feed-forward in",
        r"intermediate|up_?proj|c_fc|fc1|fc_in|lin(ear)?1\b|ffn_up|h_to_4h|\bw3\b|\bwi(_1)?\b|feed_forward\.key|\bffn\.weight",
    ),
    (
        "feed-forward out",
        r"down_?proj|fc2|fc_out|lin(ear)?2\b|ffn_down|4h_to_h|\bw2\b|\bwo\b|mlp\.c_proj|feed_forward\.value|ffn_output|"
        r"output_dense|(layer|layers|block|blocks|h)\.\d+\.output",
    ),
    ("pooler", r"pooler"),
    (
        "projection",
        r"\bproject_(in|out)\b|(visual|text|feature)_projection|embeddings?_(project|hidden_mapping)",
    ),
    (
        "embedding",
        r"emb(ed(d?ings?)?)?\b|embed_(tokens|in)\b|word_emb\w*|token_type|\bwte\b|token_embd|\bshared\.weight",
    ),
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
            of_one = shape[1:] if len(shape) == 3 and "experts" in spelled else shape
            return Role(role, BOTH if _fits(role, of_one) else NAME, layer)
    if math.prod(shape) == max(shape):
        return Role("vector", BOTH, layer)
    if len(shape) > 2:
        return Role("convolution", SHAPE, layer)
    n, m = shape[0], shape[1]
    if n > 8 * m:
        return Role("embedding", SHAPE, layer)
    return Role("square" if n == m else "tall" if n > m else "wide", SHAPE, layer)


def _fits(role: str, shape: tuple[int, ...]) -> bool:
    if role == "convolution":
        return len(shape) > 2
    if role == "vector":
        return math.prod(shape) == max(shape)
    n, m = shape[0], shape[1]
    if role == "query, key, value":
        return n != m
    if role in _SHARED:
        return n <= m
    if role in _SQUARE:
        return n == m
    if role in ("feed-forward in", "mixer in", "from latent"):
        return n > m
    if role == "gate":
        return n >= m  # RWKV's is square
    if role in ("feed-forward out", "mixer out", "to latent"):
        return n < m
    if role in ("embedding", "output head"):
        return n > m
    return True
