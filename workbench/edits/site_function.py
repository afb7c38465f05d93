"""Functions at a site: any function of what a module puts out, for as long as the process lives."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from workbench.core.digest import digest
from workbench.core.edit import Edit
from workbench.core.errors import ViewError
from workbench.core.lazy import LazyTensor

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False, repr=False)
class SiteFunction(Edit):
    """What a module puts out becomes what a function of Python gives for it.

    What a function does can't be digested or saved: two edits are never the same, though they hold one function, and an
    edit is taken to do what it did when it was made. Where an `Affine` does it, that can be saved.

    Parameters
    ----------
    site : the module, as in capture's ``at``; a pattern names several.
    function : from the first tensor that it puts out to one of the same shape.
    """

    kind: ClassVar[str] = "site_function"
    site: str
    function: Callable[[torch.Tensor], torch.Tensor]
    identity: str = field(default_factory=lambda: uuid.uuid4().hex, init=False)

    @cached_property
    def digest(self) -> str:
        return digest(self.kind, self.site, self.identity)

    @property
    def sites(self) -> Collection[str]:
        return (self.site,)

    @property
    def words(self) -> str:
        return f"{getattr(self.function, '__name__', 'a function')} at {self.site}"

    def at_site(self, site: str) -> Callable[[torch.Tensor], torch.Tensor]:
        return self.function

    def packed(self) -> tuple[dict[str, Any], dict[str, LazyTensor]]:
        raise ViewError(
            f"{self.label} is a function of Python, which isn't saved, because loading it would run code. Save an Affine where "
            f"one does the same, or the code that makes the edit."
        )
