"""Networks: what a checkpoint becomes when it is called, and the batches that it is called with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import MissingError, suggest

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from jaxtyping import Bool


@dataclass(frozen=True, eq=False)
class Batch:
    """One call of a network and the rows that it yields.

    Attributes
    ----------
    inputs : keyword arguments of the module's ``forward`` (a tuple stands for positional ones).
    keep : (batch, positions) which positions are rows (padding isn't); None where a sample is one row.
    rows : one line a kept position, in row-major order; the index is not used.
    """

    inputs: Mapping[str, torch.Tensor] | tuple[torch.Tensor, ...]
    keep: Bool[np.ndarray, "b t"] | None
    rows: pd.DataFrame


@dataclass(eq=False)
class Network:
    """A callable network in evaluation mode.

    Attributes
    ----------
    digest : of the weights.
    module : the torch module; its ``named_modules`` are the sites that can be captured.
    encode : turns some lines of a corpus (a table with ``text``) and a greatest length into a `Batch`;
        None for a network that doesn't read text.
    answer : a short human answer, for seeing that the network works: what it takes and gives is said in
        ``answers``.
    """

    name: str
    digest: str
    module: torch.nn.Module
    encode: Callable[[pd.DataFrame, int], Batch] | None = None
    answer: Callable[[Any], Any] | None = None
    answers: str = ""
    tensor_names: Mapping[str, str] = field(default_factory=dict)
    """Checkpoint tensor name to parameter name of ``module``, where they differ."""

    def replace(self, change: Mapping[str, np.ndarray]) -> None:
        """Overwrite weights in place: ``change`` maps a checkpoint's tensor names to new values.

        The digest becomes another one, so that nothing kept for the old weights answers for the new.

        Raises
        ------
        MissingError
            A name has no parameter in the module.
        """
        import torch

        state = self.module.state_dict()
        for name, value in change.items():
            target = self.tensor_names.get(name, name)
            if target not in state:
                raise MissingError(f"{self.name} has no parameter {target!r}. {suggest(target, state)}")
            with torch.no_grad():
                state[target].copy_(torch.tensor(np.ascontiguousarray(value)).reshape(state[target].shape))
        self.digest = digest("replaced", self.digest, {name: digest(value) for name, value in change.items()})
