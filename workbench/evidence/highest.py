"""The highest of several answers: which it may be, where each has an interval."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from workbench.core.evidence import Evidence

LEVEL = 0.05  # at which an interval misses


def possibly_highest(
    answers: Mapping[str, Evidence], *, lowest: bool = False, level: float = LEVEL
) -> list[str]:
    """Return which of several answers may be the highest: all that none of the others surely exceeds.

    The truly highest is among them with probability 1 - ``level`` or more, whatever the others are; where several are equal,
    a single one is left by chance less often than that. Intervals are taken for independent: of answers that rise and fall
    together (layers that read the same texts) more are left than have to be. An answer without an interval, or with one that isn't finite,
    excludes none and can't be excluded.

    Parameters
    ----------
    lowest : which may be the lowest instead.

    References
    ----------
    Hsu 1984, Constrained simultaneous confidence intervals for multiple comparisons with the best, Ann. Statist. 12; Mogstad,
    Romano, Shaikh and Wilhelm 2024, Inference for ranks with applications to mobility across neighbourhoods, Rev. Econ.
    Stud. 91. With Bonferroni's bound over the others in place of their bootstrap, since an answer comes with its interval.
    """
    from scipy.special import ndtri

    wider = ndtri(1 - level / max(1, len(answers) - 1)) / ndtri(1 - LEVEL / 2)

    def exceeds(a: Evidence, b: Evidence) -> bool:
        if a.interval is None or b.interval is None:
            return False
        return a.value - b.value > wider * np.hypot(a.value - a.interval[0], b.interval[1] - b.value)

    def beaten(name: str) -> bool:
        own = answers[name]
        return any(exceeds(own, other) if lowest else exceeds(other, own) for other in answers.values())

    return [name for name in answers if not beaten(name)]
