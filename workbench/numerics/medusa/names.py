"""Names of MEDUSA's switches, for those who offer them without loading torch."""

from typing import Literal, get_args

Scheme = Literal["euler", "milstein", "derivative_free_milstein", "srk"]
Outcome = Literal["finished", "diverged"]
Aspect = Literal["level", "change", "extremes", "events"]
ASPECTS: tuple[Aspect, ...] = get_args(Aspect)
