"""Networks of files, which are made only where somebody calls them.

To make one takes seconds: torch, transformers and the weights are loaded. A report whose answers were all kept needs none of
that, only what the network is called and which capture is of it. Both are written down when the network was made of these very
files by this very code, in a process in which nobody else had imported torch before, so that nothing was set or patched; and
they are believed in such a process alone. Everywhere else the network is made, and its own digest says which capture is of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core import cache
from workbench.core.digest import digest
from workbench.core.errors import FormatError
from workbench.core.parameters import require_integer
from workbench.core.run import versions
from workbench.core.storage import writing
from workbench.core.stored import read_json
from workbench.core.version import source_digest
from workbench.subjects.network import DrawnNetwork, Network

if TYPE_CHECKING:
    import torch

MOST_NOTES, MOST_CAPTURES = 256, 64  # files that are kept, and captures that one of them names
_MAX_NOTE = 1 << 20  # bytes
_OF_THE_MADE = frozenset({"encode", "ask", "answers", "tensor_names", "note", "prepare"})
_LIBRARIES = ("tokenizers", "safetensors", "gguf")  # beside those whose versions every run records
_DIGEST = re.compile(r"[0-9a-f]{32}")


_as_made: dict[str, str] = {}
"""Origin to identity. A network that was let go is made again in a process that has imported torch by then."""


def untouched() -> bool:
    """Whether nobody in this process can have set or patched what a network is made of."""
    return not {"torch", "transformers"} & sys.modules.keys()


def origin_of(content: str) -> str:
    """Digest of the files of a network and of the code that makes it of them; "" where the files were digested in samples.

    Parameters
    ----------
    content : digest of the weights and of what belongs to the network beside them.
    """
    if content.startswith("sampled-"):
        return ""
    code = [source_digest(f"workbench.{part}").hex() for part in ("io", "capturing", "subjects.file_network")]
    found = {d.name: d.version for n in _LIBRARIES for d in metadata.distributions(name=n)}
    return digest("network of files", content, code, versions(), found)


@dataclass(frozen=True)
class Known:
    """What is known of a network that isn't made.

    Attributes
    ----------
    identity : as `Network.identity` had it. holds : what it is, in words.
    drawn : whether its own initializer surely draws every weight; None where that wasn't asked.
    captures : digest of what was asked of it and of the texts, to the key of the capture.
    """

    identity: str
    holds: str
    drawn: bool | None = None
    captures: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, origin: str) -> Known | None:
        """What is known of an origin; None where nothing is, or what there is can't be read."""
        try:
            raw = read_json(_note(origin), _MAX_NOTE)
            found = cls(str(raw["identity"]), str(raw["holds"]), raw["drawn"], raw["captures"])
            legal = found.drawn in (None, True, False) and isinstance(found.captures, dict)
            if legal and all(_DIGEST.fullmatch(str(d)) for pair in found.captures.items() for d in pair):
                return found
        except (OSError, FormatError, KeyError, TypeError):
            pass
        return None

    def write(self, origin: str) -> None:
        """Keep it; of many the newest. A cache that can't be written costs time alone."""
        recent = dict(list(self.captures.items())[-MOST_CAPTURES:])
        note = _note(origin)
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            with writing(note) as temporary:
                temporary.write_text(json.dumps(asdict(replace(self, captures=recent))), encoding="utf-8")
            kept = sorted(note.parent.glob("*.json"), key=os.path.getmtime)
            for old in kept[:-MOST_NOTES]:
                old.unlink(missing_ok=True)


def _note(origin: str) -> Path:
    return cache.cache_dir() / "networks" / f"{origin}.json"


