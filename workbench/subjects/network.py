"""Networks: what a checkpoint becomes when it is called, and the batches that it is called with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import uuid4

import numpy as np

from workbench.core.digest import digest
from workbench.core.edit import Edit, Editable, changed, edited_digest, titles
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError, suggest
from workbench.core.lazy import LazyTensor
from workbench.core.lineage import Origin
from workbench.core.parameters import require_integer
from workbench.core.patterns import matching
from workbench.core.subject import SUBJECTS, Subject
from workbench.core.version import source_digest

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from jaxtyping import Bool, Int


@dataclass(frozen=True, eq=False)
class Batch:
    """One call of a network and the rows that it yields.

    Attributes
    ----------
    inputs : keyword arguments of the module's ``forward`` (a tuple stands for positional ones).
    keep : (batch, positions) which positions are rows (padding isn't); None where a sample is one row.
    rows : one line a kept position, in row-major order; the index is not used.
    markers : (batch, positions) which kept positions the tokenizer added to the text (``[CLS]``, ``</s>``); None where there
        is none. `workbench.capture` leaves them out.
    cut : (batch,) tokens of each text that weren't read, because there are more than fit; None where all were read.
    """

    inputs: Mapping[str, torch.Tensor] | tuple[torch.Tensor, ...]
    keep: Bool[np.ndarray, "b t"] | None
    rows: pd.DataFrame
    markers: Bool[np.ndarray, "b t"] | None = None
    cut: Int[np.ndarray, " b"] | None = None


class Network(Subject, Editable["Network"]):
    """A callable network in evaluation mode.

    ``network + edit`` is another one, whose module shares with this one's every parameter that the edit doesn't touch:
    neither is to be trained while both are used.

    Parameters
    ----------
    digest : of the weights, and of the edits, as they were opened; see `identity`.
    module : the torch module.
    encode : turns some lines of a corpus (a table with ``text``) and a greatest length into a `Batch`;
        None for a network that doesn't read text.
    ask : gives the module's short human answer to a question; see `answer`.
    answers : what `answer` takes and gives, in words.
    tensor_names : a checkpoint's tensor name to the parameter's name in ``module``, where they differ.
    note : how the module differs from what its files say, in words, or "".
    prepare : turns images as a person has them, (n, height, width, 3) uint8, into what the module takes; None where it takes
        arrays as they are.
    """

    needs: ClassVar[str] = "a network that can be called"
    takes: ClassVar[str] = "a torch module"

    def __init__(
        self,
        name: str,
        digest: str,
        module: torch.nn.Module,
        encode: Callable[[pd.DataFrame, int], Batch] | None = None,
        ask: Callable[[torch.nn.Module, Any], Any] | None = None,
        answers: str = "",
        tensor_names: Mapping[str, str] = MappingProxyType({}),
        note: str = "",
        prepare: Callable[[np.ndarray], torch.Tensor] | None = None,
    ):
        self.name, self._digest, self._module = name, digest, module
        self.encode, self.ask, self.answers = encode, ask, answers
        self.tensor_names = dict(tensor_names)
        self.note = note
        self.prepare = prepare

    @classmethod
    def of(cls, thing: Any) -> Network | None:
        if not hasattr(thing, "named_modules"):  # a torch module, recognised without importing torch
            return None
        _require_numbers(thing)
        made = Network(type(thing).__name__, "", thing.eval())
        made._digest = made.identity
        return made

    @classmethod
    def example(cls, variant: int = 0) -> Network:
        """Two linear layers of 6, 8 and 3 units."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(variant)
            module = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        found = Network.of(module)
        assert found is not None
        found.name = "small network"
        return found

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def module(self) -> torch.nn.Module:
        """The torch module; its ``named_modules`` are the sites that can be captured."""
        return self._module

    def save(self, path: str | Path) -> Path:
        """Write the weights and what the network is built from as a folder, which opens as the network that it was.

        That is so of the workbench's own kinds, such as what `simplified` gives. Of other modules nobody could build the
        architecture again from a file: keep the checkpoint that they came from.

        Raises
        ------
        ViewError
            The module isn't of a kind that is built from a file.
        StorageError
            It can't be written there, or something lies there.
        """
        from workbench.subjects.own_kinds import configuration_of
        from workbench.subjects.saving import as_written, save_folder

        if not (config := configuration_of(self.module)):
            raise ViewError(
                f"{self.name} is a {type(self.module).__name__}, which can't be built again from a file. Save the checkpoint that it "
                "came from, with the edits on it; or, of a chain of layers, network.simplified(), which can."
            )
        held = {n: LazyTensor.of(t.detach().cpu().numpy()) for n, t in self.module.state_dict().items()}
        codes = {"float32": "F32", "float64": "F64", "int64": "I64"}
        entries = [
            as_written(
                name,
                codes[str(tensor.dtype)],
                tensor.shape,
                floating=tensor.dtype.kind == "f",
                value=lambda t=tensor: t,  # type: ignore[misc]
                stored=lambda t=tensor: t,  # type: ignore[misc]
                asked="stored",
            )
            for name, tensor in held.items()
        ]
        return save_folder(Path(path), entries, (), config)

    @property
    def device(self) -> torch.device:
        """Where the module's parameters are."""
        import torch

        return next(
            (p.device for p in self._module.parameters() if p.is_floating_point()), torch.device("cpu")
        )

    @property
    def pending(self) -> bool:
        """Whether the module is yet to be made, so that nobody can have changed it."""
        return False

    @property
    def identity(self) -> str:
        """Digest of everything that decides what the module answers now, whatever was done to it since it was opened.

        Of a network that is `pending` it says what the module will be made of. What can't be digested is a new one each
        time, so that nothing that was kept answers for it.
        """
        from workbench.numerics.identity import Undigestable, network_digest

        try:
            return network_digest(self.module)
        except Undigestable as e:
            return f"unknown ({e}) {uuid4().hex}"

    @property
    def holds(self) -> str:
        count = sum(p.numel() for p in self._module.parameters())
        note = f" ({self.note})" if self.note else ""
        return (
            f"a network of {count:,} parameters that {'reads texts' if self.encode else 'takes arrays'}{note}"
        )

    def as_checkpoint(self) -> Any:
        """The weights as they are now, by the module's own names, as a `Checkpoint`: so a module is asked what that is asked."""
        return SUBJECTS["Checkpoint"].holding(self)  # type: ignore[attr-defined]  # whose file imports this one

    def answer(self, question: Any) -> Any:
        """Answer in short, so that one sees that the network works.

        Raises
        ------
        ViewError
            Nobody said how this network is asked.
        """
        if self.ask is None:
            raise ViewError(
                f"{self.name} has no short answer: call its module, or capture what its sites give."
            )
        return self.ask(self.module, question)

    def untrained(
        self, *, random_state: int = 0, how: Literal["auto", "drawn", "shuffled"] = "auto"
    ) -> Network:
        """Return the same architecture without what training put into the weights: the control for what was learned.

        Parameters
        ----------
        random_state : decides the weights; networks of several seeds say how far chance takes a number.
        how : ``drawn``, every weight anew by the network's own initializer; ``shuffled``, the entries of every matrix
            permuted within it, biases and norms as they are; ``auto``, drawn where that can be, else shuffled, and
            ``note`` says why.

        Raises
        ------
        ParameterError
            No such ``how``, or ``random_state`` is no seed.
        ViewError
            ``drawn``, of a network with parameters that nothing is known to draw.
        """
        return self._untrained(random_state, how)

    def _untrained(self, random_state: int, how: str, *, later: bool = False) -> Network:
        """See `untrained`; ``later``: nobody else has this network's module, so that it may be drawn when asked for."""
        from workbench.numerics.untrained import NoInitializer, drawn_anew, draws_all, shuffled_within

        if how not in ("auto", "drawn", "shuffled"):
            raise ParameterError(f"how={how!r} is not legal. It takes 'auto', 'drawn' or 'shuffled'.")
        seed = require_integer(random_state, "random_state", "untrained", low=0)
        asked = {"random_state": seed, "how": how}
        if later and how != "shuffled" and draws_all(self.module):
            label = f"weights drawn anew, seed {seed}"
            return self.derived(DrawnNetwork(self, seed, label), "untrained", label, asked)
        module, note = None, ""
        if how != "shuffled":
            try:
                module = drawn_anew(self.module, seed)
            except NoInitializer as e:
                if how == "drawn":
                    raise ViewError(
                        f"{self.name} can't be drawn anew: {e}. Give the module that owns them reset_parameters(), or ask "
                        f"for how='shuffled'."
                    ) from None
                note = f"weights shuffled, since they can't be drawn anew: {e}"
        label = f"weights {'shuffled' if module is None else 'drawn anew'}, seed {seed}"
        made = Network(
            self.name,
            digest("untrained", self.digest, label),
            shuffled_within(self.module, seed) if module is None else module,
            self.encode,
            self.ask,
            self.answers,
            self.tensor_names,
            "; ".join(filter(None, [self.note, note])),
            self.prepare,
        )
        return self.derived(made, "untrained", label, asked)

    def simplified(
        self, *, low: float | None = None, high: float | None = None, rounding: bool = True
    ) -> Network:
        """Return a smaller network of the same function, in float32; `workbench.simplification` says what each step did.

        Parameters
        ----------
        low, high : between what every input lies, on the domain where the function is to be kept; None for no bound.
        rounding : whether steps are taken that are exact but for the rounding of new weights to float32.

        Raises
        ------
        DataError
            It isn't a chain of layers that can be read, or has too many weights.
        ParameterError
            ``low`` isn't under ``high``.
        """
        from workbench.numerics.exact.reading import program_of
        from workbench.numerics.exact.sampling import domain, require_domain
        from workbench.numerics.exact.simplifying import module_of, simplify

        require_domain(low, high, "simplified")
        program = program_of(self.module, self.name)
        changes = simplify(program, **domain(low, high), rounding=rounding, owner=self.name)
        module = module_of(changes[-1].program if changes else program)
        made = Network(self.name, digest("simplified", self.digest, low, high, rounding), module)
        return self.derived(
            made, "simplified", "simplified", {"low": low, "high": high, "rounding": rounding}
        )

    def with_edits(self, edits: tuple[Edit, ...]) -> Network:
        if not edits:
            return self
        parts = {f"edit {i}": edit for i, edit in enumerate(edits, 1)}
        return EditedNetwork(self, edits).made_by(Origin("with_edits", {"base": self, **parts}, verb="sum"))


class DrawnNetwork(Network):
    """An untrained network whose weights are drawn when its module is first asked for.

    Parameters
    ----------
    trained : of this architecture; nobody else may have it in hands.
    """

    def __init__(self, trained: Network, seed: int, label: str):
        super().__init__(
            trained.name,
            digest("untrained", trained.digest, label),
            trained.module,
            trained.encode,
            trained.ask,
            trained.answers,
            trained.tensor_names,
            trained.note,
            trained.prepare,
        )
        self._seed, self._pending = seed, True
        self._trained: Network | None = (
            trained  # kept, so that its checkpoint needn't build it for the next one
        )
        self._made_of = digest(
            "drawn anew", trained.identity, seed, source_digest("workbench.numerics.untrained").hex()
        )

    @property
    def module(self) -> torch.nn.Module:
        """The torch module, which is made now where it wasn't yet."""
        from workbench.numerics.untrained import drawn_anew

        if self._pending:
            self._module, self._pending = drawn_anew(self._module, self._seed), False
            self._trained = None
        return self._module

    @property
    def pending(self) -> bool:
        return self._pending

    @property
    def identity(self) -> str:
        return self._made_of if self._pending else super().identity


def _require_numbers(module: torch.nn.Module) -> None:
    from workbench.numerics.identity.tensors import missing_values

    for parameter, tensor in (*module.named_parameters(), *module.named_buffers()):
        if (why := missing_values(tensor)) is not None:
            raise ViewError(
                f"{type(module).__name__} can't be run: {parameter} is {why}. Give it numbers first: load its weights, or for "
                f"a lazy one call the module once."
            )


class EditedNetwork(Network):
    """A network under edits: another module, which holds the changed parameters and shares the others.

    Attributes
    ----------
    base : what was edited, without an edit. edits : in the order in which they are applied.
    """

    def __init__(self, base: Network, edits: tuple[Edit, ...]):
        super().__init__(
            f"{base.name} ({titles(edits)})",
            edited_digest(base.digest, edits),
            _sharing_parameters(base.module),
            base.encode,
            base.ask,
            base.answers,
            base.tensor_names,
            base.note,
            base.prepare,
        )
        self._base, self.edits = base, edits
        state = base.module.state_dict()
        for name in dict.fromkeys(name for edit in edits for name in edit.tensors):
            self._change_tensor(name, state)
        for edit in edits:
            self._change_sites(edit)

    @property
    def base(self) -> Network:
        """What was edited."""
        return self._base

    def with_edits(self, edits: tuple[Edit, ...]) -> Network:
        return self._base.with_edits(edits)

    def _change_tensor(self, name: str, state: Mapping[str, torch.Tensor]) -> None:
        import torch

        target = self.tensor_names.get(name, name)
        if target not in state:
            raise MissingError(f"{self._base.name} has no parameter {target!r}. {suggest(target, state)}")
        before = state[target]
        for edit in self.edits:
            if name in edit.tensors:
                edit.fits(name, tuple(before.shape))
        values = (before.float() if before.is_floating_point() else before).cpu().numpy()
        after = np.ascontiguousarray(changed(name, LazyTensor.of(values), self.edits).whole())
        _put(self.module, target, torch.tensor(after).reshape(before.shape).to(before.device, before.dtype))

    def _change_sites(self, edit: Edit) -> None:
        """Hooks stay for as long as this network's module: it is no one else's."""
        known = dict(self.module.named_modules())
        for pattern in edit.sites:
            if not (found := matching(known, pattern)):
                raise MissingError(f"{self._base.name} has no module {pattern!r}. {suggest(pattern, known)}")
            for site in found:
                known[site].register_forward_hook(_hook(site, edit.at_site(site)))


def _sharing_parameters(module: torch.nn.Module) -> torch.nn.Module:
    """A copy of a module that has the same parameters and buffers of its own."""
    shared = {id(parameter): parameter for parameter in module.parameters()}
    return copy.deepcopy(module, shared)


def _put(module: torch.nn.Module, name: str, value: torch.Tensor) -> None:
    """Put a new tensor wherever the module has the one of this name: tied weights stay tied."""
    import torch

    path, _, own = name.rpartition(".")
    old = getattr(module.get_submodule(path), own)
    new = torch.nn.Parameter(value, old.requires_grad) if isinstance(old, torch.nn.Parameter) else value
    for part in module.modules():
        held = (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
        for key in [key for key, tensor in held if tensor is old]:
            setattr(part, key, new)


def _hook(site: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., Any]:
    def hook(module: torch.nn.Module, args: Any, output: Any) -> Any:
        return _first_changed(output, lambda x: _same_shape(site, x, change(x)))[0]

    return hook


def _same_shape(site: str, before: torch.Tensor, after: Any) -> torch.Tensor:
    if getattr(after, "shape", None) != before.shape:
        given = f"the shape {tuple(after.shape)}" if hasattr(after, "shape") else type(after).__name__
        raise DataError(f"{site}: an edit keeps the shape {tuple(before.shape)}; this gave {given}.")
    return after


def _first_changed(output: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> tuple[Any, bool]:
    """An output with its first tensor changed, looking into tuples, lists and mappings; and whether there was one."""
    import torch

    if isinstance(output, torch.Tensor):
        return change(output), True
    if isinstance(output, tuple | list):
        parts = list(output)
        for i, part in enumerate(parts):
            parts[i], done = _first_changed(part, change)
            if done:
                if isinstance(output, list):
                    return parts, True
                return (type(output)(*parts) if hasattr(output, "_fields") else tuple(parts)), True
    elif isinstance(output, MutableMapping):
        for key in list(output):
            value, done = _first_changed(output[key], change)
            if done:
                again = copy.copy(output)  # a module may keep what it put out
                again[key] = value
                return again, True
    return output, False
