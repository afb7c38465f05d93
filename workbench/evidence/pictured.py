"""Claims as a picture in a notebook's cell: the rows and strips of a report's page, in the colours of the notebook's theme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from workbench.core.digest import digest
from workbench.core.markup import breakable
from workbench.evidence.claims import ORDER
from workbench.evidence.strips import hatch, strip

EXPLAINED = {
    "beyond chance": "also after correction for every question asked",
    "in others too": "beyond chance, but a network in which there is nothing has as much",
    "too few draws to tell": "beyond every draw of its control, which were too few for all that was asked: n_null= draws more",
    "could be chance": "not told from a control: nothing is claimed",
    "not tested": "a number without a test",
}
"""What each verdict of a claim means."""


def written(name: str) -> str:
    """The text of a file that lies beside this one, such as ``claims.css``."""
    return files("workbench.evidence").joinpath(name).read_text(encoding="utf-8")


def by_verdict(claims: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Claims (`Claim.to_json`) that have a verdict in common, and what it means; what holds first."""
    groups = [
        {"verdict": v, "means": EXPLAINED[v], "claims": [c for c in claims if c["verdict"] == v]}
        for v in ORDER
    ]
    return [g for g in groups if g["claims"]]


def pictured(claims: Sequence[Mapping[str, Any]], note: str) -> str:
    """Claims as the HTML of a cell: drawn without a script, inert, light or dark as the notebook is.

    Parameters
    ----------
    claims : as `Claim.to_json` gives them. note : what stands under them.
    """
    from jinja2 import Environment, FunctionLoader, select_autoescape

    # a pattern is found by its id in the whole notebook, also where another cell's is out of sight and draws nothing
    id = f"hatch-{digest('pictured', list(claims))[:12]}"
    rules = written("claims.css").replace("#hatch", f"#{id}")
    template = Environment(autoescape=select_autoescape(default=True), loader=FunctionLoader(written))
    template.filters["breakable"] = breakable
    return template.get_template("cell.html.j2").render(
        style=f".wb-findings {{\n{rules}}}\n{written('cell.css')}",  # rules of the cell's own come last
        hatch=hatch(id),
        groups=by_verdict(claims),
        claims=claims,
        strip=strip,
        note=note,
    )
