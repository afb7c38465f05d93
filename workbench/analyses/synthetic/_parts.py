"""What methods of a real series and a synthetic one share: their parts, brought to one scale, and refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.numerics.likeness.blocks import Pairs, memory_of, pair
from workbench.subjects.series import Series

if TYPE_CHECKING:
    from jaxtyping import Float

HeldOut = Annotated[
    float,
    Interval(ge=0.1, le=0.9),
    Doc("Share of the real series' end that the synthetic one wasn't made from; what is compared with."),
]
Width = Annotated[int, Interval(ge=2, le=64), Doc("Steps of a window.")]
FEWEST = 12  # steps of a part


@dataclass(frozen=True, eq=False)
class Parts:
    """Both series in units of the spread of the real one's first part, its mean at 0.

    Attributes
    ----------
    known : (n, c) the real series before what is held out. held : (h, c). made : (m, c) the synthetic one.
    memory : steps that the real series remembers for.
    """

    known: Float[np.ndarray, "n c"]
    held: Float[np.ndarray, "h c"]
    made: Float[np.ndarray, "m c"]
    memory: int

    def pairs(self, width: int, real: Series, made: Series, seed: int) -> Pairs:
        """Stretches of what is held out and of the synthetic series."""
        found = pair(self.held, self.made, width, self.memory, seed)
        if found is None:
            raise DataError(
                f"width={width} takes 2 stretches of {2 * width} steps: {real.name} has {len(self.held):,} held out and {made.name} "
                f"{len(self.made):,}. Lower width, or give more steps."
            )
        return found


def parts_of(real: Series, made: Series, held_out: float) -> Parts:
    """Cut the real series, and bring both to one scale.

    Raises
    ------
    DataError
        Other channels, too few steps, or a channel that is constant in the real series' first part.
    """
    if real.channels != made.channels:
        raise DataError(
            f"{real.name} has the channels {', '.join(real.channels)} and {made.name} {', '.join(made.channels)}: they have to be "
            "the same, in the same order. Name them alike, or choose those that both have."
        )
    x, y = real.values.astype(np.float64), made.values.astype(np.float64)
    cut = len(x) - round(held_out * len(x))
    known, held = x[:cut], x[cut:]
    for name, part in (
        (f"{real.name} before what is held out", known),
        (f"what is held out of {real.name}", held),
        (made.name, y),
    ):
        if len(part) < FEWEST:
            raise DataError(f"{name} has {len(part)} steps; {FEWEST} or more can be compared.")
    still = np.flatnonzero(np.ptp(known, axis=0) == 0)
    if len(still):
        raise DataError(
            f"Channel {real.channels[still[0]]!r} of {real.name} is constant before what is held out. Leave it out."
        )
    mean, spread = known.mean(axis=0), known.std(axis=0)
    return Parts(
        (known - mean) / spread, (held - mean) / spread, (y - mean) / spread, memory_of((x - mean) / spread)
    )
