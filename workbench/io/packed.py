"""Which tensors hold packed integers: codes of quantized weights, whose numbers mean nothing without what lies beside them.

GPTQ and AWQ keep eight weights of 4 bits in an int32 (``qweight`` with ``qzeros`` and ``scales``), bitsandbytes two in a
byte (``weight`` with ``weight.absmax``) or one with a scale a row (``weight`` with ``SCB``), compressed-tensors and
others likewise. A spectrum of such integers is one of bit patterns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workbench.subjects.checkpoint import TensorInfo

_INTEGERS = re.compile(r"[IU]\d+|F4|F6_\w+")
# By the last part of a tensor's name: that it is codes whatever stands beside it.
_CODES = re.compile(
    r"qweight|qzeros|q_?weight|(weight|w)_packed|packed_weight|W_q|.*_blocks|.*_zero_point|g_idx|quant_map|nested_quant_map"
)
# What stands beside codes: in the same module, or below the tensor itself.
_SCALES = re.compile(
    r"q?scales?|SCB|qzeros|(weight|w)_(scales?|scale_inv|scale_2|zero_point)|scale_weight|absmax|quant_state(\..*)?|"
    r"quant_map|weight_format|.*_scales|zeros?|zero_point|weights_scaling_factor"
)


def marked(tensors: Mapping[str, TensorInfo], config: Mapping[str, Any]) -> dict[str, TensorInfo]:
    """The tensors, of which those of packed integers say so.

    Parameters
    ----------
    config : the network's; its ``quantization_config`` names the method.
    """
    method = config.get("quantization_config")
    method = method.get("quant_method") if isinstance(method, Mapping) else None
    by = f" by {method}" if isinstance(method, str) else ""
    modules: set[str] = set()
    for name in tensors:
        modules |= _scaled(name)
    return {
        name: replace(info, packed=f"packed integers, quantized{by}")
        if _is_packed(info, modules, bool(by))
        else info
        for name, info in tensors.items()
    }


def _scaled(name: str) -> set[str]:
    """Of a tensor of scales, the module that it belongs to and the weight that it may stand below."""
    parts = name.split(".")
    for i in range(max(1, len(parts) - 2), len(parts)):
        if _SCALES.fullmatch(".".join(parts[i:])):
            return {".".join(parts[:i])}
    return set()


def _is_packed(info: TensorInfo, modules: set[str], quantized: bool) -> bool:
    if not _INTEGERS.fullmatch(info.dtype) or not info.shape:
        return False
    module, _, own = info.name.rpartition(".")
    if _CODES.fullmatch(own):
        return True
    return len(info.shape) >= 2 and (quantized or module in modules or info.name in modules)
