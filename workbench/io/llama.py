"""Decoders of the Llama family that aren't stored as transformers names and lays them out.

Their tensors are shown under transformers' names and in its layout, so that a weight, the module that it
belongs to and what that module puts out are called the same. Llama.cpp and glassllm rotate neighbouring
pairs of a head's numbers where transformers rotates its first half against its second; so the rows of
queries and keys come in another order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.lazy import LazyTensor
from workbench.io.arrays import read_npz
from workbench.io.files import Weights, checkpoint, read_json
from workbench.io.gguf_files import read_gguf
from workbench.io.gguf_vocabulary import read_lists
from workbench.io.quiet import quiet
from workbench.io.texts import text_network
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.network import Network

_GLASS_PARTS = {
    "input_layernorm": "norm1.gamma",
    "post_attention_layernorm": "norm2.gamma",
    "self_attn.q_proj": "attn.W_Q",
    "self_attn.k_proj": "attn.W_K",
    "self_attn.v_proj": "attn.W_V",
    "self_attn.o_proj": "attn.W_O",
    "mlp.gate_proj": "ffn.W1",
    "mlp.up_proj": "ffn.W3",
    "mlp.down_proj": "ffn.W2",
}
_GGUF_PARTS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_EMBEDDING = "model.embed_tokens.weight"
_SPACE = "▁"
_CONTROL = 3  # GGUF's type of a token that is no text


@dataclass(frozen=True)
class _Shape:
    """The sizes that make a Llama."""

    vocabulary: int
    width: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    positions: int
    base: float
    epsilon: float


def open_glass(weights: Path, tokenizer: Path, name: str) -> Checkpoint:
    """Open one of glassllm's decoders."""
    raw = read_npz(weights)
    config = json.loads(str(raw.read("__config__")))
    shape = _Shape(
        config["vocab_size"],
        config["d_model"],
        raw.tensors["blocks.0.ffn.W1"].shape[1],
        config["n_layers"],
        config["n_heads"],
        config["n_kv_heads"],
        config["max_len"],
        config["rope_base"],
        config["eps"],
    )
    names = {_EMBEDDING: "E", "model.norm.weight": "norm_f.gamma"}
    for i in range(shape.layers):
        names |= {f"model.layers.{i}.{k}.weight": f"blocks.{i}.{v}" for k, v in _GLASS_PARTS.items()}
    relaid = _relaid(raw, names, shape, transposed=True)
    return _open(
        relaid, name, weights, shape, [tokenizer], lambda: _glass_tokenizer(tokenizer), tokens=(0, 2, 3)
    )


def open_gguf(path: Path, name: str) -> Checkpoint:
    """Open a GGUF file of a Llama with tied embeddings and SmolLM's tokenizer."""
    raw = read_gguf(path)
    config = raw.config
    shape = _Shape(
        config["llama.vocab_size"],
        config["llama.embedding_length"],
        config["llama.feed_forward_length"],
        config["llama.block_count"],
        config["llama.attention.head_count"],
        config["llama.attention.head_count_kv"],
        config["llama.context_length"],
        config["llama.rope.freq_base"],
        config["llama.attention.layer_norm_rms_epsilon"],
    )
    names = {_EMBEDDING: "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    for i in range(shape.layers):
        names |= {f"model.layers.{i}.{k}.weight": f"blk.{i}.{v}.weight" for k, v in _GGUF_PARTS.items()}
    relaid = _relaid(raw, names, shape, transposed=False)
    tokens = tuple(config[f"tokenizer.ggml.{k}_token_id"] for k in ("padding", "bos", "eos"))
    return _open(relaid, name, path, shape, [], lambda: _gguf_tokenizer(path, config), tokens=tokens)


def _open(
    found: Weights,
    name: str,
    source: Path,
    shape: _Shape,
    beside: list[Path],
    tokenizer: Callable[[], Any],
    tokens: tuple[int, ...],
) -> Checkpoint:
    config: dict[str, Any] = {
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_heads,
        "max_position_embeddings": shape.positions,
        "rms_norm_eps": shape.epsilon,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.base},
        "tie_word_embeddings": True,
        "use_cache": False,
        **dict(zip(_SPECIAL, tokens, strict=True)),
    }
    found = replace(found, config=config)

    def load(digest: str) -> Network:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        state = {n: torch.tensor(found.read(n)) for n in found.tensors}
        settings = {k: v for k, v in config.items() if k != "model_type"}
        with quiet():
            module: Any = LlamaForCausalLM.from_pretrained(
                None, config=LlamaConfig(**settings), state_dict=state
            )
        return text_network(name, digest, module, tokenizer(), predicts=True, limit=shape.positions)

    return checkpoint(found, name, source, beside=beside, load=load)


