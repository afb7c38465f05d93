"""What training did to a number: the network's, beside those of networks of its architecture that learned nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.core.evidence import Evidence
from workbench.evidence.claims import Claim, Verdict, capital, chance, quote
from workbench.evidence.correction import Finding

UNTRAINED = "untrained networks"


@dataclass(frozen=True, eq=False)
class Contrast:
    """A number of a network beside those of untrained ones; what is claimed is known when all are.

    Attributes
    ----------
    what, less, more, at, meaning, leads : as `Findings.contrast` takes them.
    answer : the mean over all places, beside one untrained network more.
    trained : the network's answers, by place. others : those of each untrained network.
    key : of the contrast. keys, method : of the runs that the network's answers are of.
    """

    what: str
    less: str
    more: str
    at: str
    meaning: str
    leads: bool
    answer: Evidence
    trained: Mapping[str, Evidence]
    others: Mapping[str, Sequence[Evidence]]
    key: str
    keys: tuple[str, ...]
    method: str

    def claim(self, finding: Finding) -> Claim:
        """The claim, the number over all, and where the network differs most."""
        e = self.answer
        subject = e.label + (f", {e.of}" if e.of and e.of not in e.label else "")
        said = f"{capital(subject)}: not told from {UNTRAINED}"
        verdict: Verdict = "could be chance"
        if finding.q_value is None:
            said, verdict = capital(subject), "not tested"
        more = e.value > np.median(e.null_values) if e.null_values else True
        if finding.found:
            said, verdict = self.what.replace("{}", self.more if more else self.less), "beyond chance"
        over = f"mean of {len(self.trained)}: " if len(self.trained) > 1 else ""
        numbers = [over + quote(finding)]
        gaps = {
            n: t.value - float(np.mean([o.value for o in self.others[n]] or [np.nan]))
            for n, t in self.trained.items()
        }
        if finding.found and len(gaps) > 1:
            most = (max if more else min)(gaps, key=lambda n: gaps[n])
            drawn = [o.value for o in self.others[most]]
            numbers.append(
                f"the difference is greatest {self.at} {most}: {self.trained[most].quote_interval()}, and {min(drawn):.3g} to "
                f"{max(drawn):.3g} in {len(drawn)} {UNTRAINED}"
            )
        networks = chance([e])
        if networks:
            networks = networks._replace(kind="network", says=UNTRAINED)
        own = chance(list(self.trained.values()))
        return Claim(
            claim=said,
            numbers=tuple(numbers),
            meaning=self.meaning,
            verdict=verdict,
            finding=finding,
            bands=tuple(b for b in (own, networks) if b),
            judged_by=(networks,) if networks else (),
            keys=self.keys,
            method=self.method,
            leads=self.leads,
        )
