"""Roles: what transformers' own modules call their weights is told, in every architecture and by no guess from shapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from workbench.analyses.weights._roles import role_of

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 101}
WIDE = {**SMALL, "intermediate_size": 80}
LAYERS = {
    "d_model": 32,
    "vocab_size": 101,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 80,
    "decoder_ffn_dim": 80,
}
T5 = {"d_model": 32, "d_ff": 80, "d_kv": 8, "num_layers": 1, "num_heads": 4, "vocab_size": 101}
EMBEDDING, HEAD = {"embed_tokens": "embedding"}, {"lm_head": "output head"}
PLACES = {"embed_positions": "position embedding", "position_embedding": "position embedding"}
APART = {"q_proj": "query", "k_proj": "key", "v_proj": "value"}
LLAMA = {
    **APART,
    "o_proj": "attention output",
    "gate_proj": "gate",
    "up_proj": "feed-forward in",
    "down_proj": "feed-forward out",
    **EMBEDDING,
    **HEAD,
}
FC = {"fc1": "feed-forward in", "fc2": "feed-forward out"}
FUSED = {
    "query_key_value": "query, key, value",
    "attention.dense": "attention output",
    "dense_h_to_4h": "feed-forward in",
    "dense_4h_to_h": "feed-forward out",
    "word_embeddings": "embedding",
    "embed_in": "embedding",
    **HEAD,
}
BART = {
    **APART,
    "out_proj": "attention output",
    **FC,
    "shared": "embedding",
    **EMBEDDING,
    **PLACES,
    **HEAD,
    "final_logits_bias": "vector",
}
MIXER = {
    "mixer.in_proj": "mixer in",
    "mixer.out_proj": "mixer out",
    "A_log": "state space",
    "x_proj": "state space",
    "dt_proj": "state space",
    "conv1d": "convolution",
    "embeddings": "embedding",
    **HEAD,
}
RWKV = {
    "time_mix": "vector",
    "attention.key": "key",
    "attention.value": "value",
    "attention.output": "attention output",
    "attention.receptance": "gate",
    "feed_forward.receptance": "gate",
    "feed_forward.key": "feed-forward in",
    "feed_forward.value": "feed-forward out",
    "embeddings": "embedding",
    "head": "output head",
}
OF_T5 = {
    "Attention.q.": "query",
    "Attention.k.": "key",
    "Attention.v.": "value",
    "Attention.o.": "attention output",
    "relative_attention_bias": "position embedding",
    "wo": "feed-forward out",
    "shared": "embedding",
    **EMBEDDING,
    **HEAD,
}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "Llama": ("LlamaForCausalLM", {**WIDE, "num_key_value_heads": 2, "tie_word_embeddings": False}, LLAMA),
    "Mistral": ("MistralForCausalLM", {**WIDE, "num_key_value_heads": 2}, LLAMA),
    "Qwen2": ("Qwen2ForCausalLM", {**WIDE, "num_key_value_heads": 2}, LLAMA),
    "Gemma": ("GemmaForCausalLM", {**WIDE, "num_key_value_heads": 1, "head_dim": 8}, LLAMA),
    "Phi": ("PhiForCausalLM", WIDE, {**APART, "attn.dense": "attention output", **FC, **EMBEDDING, **HEAD}),
    "Falcon": ("FalconForCausalLM", SMALL, FUSED),
    "Bloom": (
        "BloomForCausalLM",
        {"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 101},
        FUSED,
    ),
    "GPTNeoX": ("GPTNeoXForCausalLM", WIDE, FUSED),
    "OPT": (
        "OPTForCausalLM",
        {**SMALL, "ffn_dim": 80, "word_embed_proj_dim": 16},
        {**BART, "project_": "projection"},
    ),
    "T5": ("T5ForConditionalGeneration", T5, {**OF_T5, "wi": "feed-forward in"}),
    "T5 gated": (
        "T5ForConditionalGeneration",
        {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        {**OF_T5, "wi_0": "gate", "wi_1": "feed-forward in"},
    ),
    "Bart": ("BartForConditionalGeneration", LAYERS, BART),
    "Whisper": (
        "WhisperForConditionalGeneration",
        {**LAYERS, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0},
        {**BART, "proj_out": "output head", "conv": "convolution"},
    ),
    "Mamba": ("MambaForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 101}, MIXER),
    "Mamba2": (
        "Mamba2ForCausalLM",
        {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 101, "num_heads": 8, "head_dim": 8},
        MIXER,
    ),
    "Rwkv": (
        "RwkvForCausalLM",
        {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 101, "attention_hidden_size": 32},
        RWKV,
    ),
    "ViT": (
        "ViTForImageClassification",
        {k: v for k, v in WIDE.items() if k != "vocab_size"},
        {
            **LLAMA,
            **FC,
            **PLACES,
            "cls_token": "vector",
            "patch_embeddings": "embedding",
            "classifier": "output head",
        },
    ),
    "CLIP": (
        "CLIPModel",
        {"text_config": WIDE, "vision_config": {k: v for k, v in WIDE.items() if k != "vocab_size"}},
        {**BART, "embedding": "embedding", "_projection": "projection", **PLACES},
    ),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_peer_the_weights_of_transformers_modules_are_told_by_their_names(name: str) -> None:
    import transformers

    made, given, roles = ARCHITECTURES[name]
    config = getattr(transformers, f"{name.split()[0]}Config")(**given)
    with torch.device("meta"):
        state = getattr(transformers, made)(config).state_dict()
    wide = {k: tuple(w.shape) for k, w in state.items() if w.ndim > 1}
    assert len(wide) > 5
    for weight, shape in wide.items():
        longest = max((part for part in roles if part in weight), key=len)
        found = role_of(weight, shape)
        assert (found.name, found.confidence > 0.3) == (roles[longest], True), weight
    unused = {part for part in roles if not any(part in weight for weight in wide)}
    assert not unused & {"mixer.in_proj", "wo", "attention.receptance"}


@pytest.mark.parametrize(
    ("name", "shape", "role", "sure"),
    [
        ("model.layers.0.in_proj.weight", (64, 32), "tall", 0.3),  # of what it is, nobody says
        ("blocks.0.self_attn.in_proj_weight", (96, 32), "query, key, value", 1.0),
        ("layers.0.attention.wo.weight", (32, 32), "attention output", 1.0),
        ("layers.0.feed_forward.w2.weight", (32, 80), "feed-forward out", 1.0),
        ("blk.0.ssm_in.weight", (128, 32), "mixer in", 1.0),
        ("layers.0.self_attn.q_a_proj.weight", (8, 32), "to latent", 1.0),
        ("layers.0.mlp.experts.gate_up_proj", (3, 160, 32), "feed-forward in", 1.0),
        ("layers.0.attention.pos_query_proj.weight", (32, 32), "square", 0.3),
        ("layers.0.attention.key_proj.weight", (32, 32), "key", 1.0),
        ("layers.3.scale", (1, 1, 32), "vector", 1.0),
    ],
)
def test_known_answer_names_that_another_architecture_uses_otherwise(
    name: str, shape: tuple[int, ...], role: str, sure: float
) -> None:
    found = role_of(name, shape)
    assert (found.name, found.confidence) == (role, sure)
