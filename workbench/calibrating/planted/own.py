"""What reports of own networks are tried on: networks that read made-up texts, those of the atlas, as the report opens them."""

from __future__ import annotations

from typing import Any

from workbench.calibrating.planted import readers

CONTRASTS_ALONE = True
"""No claim about a network rests on intervals or on the nulls of single questions, which are left out."""
PARAMETERS = readers.PARAMETERS
KINDS = {kind: readers.KINDS[kind] for kind in ("untrained", "label", "groups", "flat")}


def opened(kind: str, seed: int) -> dict[str, Any]:
    """The network, and the table of the texts that it reads."""
    return {
        "random_state": 1000 * seed,
        "thing": readers.network(kind, 1000 * seed),
        "corpus": readers.texts(seed).table,
    }
