"""What stands inside a page: JSON that can't act, plotly, and the hash by which a page's policy lets a script run."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from typing import Any


def inert_json(data: Any) -> str:
    """JSON that can stand inside a script element: no ``<`` survives, so nothing can close or open one."""
    return (
        json.dumps(data, separators=(",", ":"))
        .replace("<", "\\u003c")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def script_hash(script: str) -> str:
    """The source expression that lets a content security policy run this script and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def policy(*scripts: str) -> str:
    """The content security policy of a page that runs these scripts alone, fetches nothing and sends nothing."""
    allowed = f"; script-src {' '.join(map(script_hash, scripts))} 'unsafe-eval'" if scripts else ""
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; font-src data:; "
        f"style-src 'unsafe-inline'{allowed}"
    )


@cache
def plotly_script() -> str:
    """Plotly, to stand inside a page."""
    from plotly.offline import get_plotlyjs

    # A script ends at the first closing tag that the parser sees, also inside a string.
    return get_plotlyjs().replace("</script", "<\\/script")
