"""Digests of tensors by content, whatever they are: strided, sparse, quantized, nested or a subclass."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from workbench.core.errors import ViewError

if TYPE_CHECKING:
    import torch


def storage_key(tensor: torch.Tensor) -> tuple[Any, ...]:
    """What two tensors share exactly when they show the same memory in the same way (tied weights do).

    Raises
    ------
    RuntimeError
        The tensor has no memory of its own (a sparse one).
    """
    layout = (
        str(tensor.dtype),
        tuple(tensor.shape),
        tuple(tensor.stride()),
        tensor.is_conj(),
        tensor.is_neg(),
    )
    return (str(tensor.device), tensor.data_ptr(), *layout)


def strided_digest(tensor: torch.Tensor) -> bytes:
    """Digest a strided tensor's numbers, bit by bit; read once, and not copied where it lies in main memory in order.

    By SHA-256, which processors have in hardware: half the time of BLAKE2 for what is by far the most of the bytes.
    """
    import torch

    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    return hashlib.sha256(plain.view(torch.uint8).numpy().data).digest()


def strided_digests(tensors: Iterable[torch.Tensor]) -> dict[tuple[Any, ...], bytes]:
    """Digest the strided tensors among these, each memory once and several at a time."""

    found: dict[tuple[Any, ...], torch.Tensor] = {}
    for tensor in tensors:
        if is_strided(tensor) and missing_values(tensor) is None:
            found.setdefault(storage_key(tensor), tensor)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(found, pool.map(strided_digest, found.values()), strict=True))


def is_strided(tensor: torch.Tensor) -> bool:
    """Whether a tensor is nothing more than numbers in memory."""
    import torch

    known = type(tensor) in (torch.Tensor, torch.nn.Parameter)
    return known and tensor.layout == torch.strided and not (tensor.is_quantized or tensor.is_nested)


def missing_values(tensor: torch.Tensor) -> str | None:
    """Why a tensor holds no numbers, if it doesn't."""
    from torch.nn.parameter import is_lazy

    if is_lazy(tensor):
        return "a lazy parameter, which gets its shape in the first forward pass"
    return "on the meta device, where a tensor has a shape and no numbers" if tensor.is_meta else None


def require_numbers(module: torch.nn.Module, name: str) -> None:
    """Refuse a module of which a parameter or buffer has no numbers yet.

    Raises
    ------
    ViewError
        With the first that has none, and how it gets them.
    """
    for parameter, tensor in (*module.named_parameters(), *module.named_buffers()):
        if (why := missing_values(tensor)) is not None:
            raise ViewError(
                f"{name} can't be run: {parameter} is {why}. Give it numbers first: load its weights, or for a lazy one "
                f"call the module once."
            )


def parts_of(tensor: torch.Tensor) -> list[Any]:
    """Plain tensors and settings that make up one that `is_strided` denies.

    Raises
    ------
    TypeError
        It is of a kind that isn't known here.
    """
    import torch

    if hasattr(tensor, "__tensor_flatten__"):
        names, settings = tensor.__tensor_flatten__()
        return [settings, *[x for n in names for x in (n, getattr(tensor, n))]]
    tensor = tensor.detach()
    if tensor.is_nested:
        return list(tensor.unbind())
    if tensor.is_quantized:
        scheme = tensor.qscheme()
        if scheme in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            return [str(scheme), tensor.q_scale(), tensor.q_zero_point(), tensor.int_repr()]
        scales = [tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()]
        return [str(scheme), tensor.q_per_channel_axis(), *scales, tensor.int_repr()]
    if tensor.is_mkldnn:
        return [tensor.to_dense()]
    if tensor.layout == torch.sparse_coo:
        tensor = tensor.coalesce()
        return [tensor.indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    if tensor.layout == torch.strided:  # a subclass that adds no memory of its own
        return [tensor.as_subclass(torch.Tensor)]
    raise TypeError(f"a tensor of the layout {tensor.layout}")