class FileNetwork(Network):
    """A network of files. Where it is known already it is made when its module, or what reads texts for it, is asked for.

    Parameters
    ----------
    origin : of `origin_of`, and of how it was drawn; "" where it can't be told.
    make : makes it; called at once where it isn't known.
    """

    def __init__(self, name: str, digest: str, origin: str, make: Callable[[], Network]):
        self.name, self._digest, self._files, self._make = name, digest, origin, make
        self._made: Network | None = None
        self._as_made = (
            ""  # its identity as this process first made it, if nobody can have touched what it is made of
        )
        self._identity = ""  # as it was found last
        believed = origin and untouched() and cache.wanted()
        self._known = Known.read(origin) if believed else None
        if self._known is None:
            self._network()

    def _network(self) -> Network:
        if self._made is None:
            clean = untouched() and bool(self._files)
            self._made = self._make()
            if clean:
                _as_made[self._files] = self.identity
            self._as_made = _as_made.get(self._files, "")
        return self._made

    def __getattr__(self, name: str) -> Any:
        if name in _OF_THE_MADE:
            return getattr(self._network(), name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def module(self) -> torch.nn.Module:
        """The torch module, which is made now where it wasn't yet."""
        return self._network().module

    @property
    def device(self) -> torch.device:
        return self._network().device

    @property
    def pending(self) -> bool:
        return self._made is None or self._made.pending

    @property
    def identity(self) -> str:
        if self._made is None:
            assert self._known is not None
            return self._known.identity
        self._identity = self._made.identity
        return self._identity

    @property
    def holds(self) -> str:
        if self._made is None:
            assert self._known is not None
            return self._known.holds
        return self._made.holds

    def captured(self, asked: str) -> str:
        """The key of the capture that answers what is asked, where that is known though the network isn't made; else ""."""
        if self._made is not None or self._known is None or not untouched():
            return ""
        return self._known.captures.get(asked, "")

    def remember(self, asked: str, key: str, identity: str) -> None:
        """Write down which capture was of it, if it still is what it was made as.

        Parameters
        ----------
        identity : of the network that gave it.
        """
        if self._as_made and identity == self._as_made:
            self._keep(captures={asked: key})

    def _keep(self, *, captures: dict[str, str], drawn: bool | None = None) -> None:
        if not cache.wanted():
            return
        before = Known.read(self._files)
        said = Known(self._as_made, self.holds)
        if before is not None and before.identity == self._as_made:
            said = replace(before, holds=said.holds)
        said = replace(said, captures={**said.captures, **captures})
        (said if drawn is None else replace(said, drawn=drawn)).write(self._files)

    def _untrained(self, random_state: int, how: str, *, later: bool = False) -> Network:
        if not later or how not in ("auto", "drawn") or not self._surely_drawn():
            return super()._untrained(random_state, how, later=later)
        seed = require_integer(random_state, "random_state", "untrained", low=0)
        label = f"weights drawn anew, seed {seed}"
        origin = digest("untrained", self._files, label) if self._files else ""
        made = DrawnFileNetwork(self, seed, label, origin)
        return self.derived(made, "untrained", label, {"random_state": random_state, "how": how})

    def _surely_drawn(self) -> bool:
        """Whether every weight is drawn by the network's own initializer, without drawing any."""
        if self._made is None and untouched() and self._known is not None and self._known.drawn is not None:
            return self._known.drawn
        from workbench.numerics.untrained import draws_all

        found = draws_all(self.module)
        if self._as_made:
            self._keep(captures={}, drawn=found)
        return found


class DrawnFileNetwork(FileNetwork):
    """One whose weights were drawn anew, from the network of its files."""

    def __init__(self, base: FileNetwork, seed: int, label: str, origin: str):
        self._base = base
        make = lambda: DrawnNetwork(base, seed, label)  # noqa: E731
        super().__init__(base.name, digest("untrained", base.digest, label), origin, make)

    def _network(self) -> Network:
        if self._made is None:
            self._made = self._make()
            # it was drawn from what its base was made as, if that is what it was digested as just now
            if self._files and self._base._as_made and self._base._identity == self._base._as_made:
                self._as_made = self._made.identity
        return self._made
