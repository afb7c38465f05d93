"""Checkpoints: named weights, read when asked for, and edits of them kept as differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, MissingError, ViewError, suggest
from workbench.core.patterns import matching
from workbench.core.rows import floats, owned, require_finite
from workbench.core.subject import Subject
from workbench.core.view import View

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Matrix(View):
    """One weight matrix: ``values`` (n, m) float32, finite; ``noise`` says what quantization did to it, or is empty."""

    needs: ClassVar[str] = "one weight matrix (n x m)"
    values: Float[np.ndarray, "n m"]
    noise: str = ""


@dataclass(frozen=True)
class TensorInfo:
    """What a checkpoint says of one tensor before it is read.

    Attributes
    ----------
    dtype : as stored (``BF16``, ``Q4_1`` ...). nbytes : as stored. noise : what quantization did, or "".
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    file: str = ""
    noise: str = ""


class Checkpoint(Subject, Mapping[str, np.ndarray]):
    """Named weights, read one by one as float32 when asked for.

    Parameters
    ----------
    tensors : what is there, from the headers alone.
    read : reads one tensor by name; float tensors come as float32, integer ones as they are.
    content : gives the digest when it is first asked for.
    config : the network's own configuration, if it has one.
    load : builds the callable network, for those that have an architecture; see `network`.
    """

    def __init__(
        self,
        tensors: Mapping[str, TensorInfo],
        read: Callable[[str], np.ndarray],
        *,
        name: str,
        content: Callable[[], str],
        config: Mapping[str, Any] | None = None,
        load: Callable[[], Any] | None = None,
        source: str = "",
    ):
        self.name = name
        self.tensors = dict(tensors)
        self.config = dict(config or {})
        self.source = source
        self._read = read
        self._content = content
        self._load = load

    narrows: ClassVar[Mapping[type[View], str]] = {Matrix: "embeddings.word_embeddings.weight"}
    typed: ClassVar[str] = "minilm"

    @classmethod
    def example(cls, variant: int = 0) -> Checkpoint:
        """A matrix of 40 x 24 with one strong direction, and a vector."""
        rng = np.random.default_rng(variant)
        weights = rng.standard_normal((40, 24)).astype(np.float32)
        weights += 2 * np.outer(rng.standard_normal(40), rng.standard_normal(24)).astype(np.float32)
        arrays = {"w": owned(weights), "b": owned(np.ones(24, np.float32))}
        tensors = {n: TensorInfo(n, a.shape, "F32", a.nbytes) for n, a in arrays.items()}
        return cls(tensors, arrays.__getitem__, name="toy", content=lambda: digest(*arrays.values()))

    @cached_property
    def digest(self) -> str:
        return self._content()

    @property
    def holds(self) -> str:
        count = sum(int(np.prod(t.shape)) for t in self.tensors.values())
        noisy = Counter(t.noise for t in self.tensors.values() if t.noise)
        stored = "".join(f"; {n:,} of the tensors in {noise}" for noise, n in noisy.items())
        return f"a checkpoint of {len(self.tensors):,} tensors, {count:,} numbers{stored}"

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.tensors:
            raise MissingError(f"{self.name} has no tensor {name!r}. {suggest(name, self.tensors)}")
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __hash__(self) -> int:
        return hash(self.digest)

    def at(self, *patterns: str) -> Checkpoint:
        """Return the tensors whose names match one of the patterns (see `core.patterns`); refused with what exists."""
        for pattern in patterns:
            if not matching(self.tensors, pattern):
                raise MissingError(f"{self.name} has no tensor {pattern!r}. {suggest(pattern, self.tensors)}")
        found = {n: self.tensors[n] for n in matching(self.tensors, patterns)}
        made = Checkpoint(
            found,
            self._read,
            name=self.name,
            content=lambda: digest("tensors", self.digest, sorted(found)),
            config=self.config,
            source=self.source,
        )
        label = next(iter(found)) if len(found) == 1 < len(self.tensors) else ""
        return self.derived(made, "at", label, {"*": patterns})

    def parts(self, kind: type[View] | None = None) -> tuple[str, ...]:
        """The tensors, where there are several; as a matrix those of two dimensions or more, the one of most numbers last."""
        if kind not in (None, Matrix) or len(self.tensors) < 2:
            return ()
        names = [n for n, t in self.tensors.items() if kind is None or len(t.shape) > 1]
        return tuple(sorted(names, key=lambda n: self.tensors[n].nbytes))

    def edited(self, change: Mapping[str, np.ndarray], *, by: str) -> EditedCheckpoint:
        """Return a checkpoint with some tensors replaced; ``undo`` gives this one back."""
        return EditedCheckpoint(self, change, by)

    @property
    def has_network(self) -> bool:
        """Whether `network` can build one."""
        return self._load is not None

    def network(self) -> Any:
        """Build the network that these weights belong to, ready to be called and captured.

        Raises
        ------
        ViewError
            The checkpoint names no architecture that is known here.
        """
        if self._load is None:
            raise ViewError(
                f"{self.name} holds weights without an architecture that is known here. Build your torch.nn.Module, "
                f"load the weights into it and pass the module to workbench.capture."
            )
        network = self._load()
        network.name = self.name
        return network

    def as_matrix(self) -> Matrix:
        if len(self.tensors) != 1:
            two = [n for n, t in self.tensors.items() if len(t.shape) == 2]
            example = f", for example .at({two[0]!r})" if two else ""
            raise ViewError(
                f"{self.name} holds {len(self.tensors)} tensors and this needs one: choose with .at(name){example}."
            )
        (name,) = self.tensors
        values = self[name]
        if values.ndim < 2:
            raise ViewError(f"{name} has the shape {values.shape}; this needs a matrix (n x m).")
        values = floats(values.reshape(len(values), -1))
        require_finite(values, self.name)
        return Matrix(self.name, self.digest, self.digest, values, self.tensors[name].noise)


class EditedCheckpoint(Checkpoint):
    """A checkpoint under an edit, kept as the difference; the base is untouched and comes back with `undo`.

    Attributes
    ----------
    base : what was edited. change : the tensors that differ, as they are now. by : what changed them.
    """

    def __init__(self, base: Checkpoint, change: Mapping[str, np.ndarray], by: str):
        for name, value in change.items():
            if name not in base.tensors:
                raise MissingError(f"{base.name} has no tensor {name!r}. {suggest(name, base.tensors)}")
            if tuple(value.shape) != base.tensors[name].shape:
                raise DataError(
                    f"{name}: an edit keeps the shape {base.tensors[name].shape}; this gave {value.shape}."
                )
        self.base, self.change, self.by = base, dict(change), by
        super().__init__(
            base.tensors,
            self._look_up,
            name=f"{base.name} ({by})",
            config=base.config,
            source=base.source,
            content=lambda: digest("edit", base.digest, {n: digest(v) for n, v in change.items()}),
            load=None if base._load is None else self._load_edited,
        )

    def _look_up(self, name: str) -> np.ndarray:
        return self.change[name] if name in self.change else self.base[name]

    def _load_edited(self) -> Any:
        network = self.base.network()
        network.replace(self.change)
        network.digest = self.digest
        return network

    def undo(self) -> Checkpoint:
        """Return the checkpoint as it was before this edit."""
        return self.base
