"""What the methods that prove things take alike."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval
from typing_extensions import Doc

Low = Annotated[float | None, Doc("What every input is at least, on the domain that the claim is about; None: no bound.")]
High = Annotated[float | None, Doc("What every input is at most; None: no bound.")]
Samples = Annotated[int, Interval(ge=1, le=10_000_000), Doc("Inputs that are drawn from the domain.")]
