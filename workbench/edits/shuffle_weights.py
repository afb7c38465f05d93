"""Shuffled weights: the network that an answer about learning is compared with."""

from __future__ import annotations

from typing import Annotated

from typing_extensions import Doc

from workbench.core.parameters import Seed
from workbench.core.registry import edit
from workbench.edits._matrices import matrices
from workbench.edits.permutation import Permutation
from workbench.subjects.checkpoint import Checkpoint


@edit
def shuffle_weights(
    checkpoint: Checkpoint,
    *,
    at: Annotated[
        str, Doc("Pattern of tensor names, in which * stays within one dotted part; ** is any.")
    ] = "**",
    random_state: Seed = 0,
) -> Permutation:
    """Permute the entries of every weight matrix within itself.

    The architecture, the tokenizer and the distribution of every matrix's entries stay, and what training put
    into their arrangement goes: the control for a claim about what a network has learned. Tensors of one
    dimension (biases, norms) stay as they are.

    Raises
    ------
    MissingError
        The pattern matches no weight matrix.
    """
    return Permutation(matrices(checkpoint, at), random_state)
