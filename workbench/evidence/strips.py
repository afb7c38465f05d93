"""A claim as a strip: its number with the interval, and the bands of its controls, on one axis.

Drawn when the page is made, as SVG of the page's own, so that it needs no script and is sharp in print. Places along the axis
are shares of the width: a strip is as wide as there is room, and its text stays the size that it is.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import Any

HEIGHT = 66
LANES = {"chance": (22, 10), "network": (33, 10)}
"""Top and height of the band of each kind of control: where two overlap, both are seen."""
MARK, AXIS = 32.5, 48
ROOM = 0.08  # of the axis, left free on either side
MOST_TICKS = 3


def hatch(id: str = "hatch") -> str:
    """What fills the bands of networks, once a page or a cell: told from the bands of chance without colour."""
    return (
        f'<svg class="hatch" width="0" height="0" aria-hidden="true"><defs><pattern id="{html.escape(id)}" width="6" height="6" '
        'patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="ground" width="6" height="6"/>'
        '<line class="stripe" x1="0" y1="0" x2="0" y2="6"/></pattern></defs></svg>'
    )


def strip(claim: Mapping[str, Any]) -> str:
    """Return the strip of a claim (`Claim.to_json`); "" where it has no number."""
    value = claim["value"]
    if value is None:
        return ""
    bands = [b for b in claim["bands"] if b["low"] is not None and b["high"] is not None]
    interval = claim["interval"] if claim["interval"] and None not in claim["interval"] else None
    ends = [value, *(interval or ()), *(x for b in bands for x in (b["low"], b["high"]))]
    low, high = min(ends), max(ends)
    room = ROOM * (high - low) or abs(value) * ROOM or 1.0
    low, high = low - room, high + room

    def at(x: float) -> str:
        return f"{100 * (x - low) / (high - low):.2f}%"

    def across(a: float, b: float) -> str:
        return f"{max(100 * (b - a) / (high - low), 0.4):.2f}%"

    drawn = [f'<line class="axis" x1="0" x2="100%" y1="{AXIS}" y2="{AXIS}"/>']
    for tick in ticks(low, high):
        drawn.append(f'<line class="axis" x1="{at(tick)}" x2="{at(tick)}" y1="{AXIS}" y2="{AXIS + 4}"/>')
        drawn.append(_text(f"{tick:.6g}", at(tick), HEIGHT - 4, "tick"))
    for band in bands:
        top, height = LANES[band["kind"]]
        said = f"{band['says']}: {short(band['low'])} to {short(band['high'])}"
        drawn.append(
            f'<rect class="{band["kind"]}" x="{at(band["low"])}" width="{across(band["low"], band["high"])}" y="{top}" '
            f'height="{height}"><title>{html.escape(said)}</title></rect>'
        )
    if interval:
        a, b = map(at, interval)
        drawn.append(f'<line class="interval" x1="{a}" x2="{b}" y1="{MARK}" y2="{MARK}"/>')
        drawn += [
            f'<line class="interval" x1="{x}" x2="{x}" y1="{MARK - 5}" y2="{MARK + 5}"/>' for x in (a, b)
        ]
    drawn.append(f'<circle class="mark" cx="{at(value)}" cy="{MARK}" r="5.5"/>')
    drawn.append(_text(short(value), at(value), 14, "value"))
    return (
        f'<svg class="strip" width="100%" height="{HEIGHT}" role="img" aria-label="{html.escape(in_words(claim))}">'
        f"{''.join(drawn)}</svg>"
    )


def in_words(claim: Mapping[str, Any]) -> str:
    """What a strip shows, for who doesn't see it."""
    said = [f"{claim['label']}: {short(claim['value'])}"]
    if claim["interval"] and None not in claim["interval"]:
        share = "interval of at least 95 %" if claim["conservative"] else "95 % interval"
        said.append(f"{share} {short(claim['interval'][0])} to {short(claim['interval'][1])}")
    said += [
        f"{b['says']} {short(b['low'])} to {short(b['high'])}" for b in claim["bands"] if b["low"] is not None
    ]
    return "; ".join(said)


def ticks(low: float, high: float) -> list[float]:
    """A few round numbers on an axis."""
    step = 10.0 ** math.floor(math.log10(high - low))
    while (high - low) / step > MOST_TICKS:
        step *= 2.5 if f"{step:e}".startswith("2") else 2
    while (high - low) / step < 1.5:
        step /= 2
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)]


def short(value: float | None) -> str:
    """A number with as many digits as a reader takes in."""
    if value is None:
        return "?"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _text(text: str, x: str, y: float, name: str) -> str:
    """A number at a place, kept inside at the ends."""
    share = float(x[:-1])
    anchor = "start" if share < 8 else "end" if share > 92 else "middle"
    return f'<text class="{name}" x="{x}" y="{y}" text-anchor="{anchor}">{html.escape(text)}</text>'
