"""Checkpoints: named weights, read when asked for, under edits that are computed as they are read."""

from __future__ import annotations

import re
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from workbench.core.digest import digest
from workbench.core.edit import Edit, Editable, changed, edited_digest, titles
from workbench.core.errors import MissingError, ViewError, suggest
from workbench.core.lazy import LazyTensor, Tensors
from workbench.core.lineage import Origin
from workbench.core.patterns import matching
from workbench.core.rows import floats, frozen, owned, require_finite
from workbench.core.subject import Subject, as_subject
from workbench.core.view import View
from workbench.numerics.floats import as_numbers
from workbench.subjects.experts import experts_of, infos_apart
from workbench.subjects.network import Network
from workbench.subjects.own_kinds import kind_of
from workbench.subjects.saving import Saved, as_written, refuse_own_files, save_file, save_folder

if TYPE_CHECKING:
    from jaxtyping import Float

SHOWN = 5  # names of what was set aside


@dataclass(frozen=True, eq=False)
class Matrix(View):
    """One weight matrix: ``values`` (n, m), finite; ``noise`` says what quantization did to it, or is empty.

    The values are float32, of a matrix of complex numbers complex64 (or of double precision as they were given).
    """

    needs: ClassVar[str] = "one weight matrix (n x m)"
    values: Float[np.ndarray, "n m"]
    noise: str = ""


