"""What a named hypothesis is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.core.evidence import Alternative
from workbench.numerics.controls import Drawn


@dataclass(frozen=True)
class Null:
    """A hypothesis that a sceptic may hold about any data of a kind.

    Attributes
    ----------
    name : of its file, in snake_case.
    hypothesis : what is true where it is, as a clause.
    drawn : what its draws are, in a few words that stand behind "with".
    """

    name: str
    hypothesis: str
    drawn: str

    def said(
        self, values: Sequence[float] | Drawn, alternative: Alternative = "greater", *, details: str = ""
    ) -> dict[str, Any]:
        """The fields of `Evidence` that say what a number was tested against.

        Parameters
        ----------
        values : the draws, or a `Drawn`, whose member is named in the details.
        details : what else is to be known of them.
        """
        of = ""
        if isinstance(values, Drawn):
            of, values = values.of, values.values.tolist()
        details = ", ".join(filter(None, (f"the nearest of them {of}" if of else "", details)))
        return {
            "null": self.drawn if values else "",
            "null_name": self.name if values else "",
            "null_details": details if values else "",
            "hypothesis": self.hypothesis,
            "null_values": tuple(values),
            "alternative": alternative,
        }

    def refused(self, why: str, alternative: Alternative = "greater") -> dict[str, Any]:
        """The fields of `Evidence` of a number that can't be tested: why not."""
        return {"hypothesis": self.hypothesis, "alternative": alternative, "untested": why}
