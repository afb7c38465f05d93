"""Points of a fractal as addresses: words of maps that contract, each with one fixed point, and back from point to word.

What is stored in this way is the word itself. Arbitrary values need a table of as many leaves as there are words, and the maps
then only find the leaf, as product keys do (Lample et al. 2019, 1907.05242).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product as words_of

import torch


@dataclass(frozen=True, eq=False)
class Maps:
    """f_i(x) = s A_i x + t_i, with A_i orthogonal and 0 < s < 1.

    Attributes
    ----------
    turns : (m, e, e), orthogonal. shifts : (m, e). scale : s.

    References
    ----------
    Hutchinson 1981, Fractals and self similarity; Barnsley 1988, Fractals everywhere.
    """

    turns: torch.Tensor
    shifts: torch.Tensor
    scale: float

    @classmethod
    def drawn(cls, maps: int, size: int, scale: float, seed: int) -> Maps:
        """Maps whose turns are drawn from all rotations and reflections, and shifts from the unit sphere."""
        own = torch.Generator().manual_seed(seed)
        turns = torch.linalg.qr(torch.randn(maps, size, size, generator=own, dtype=torch.float64)).Q
        shifts = torch.randn(maps, size, generator=own, dtype=torch.float64)
        return cls(turns, shifts / shifts.norm(dim=-1, keepdim=True), scale)

    def words(self, length: int) -> torch.Tensor:
        """All (m^length, length) words."""
        return torch.tensor(list(words_of(range(len(self.turns)), repeat=length)))

    def along(self, words: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Points (n, e) moved by the maps of words (n, length), the last letter first."""
        for letter in words.flip(-1).unbind(-1):
            x = self.scale * (self.turns[letter] @ x[..., None])[..., 0] + self.shifts[letter]
        return x

    def fixed_points(self, words: torch.Tensor) -> torch.Tensor:
        """The points (n, e) that the maps of words (n, length) leave where they are: (1 - sᴷ A_w)⁻¹ t_w."""
        e = self.shifts.shape[-1]
        turn = torch.eye(e, dtype=self.shifts.dtype).expand(len(words), e, e)
        for letter in words.unbind(-1):
            turn = self.scale * turn @ self.turns[letter]
        moved = self.along(words, torch.zeros(len(words), e, dtype=self.shifts.dtype))
        return torch.linalg.solve(torch.eye(e, dtype=turn.dtype) - turn, moved)

    def decoded(self, points: torch.Tensor, length: int) -> torch.Tensor:
        """Words (n, length) of points (n, e), letter by letter: the map whose piece has its centre nearest, undone."""
        mean = self.scale * self.turns.mean(0)
        centre = torch.linalg.solve(torch.eye(len(mean), dtype=mean.dtype) - mean, self.shifts.mean(0))
        centres = self.scale * self.turns @ centre + self.shifts
        letters = []
        for _ in range(length):
            letter = torch.cdist(points, centres).argmin(-1)
            letters.append(letter)
            back = (points - self.shifts[letter]) / self.scale
            points = (self.turns[letter].mT @ back[..., None])[..., 0]
        return torch.stack(letters, -1)
