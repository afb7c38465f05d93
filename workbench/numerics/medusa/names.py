"""Names of MEDUSA's switches, for those who offer them without loading torch."""

from typing import Literal

Scheme = Literal["euler", "milstein", "derivative_free_milstein", "srk"]
Outcome = Literal["finished", "diverged"]