_SPECIAL = ("pad_token_id", "bos_token_id", "eos_token_id")


def _relaid(raw: Weights, names: Mapping[str, str], shape: _Shape, *, transposed: bool) -> Weights:
    """The tensors under transformers' names and in its layout, still read one by one."""
    heads = {"q_proj": shape.heads, "k_proj": shape.key_heads}

    def lazy(name: str) -> LazyTensor:
        return LazyTensor.later(tensors[name].shape, lambda: read(name))

    def read(name: str) -> np.ndarray:
        x = raw.read(names[name]).astype(np.float32, copy=False)
        x = x.T if turned(name) else x
        part = name.split(".")[-2]
        return np.ascontiguousarray(_halves(x, heads[part]) if part in heads else x)

    def turned(name: str) -> bool:
        return transposed and name != _EMBEDDING

    tensors = {}
    for name, old in names.items():
        info = raw.tensors[old]
        tensors[name] = replace(info, name=name, shape=info.shape[::-1] if turned(name) else info.shape)
    return Weights(tensors, lazy, raw.files)


def _halves(x: np.ndarray, heads: int) -> np.ndarray:
    """Rows x0 y0 x1 y1 ... of each head as x0 x1 ... y0 y1 ..."""
    return x.reshape(heads, -1, 2, x.shape[1]).swapaxes(1, 2).reshape(x.shape)


def _glass_tokenizer(path: Path) -> Any:
    """The characters' byte-pair encoding, in which ▁ stands for a space and no special token is added."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    content = read_json(path, "a tokenizer")
    merges = [(a, b) for a, b in content["merges"]]
    special = ["<pad>", "<unk>", "<bos>", "<eos>"]
    vocabulary = {t: i for i, t in enumerate([*special, *content["alphabet"], *(a + b for a, b in merges)])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(" ", _SPACE)])
    made.pre_tokenizer = pre_tokenizers.Split(Regex(f"\n|{_SPACE}*[^{_SPACE}\n]+|{_SPACE}+"), "isolated")
    made.decoder = decoders.Sequence([decoders.Replace(_SPACE, " "), decoders.Fuse()])
    return _fast(made, pad_token="<pad>", unk_token="<unk>", bos_token="<bos>", eos_token="<eos>")


def _gguf_tokenizer(path: Path, config: Mapping[str, Any]) -> Any:
    """Byte-level byte-pair encoding with every digit a token: what ``tokenizer.ggml.pre = smollm`` stands for."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    lists = read_lists(path, ("tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.token_type"))
    tokens, merges, kinds = lists.values()
    made = Tokenizer(
        models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[tuple(m.split(" ")) for m in merges])
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    control = [t for t, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    made.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    named = {"pad": "padding", "unk": "unknown", "bos": "bos", "eos": "eos"}
    return _fast(
        made, **{f"{k}_token": tokens[config[f"tokenizer.ggml.{v}_token_id"]] for k, v in named.items()}
    )


def _fast(made: Any, **special: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    with quiet():
        made = PreTrainedTokenizerFast(tokenizer_object=made, clean_up_tokenization_spaces=False, **special)
    made.model_input_names = ["input_ids", "attention_mask"]
    return made
