"""Affine edits: what a module puts out moved, projected or erased along some directions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.edit import Edit
from workbench.core.errors import DataError
from workbench.core.lazy import frozen

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False, repr=False)
class Affine(Edit):
    """What a module puts out, x (..., d), becomes ``x + (x @ right.T) @ left.T + shift``.

    With k directions the two factors take 2kd numbers and not d². It covers a steering vector (`adding`), a direction
    projected out (`projecting_out`), LEACE's eraser (``left = -proj_left``, ``right = proj_right``, ``shift =
    proj_left @ proj_right @ bias``) and any affine map (``left = A - I``, ``right = I``).

    Parameters
    ----------
    site : the module, as in capture's ``at``; a pattern names several.
    shift : (d,). left, right : (d, k) and (k, d); without them x is only moved.

    Raises
    ------
    DataError
        The shapes don't fit together.

    References
    ----------
    Turner et al. 2023, Activation addition: steering language models without optimization, arXiv:2308.10248;
    Belrose et al. 2023, LEACE: perfect linear concept erasure in closed form, NeurIPS 36.
    """

    kind: ClassVar[str] = "affine"
    site: str
    shift: np.ndarray
    left: np.ndarray | None = None
    right: np.ndarray | None = None

    def __post_init__(self) -> None:
        shift = frozen(self.shift)
        none = shift.ndim != 1 or (self.left is None) != (self.right is None)
        left = frozen(np.zeros((len(shift), 0), np.float32) if self.left is None else self.left)
        right = frozen(np.zeros((0, len(shift)), np.float32) if self.right is None else self.right)
        if none or left.shape != right.shape[::-1] or left.shape[:1] != shift.shape or left.ndim != 2:
            raise DataError(
                f"{self.site}: left is (d, k), right (k, d) and shift (d,); these have the shapes {left.shape}, "
                f"{right.shape} and {shift.shape}."
            )
        for name, array in (("shift", shift), ("left", left), ("right", right)):
            object.__setattr__(self, name, array)

    @classmethod
    def adding(cls, site: str, vector: Any, *, title: str = "") -> Affine:
        """Return the edit that adds a vector (d,): a steering vector."""
        return cls(site, vector, title=title or f"a vector added at {site}")

    @classmethod
    def projecting_out(cls, site: str, directions: Any, *, mean: Any = None, title: str = "") -> Affine:
        """Return the edit after which x has no component along the directions.

        Parameters
        ----------
        directions : (d,) or (k, d), of any length and angle to each other.
        mean : (d,); with it x has the mean's component along them instead of none.

        Raises
        ------
        DataError
            The directions depend on each other, or one is 0.
        """
        given = np.atleast_2d(np.asarray(frozen(directions), np.float64))
        basis, triangle = np.linalg.qr(given.T)
        diagonal = np.abs(np.diag(triangle))
        if len(diagonal) < len(given) or (diagonal <= 1e-10 * np.linalg.norm(given, axis=1).max()).any():
            raise DataError(
                f"{site}: {len(given)} directions of {given.shape[1]} numbers depend on each other (or one is 0): leave out "
                f"those that others give."
            )
        centre = np.zeros(given.shape[1]) if mean is None else np.asarray(frozen(mean), np.float64)
        basis = basis.astype(np.float32)
        said = title or f"{len(given)} direction{'s' * (len(given) > 1)} projected out at {site}"
        return cls(site, (basis @ (basis.T @ centre)).astype(np.float32), -basis, basis.T, title=said)

    @property
    def sites(self) -> Collection[str]:
        return (self.site,)

    def at_site(self, site: str) -> Callable[[torch.Tensor], torch.Tensor]:
        import torch

        # Only numbers, and no memory of devices: capture digests what a hook holds, so as to know when it is the same one.
        left, right, shift = (torch.tensor(part) for part in (self.left, self.right, self.shift))

        def apply(x: torch.Tensor) -> torch.Tensor:
            if x.shape[-1] != len(shift):
                raise DataError(
                    f"{site} puts out the shape {tuple(x.shape)}, and this acts on {len(shift)} numbers along the last "
                    f"dimension. Choose another site, or write a SiteFunction."
                )
            return x + (x @ right.to(x).T) @ left.to(x).T + shift.to(x)

        return apply

    def scaled(self, factor: float) -> Edit:
        if self.right is not None and len(self.right):  # what a projection took can't be put back
            return super().scaled(factor)
        return replace(self, shift=self.shift * self.shift.dtype.type(factor), title="", run=None)