@dataclass(frozen=True)
class TensorInfo:
    """What a checkpoint says of one tensor before it is read.

    Attributes
    ----------
    dtype : as stored (``BF16``, ``Q4_1`` ...). nbytes : as stored. noise : what quantization did, or "".
    packed : where its integers are codes of quantized weights, how they came to be; or "".
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    file: str = ""
    noise: str = ""
    packed: str = ""

    @property
    def floating(self) -> bool:
        """Whether it holds floating point, quantized or not, rather than integers, booleans or complex numbers."""
        return re.fullmatch(r"[IU]\d+|BOOL|C\d+|COMPLEX\d+", self.dtype) is None


class Checkpoint(Subject, Tensors, Editable["Checkpoint"]):
    """Named weights, read one by one as float32 when asked for.

    ``checkpoint + edit`` is another one, in which a tensor is changed when it is read; ``- edit`` and `undo` take
    edits away again.

    Parameters
    ----------
    tensors : what is there, from the headers alone.
    read : reads one tensor by name, whole or lazily; float tensors come as float32, integer ones as they are.
    content : gives the digest when it is first asked for.
    config : the network's own configuration, if it has one.
    load : builds the callable network, for those that have an architecture; see `network`.
    stored : gives a tensor's numbers as they lie in the file (of bfloat16 the codes), where that is known of it.
    beside : files that belong to the network too (configuration, tokenizer); `save` copies them.
    aside : names of what else the file holds and isn't opened (an optimizer's state, numbers, objects).
    """

    needs: ClassVar[str] = "a checkpoint (named weights)"

    def __init__(
        self,
        tensors: Mapping[str, TensorInfo],
        read: Callable[[str], np.ndarray | LazyTensor],
        *,
        name: str,
        content: Callable[[], str],
        config: Mapping[str, Any] | None = None,
        load: Callable[[], Any] | None = None,
        source: str = "",
        stored: Callable[[str], LazyTensor | None] = lambda name: None,
        beside: Sequence[Path] = (),
        aside: Sequence[str] = (),
    ):
        self.name = name
        self.tensors = dict(tensors)
        self.config = dict(config or {})
        self.source = source
        self._read = read
        self._content = content
        self._load = load
        self._stored = stored
        self._shared: weakref.ref[Network] | None = None
        self.beside = tuple(beside)
        self.aside = tuple(aside)

    narrows: ClassVar[Mapping[type[View], str]] = {Matrix: "embeddings.word_embeddings.weight"}
    typed: ClassVar[str] = "minilm"

    @classmethod
    def example(cls, variant: int = 0) -> Checkpoint:
        """A matrix of 40 x 24 with one strong direction, a vector, and two layers of attention with two heads each."""
        rng = np.random.default_rng(variant)
        weights = rng.standard_normal((40, 24)).astype(np.float32)
        weights += 2 * np.outer(rng.standard_normal(40), rng.standard_normal(24)).astype(np.float32)
        arrays = {"w": owned(weights), "b": owned(np.ones(24, np.float32))}
        for layer, part in ((i, part) for i in range(2) for part in "qkvo"):
            drawn = rng.standard_normal((12, 12)).astype(np.float32)
            arrays[f"layers.{layer}.self_attn.{part}_proj.weight"] = owned(drawn)
        tensors = {n: TensorInfo(n, a.shape, "F32", a.nbytes) for n, a in arrays.items()}
        return Checkpoint(
            tensors,
            arrays.__getitem__,
            name="toy",
            content=lambda: digest(*arrays.values()),
            config={"num_attention_heads": 2},
        )

    @classmethod
    def holding(cls, network: Network) -> Checkpoint:
        """The weights of a network as they are now, by its module's own names."""
        state = network.module.state_dict()
        arrays = {n: owned(np.array(frozen(t))) for n, t in state.items() if hasattr(t, "detach")}
        codes = {"f": "F", "i": "I", "u": "U", "c": "C"}
        kinds = {
            n: "BOOL" if a.dtype == bool else f"{codes[a.dtype.kind]}{8 * a.itemsize}"
            for n, a in arrays.items()
        }
        return Checkpoint(
            {n: TensorInfo(n, a.shape, kinds[n], a.nbytes) for n, a in arrays.items()},
            arrays.__getitem__,
            name=network.name,
            content=lambda: digest("weights", list(arrays), *arrays.values()),
            load=lambda: network,
            stored=lambda name: LazyTensor.of(arrays[name]),
        )

    @cached_property
    def digest(self) -> str:
        return self._content()

    @property
    def holds(self) -> str:
        count = sum(int(np.prod(t.shape)) for t in self.tensors.values())
        noisy = Counter(t.packed or t.noise for t in self.tensors.values() if t.packed or t.noise)
        stored = "".join(f"; {n:,} of the tensors in {noise}" for noise, n in noisy.items())
        more = f" and {len(self.aside) - SHOWN} more" if len(self.aside) > SHOWN else ""
        aside = f"; set aside: {', '.join(self.aside[:SHOWN])}{more}" if self.aside else ""
        return f"a checkpoint of {len(self.tensors):,} tensors, {count:,} numbers{stored}{aside}"

    def lazy(self, name: str) -> LazyTensor:
        """Return one tensor, to be read a few rows at a time where the file's format allows it.

        Raises
        ------
        MissingError
            There is no such tensor.
        """
        if name not in self.tensors:
            raise MissingError(f"{self.name} has no tensor {name!r}. {suggest(name, self.tensors)}")
        found = self._read(name)
        return found if isinstance(found, LazyTensor) else LazyTensor.of(found)

    def stored(self, name: str) -> LazyTensor | None:
        """Return a tensor's numbers as they lie in the file, or None where there are none that may be copied."""
        return self._stored(name)

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __hash__(self) -> int:
        return hash(self.digest)

    def at(self, *patterns: str) -> Checkpoint:
        """Return the tensors whose names match one of the patterns (see `core.patterns`); refused with what exists.

        Of experts that are stacked in one tensor each has a name too, which ends in its number (`experts_apart`).
        """
        whole = self if all(matching(self.tensors, p) for p in patterns) else self.experts_apart()
        for pattern in patterns:
            if matching(whole.tensors, pattern):
                continue
            if stacked := matching(self.tensors, pattern):
                raise MissingError(
                    f"{pattern!r} names experts that {self.name} keeps in one tensor, and another pattern names one of them: "
                    f"name each, or all of them by '{stacked[0]}.*'."
                )
            raise MissingError(f"{self.name} has no tensor {pattern!r}. {suggest(pattern, self.tensors)}")
        found = {n: whole.tensors[n] for n in matching(whole.tensors, patterns)}
        made = Checkpoint(
            found,
            whole.lazy,
            name=self.name,
            content=lambda: digest("tensors", self.digest, sorted(found)),
            config=self.config,
            source=self.source,
            stored=whole.stored,
        )
        label = next(iter(found)) if len(found) == 1 < len(self.tensors) else ""
        return self.derived(made, "at", label, {"*": patterns})

    def experts_apart(self) -> Checkpoint:
        """Return the checkpoint with a matrix for each expert that is stacked in a tensor; itself where none is."""
        of = experts_of(self.tensors)
        if not of:
            return self

        def lazy(name: str) -> LazyTensor:
            return self.lazy(of[name][0]).part(of[name][1]) if name in of else self.lazy(name)

        def stored(name: str) -> LazyTensor | None:
            whole = self.stored(of[name][0] if name in of else name)
            return whole.part(of[name][1]) if whole is not None and name in of else whole

        return Checkpoint(
            infos_apart(self.tensors, of),
            lazy,
            name=self.name,
            content=lambda: self.digest,
            config=self.config,
            source=self.source,
            stored=stored,
        )

    def parts(self, kind: type[View] | None = None) -> tuple[str, ...]:
        """The tensors, where there are several; as a matrix those of two dimensions or more, the one of most numbers last."""
        if kind not in (None, Matrix) or len(self.tensors) < 2:
            return ()
        names = [n for n, t in self.tensors.items() if kind is None or (len(t.shape) > 1 and not t.packed)]
        return tuple(sorted(names, key=lambda n: self.tensors[n].nbytes))

    def with_edits(self, edits: tuple[Edit, ...]) -> Checkpoint:
        if not edits:
            return self
        parts = {f"edit {i}": edit for i, edit in enumerate(edits, 1)}
        return EditedCheckpoint(self, edits).made_by(
            Origin("with_edits", {"base": self, **parts}, verb="sum")
        )

    @property
    def has_network(self) -> bool:
        """Whether `network` can build one."""
        return self._load is not None

    def network(self) -> Network:
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

    def shared_network(self) -> Network:
        """The network for those who call it and leave it as it is: one for all, as long as somebody has it."""
        network = self._shared() if self._shared is not None else None
        if network is None:
            network = self.network()
            self._shared = weakref.ref(network)
        return network

    def untrained(
        self, *, random_state: int = 0, how: Literal["auto", "drawn", "shuffled"] = "auto"
    ) -> Network:
        """Return the network without what training put into its weights; see `Network.untrained`.

        Raises
        ------
        ViewError
            The checkpoint names no architecture that is known here, or its weights can't be drawn anew.
        """
        made = self.shared_network()._untrained(random_state, how, later=True)
        label = made.name.removeprefix(f"{self.name} · ")
        return self.derived(made, "untrained", label, {"random_state": random_state, "how": how})

    def as_network(self) -> Network:
        """The network, to be called."""
        return self.network()

    def as_matrix(self) -> Matrix:
        if len(self.tensors) != 1:
            two = [n for n, t in self.tensors.items() if len(t.shape) == 2]
            example = f", for example .at({two[0]!r})" if two else ""
            raise ViewError(
                f"{self.name} holds {len(self.tensors)} tensors and this needs one: choose with .at(name){example}."
            )
        ((name, info),) = self.tensors.items()
        if info.packed:
            raise ViewError(
                f"{name} holds {info.packed}: bit patterns, not weights. Open a copy in bfloat16 or float32, or one in GGUF, "
                f"whose blocks are turned into numbers."
            )
        if len(info.shape) < 2:
            raise ViewError(f"{name} has the shape {info.shape}; this needs a matrix (n x m).")
        values = self[name]
        values = values.reshape(len(values), -1)
        values = values if np.iscomplexobj(values) else floats(values)
        require_finite(values, self.name)
        return Matrix(self.name, self.digest, self.digest, values, self.tensors[name].noise)

    def save(self, path: str | Path, *, dtype: Saved = "stored") -> Path:
        """Write the weights as safetensors, a block of rows at a time: no tensor need fit in memory twice.

        Parameters
        ----------
        path : ``*.safetensors`` for one file; anything else is a folder in Hugging Face's layout (shards of up to
            5 GB with an index, and what belongs to the network beside them), which opens as the network that it was.
        dtype : ``stored`` keeps the dtype that each tensor is stored in: what wasn't edited is copied byte by byte,
            what was is rounded to the nearest number (ties to even). What was quantized in blocks is written as float32,
            and so is what was edited in 8-bit floats. Otherwise all floating point is written as ``float32``,
            ``bfloat16`` or ``float16``, rounded likewise.

        Raises
        ------
        StorageError
            It can't be written there: what was there before is untouched.
        DataError
            A number is beyond the range of the dtype.
        ViewError
            An edit is a function at a site, which isn't in the weights.
        ParameterError
            ``dtype`` is none of these.
        """
        path = Path(path)
        refuse_own_files(path, self.source)
        for edit in self.edits:
            if edit.sites:
                raise ViewError(
                    f"{edit.label} acts at a site and isn't in the weights: save the edit itself with edit.save(folder), and "
                    f"add it to the network when that is opened again."
                )
        tensors = [
            as_written(
                name,
                info.dtype,
                info.shape,
                floating=info.floating,
                value=partial(self.lazy, name),
                stored=partial(self.stored, name),
                asked=dtype,
            )
            for name, info in self.tensors.items()
        ]
        if path.suffix == ".safetensors":
            return save_file(path, tensors)
        own = self.config if self.has_network and not self.beside and kind_of(self.config) else {}
        return save_folder(path, tensors, self.beside, own)


