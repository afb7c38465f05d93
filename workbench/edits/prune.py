"""Pruned weights: which of them a network can do without."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.registry import edit
from workbench.edits._matrices import matrices
from workbench.edits.magnitude_mask import MagnitudeMask
from workbench.subjects.checkpoint import Checkpoint


@edit
def prune(
    checkpoint: Checkpoint,
    *,
    fraction: Annotated[
        float, Interval(ge=0, le=1), Doc("Share of every matrix's entries that become 0.")
    ] = 0.5,
    at: Annotated[
        str, Doc("Pattern of tensor names, in which * stays within one dotted part; ** is any.")
    ] = "**",
) -> MagnitudeMask:
    """Zero the entries of smallest magnitude of every weight matrix.

    Tensors of one dimension (biases, norms) stay as they are. Among entries of equal magnitude the first go. Nothing is
    read before the pruned network is.

    Raises
    ------
    MissingError
        The pattern matches no weight matrix.

    References
    ----------
    Han, Pool, Tran and Dally 2015, Learning both weights and connections for efficient neural networks, NeurIPS 28.
    """
    return MagnitudeMask(matrices(checkpoint, at), fraction)