def weights_of(thing: Any) -> Checkpoint:
    """A checkpoint, also of a network or a torch module.

    Raises
    ------
    ViewError
        It has no named weights.
    """
    found = as_subject(thing)
    if isinstance(found, Checkpoint):
        return found
    if isinstance(found, Network):
        return Checkpoint.holding(found)
    raise ViewError(
        f"Named weights are taken, of a checkpoint, a network or a torch module; {found.called} is {found.holds}."
    )


class EditedCheckpoint(Checkpoint):
    """A checkpoint under edits. Nothing is copied: a tensor is computed when it is read, the base's untouched ones are the base's.

    Attributes
    ----------
    base : what was edited, without an edit. edits : in the order in which they are applied.
    """

    def __init__(self, base: Checkpoint, edits: tuple[Edit, ...]):
        self._base, self.edits = base, edits
        for edit in edits:
            for name in edit.tensors:
                if name not in base.tensors:
                    raise MissingError(
                        f"{edit.label}: {base.name} has no tensor {name!r}. {suggest(name, base.tensors)}"
                    )
                edit.fits(name, base.tensors[name].shape)
        super().__init__(
            base.tensors,
            self._changed,
            name=f"{base.name} ({titles(edits)})",
            content=lambda: edited_digest(base.digest, edits),
            config=base.config,
            load=None if base._load is None else lambda: base.network().with_edits(edits),
            source=base.source,
            aside=base.aside,
            stored=self._bits,
            beside=base.beside,
        )

    @property
    def base(self) -> Checkpoint:
        """What was edited."""
        return self._base

    def with_edits(self, edits: tuple[Edit, ...]) -> Checkpoint:
        return self._base.with_edits(edits)

    def touches(self, name: str) -> bool:
        """Whether an edit touches a tensor."""
        return any(name in edit.tensors for edit in self.edits)

    def _bits(self, name: str) -> LazyTensor | None:
        """The tensor as it is to lie in a file, where every edit that touches it says so to the last bit."""
        tensor = self._base.stored(name)
        for edit in self.edits:
            if tensor is not None and name in edit.tensors:
                tensor = edit.on_bits(name, tensor, self.tensors[name].dtype)
        return tensor

    def _changed(self, name: str) -> LazyTensor:
        bits = self._bits(name) if self.touches(name) else None
        if bits is not None:
            dtype = self.tensors[name].dtype
            return bits.map_rows(lambda rows, _: as_numbers(rows, dtype))
        return changed(name, self._base.lazy(name), self.edits)
