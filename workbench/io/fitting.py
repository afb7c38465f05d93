"""Which of transformers' classes some weights fit, and under which names: tried without memory, on the meta device.

transformers itself says what of a state dict a class lacks and what it has no place for, after its own conversions of
old names, its ties and what the class ignores. Here that report is asked for before anything is allocated; what it
doesn't accept isn't loaded, so that no weight is ever drawn at random.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from workbench.core.errors import FormatError

# What torch.compile, FSDP and activation checkpointing put into names, at any depth.
_INSIDE = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_MODULES_PER_TENSOR, _FEWEST_MODULES = 16, 2_000
_MOST_BUFFERS = 256 << 20  # bytes that a network may make for itself beside its weights
PREDICTING = ("ForCausalLM", "LMHeadModel")
"""How the classes end that predict the next token."""
_POOLER = re.compile(r"(.*\.)?pooler\..*")


class Misfit(Exception):
    """A class and weights that don't belong together.

    Attributes
    ----------
    kind : name of the class. missing, unexpected, mismatched : names of tensors.
    """

    def __init__(
        self, kind: str, missing: Sequence[str], unexpected: Sequence[str], mismatched: Sequence[str]
    ):
        super().__init__(kind)
        self.kind, self.missing, self.unexpected, self.mismatched = kind, missing, unexpected, mismatched

    @classmethod
    def of(cls, kind: str, report: Mapping[str, Any]) -> Misfit | None:
        """What transformers' loading report says, or None where all fits."""
        mismatched = sorted(m[0] if isinstance(m, tuple) else str(m) for m in report["mismatched_keys"])
        made = cls(kind, sorted(report["missing_keys"]), sorted(report["unexpected_keys"]), mismatched)
        return made if made.wrong or report.get("error_msgs") else None

    @property
    def wrong(self) -> int:
        """How many tensors don't fit."""
        return len(self.missing) + len(self.unexpected) + len(self.mismatched)


@dataclass(frozen=True)
class Fit:
    """A class that some weights fit.

    Attributes
    ----------
    names : what the class calls a tensor to what the checkpoint calls it.
    known : whether transformers has the class that the configuration names.
    options : what the class is made with beside its configuration.
    note : how what is built differs from what the folder says, in words, or "".
    """

    kind: Any
    names: dict[str, str]
    known: bool
    options: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def fitting(config: Any, named: str, shapes: Mapping[str, tuple[int, ...]]) -> Fit:
    """Find the class that takes the weights whole.

    Parameters
    ----------
    named : the class that the configuration names; where transformers has none such, the one whose name ends likewise.
    shapes : of the tensors, by name.

    Raises
    ------
    Misfit
        There is none; it says what is wrong with the named one.
    FormatError
        The configuration asks for far more modules than there are tensors.
    """
    first, known = _named_class(config, named)
    tried = _Trial(config, shapes)
    fit, misfit = tried.of(first, known)
    # Weights may have a head more than the class, never one less: that would be drawn at random.
    if misfit is not None and misfit.unexpected:
        fit = next((f for k in _siblings(first, named) if (f := tried.quietly(k, known))), None)
    if fit is None:
        assert misfit is not None
        raise misfit
    if fit.kind.__name__ == named or not named:
        return fit
    why = "" if known else f", as transformers has no {named}"
    note = f"built as {fit.kind.__name__}, which its weights fit{why}"
    return Fit(fit.kind, fit.names, known, fit.options, "; ".join(t for t in (note, fit.note) if t))


def _named_class(config: Any, named: str) -> tuple[Any, bool]:
    import transformers

    kind = getattr(transformers, named, None) if named.isidentifier() else None
    if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel):
        return kind, True
    mapped: Any = transformers.AutoModel._model_mapping[type(config)]
    base = mapped[0] if isinstance(mapped, tuple) else mapped
    alike = [k for k in _family(base) if named.endswith(k.__name__)]
    if not alike and named.endswith(PREDICTING):
        alike = [k for k in _family(base) if k.__name__.endswith(PREDICTING)]
    return max(alike, key=lambda k: len(k.__name__), default=base), False


def _family(kind: Any) -> list[Any]:
    """The classes that stand in a class's file and take the same configuration."""
    import transformers

    return [
        k
        for k in vars(sys.modules[kind.__module__]).values()
        if isinstance(k, type)
        and issubclass(k, transformers.PreTrainedModel)
        and k.__module__ == kind.__module__
        and k.config_class is kind.config_class
        and not k.__name__.endswith("PreTrainedModel")
    ]


def _siblings(kind: Any, named: str) -> list[Any]:
    """The others of a family, those that do alike first; where masked words are predicted, those that go on last."""
    family, ending = _family(kind), named.rpartition("For")[2]
    masked = any(k.__name__.endswith("ForMaskedLM") for k in family)

    def order(k: Any) -> tuple[bool, bool]:
        return not (ending and k.__name__.endswith(ending)), masked and k.__name__.endswith(PREDICTING)

    return sorted((k for k in family if k is not kind), key=order)


class _Trial:
    """Classes that are filled without memory, to see what the report says."""

    def __init__(self, config: Any, shapes: Mapping[str, tuple[int, ...]]):
        self.config, self.shapes = config, shapes

    def of(self, kind: Any, known: bool) -> tuple[Fit | None, Misfit | None]:
        """The fit with the names as they are or without prefixes, or what is wrong with the nearer of the two."""
        names = {n: n for n in self.shapes}
        module, misfit = self._report(kind, names)
        if misfit is not None and (constants := [n for n in misfit.unexpected if self._constant(n)]):
            names = {n: n for n in names if n not in constants}
            module, misfit = self._report(kind, names)
        if misfit is None:
            return Fit(kind, names, known), None
        bare = _without_prefixes(names, module)
        note = ""
        if set(bare) != set(names) and len(bare) == len(names):
            _, second = self._report(kind, bare)
            if second is None or second.wrong < misfit.wrong:
                names, misfit, note = bare, second, _said(bare)
        if misfit is None:
            return Fit(kind, names, known, note=note), None
        if (
            not misfit.unexpected
            and not misfit.mismatched
            and all(_POOLER.fullmatch(n) for n in misfit.missing)
        ):
            fit = self._without_pooler(kind, names, known, note)
            if fit is not None:
                return fit, None
        return None, misfit

    def _constant(self, name: str) -> bool:
        """Whether older versions stored it among the weights although it is the same for every network of its shape."""
        mask = len(self.shapes.get(name, ())) == 4 and re.search(r"\.(attn|attention)\.bias$", name)
        return bool(mask or re.search(r"\.masked_bias$|rotary_emb\.inv_freq$|(^|\.)position_ids$", name))

    def quietly(self, kind: Any, known: bool) -> Fit | None:
        """The fit of a class that nobody asked for, if it is one; what isn't made for this configuration isn't."""
        try:
            return self.of(kind, known)[0]
        except FormatError:
            raise
        except Exception:
            return None

    def _without_pooler(self, kind: Any, names: dict[str, str], known: bool, note: str) -> Fit | None:
        options = {"add_pooling_layer": False}
        try:
            _, misfit = self._report(kind, names, options)
        except TypeError:  # the class has no such choice
            return None
        note = "; ".join(t for t in ("built without a pooler, of which it has no weights", note) if t)
        return Fit(kind, names, known, options, note) if misfit is None else None

    def _report(
        self, kind: Any, names: Mapping[str, str], options: Mapping[str, Any] | None = None
    ) -> tuple[Any, Misfit | None]:
        import torch

        state = {new: torch.empty(self.shapes[old], device="meta") for new, old in names.items()}
        with _bounded(len(self.shapes)):
            module, report = kind.from_pretrained(
                None,
                config=self.config,
                state_dict=state,
                dtype=torch.float32,
                device_map={"": "meta"},
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **(options or {}),
            )
        return module, Misfit.of(kind.__name__, report)


@contextmanager
def _bounded(n_tensors: int) -> Iterator[None]:
    """Refuse to build many more modules than there are tensors for, or buffers beyond memory."""
    from torch.nn.modules import module as hooks

    most = _FEWEST_MODULES + _MODULES_PER_TENSOR * n_tensors
    counted: Counter[str] = Counter()

    def count(module: Any, name: str, part: Any) -> None:
        counted["modules"] += 1
        if counted["modules"] > most:
            raise FormatError(
                f"config.json describes a network of more than {most:,} modules, and there are {n_tensors:,} tensors to fill "
                f"it. Download the configuration that belongs to these weights."
            )

    def measure(module: Any, name: str, buffer: Any) -> None:
        counted["bytes"] += 0 if buffer is None else buffer.numel() * buffer.element_size()
        if counted["bytes"] > _MOST_BUFFERS:
            raise FormatError(
                f"config.json describes a network whose buffers ({name} and others) take more than {_MOST_BUFFERS >> 20} MiB "
                f"beside its weights. Download the configuration that belongs to these weights."
            )

    with ExitStack() as stack:
        for register, hook in (
            (hooks.register_module_module_registration_hook, count),
            (hooks.register_module_buffer_registration_hook, measure),
        ):
            stack.callback(register(hook).remove)
        yield


def _without_prefixes(names: Iterable[str], module: Any) -> dict[str, str]:
    """Tensors' names with what wrappers put into them taken off, to the names that the checkpoint has."""
    inner = {n: _INSIDE.sub("", n) for n in names}
    own = module.state_dict()
    base = f"{module.base_model_prefix}." if module.base_model_prefix else ""
    places = own.keys() | {n.removeprefix(base) for n in own}
    votes = Counter(
        prefix for name in inner.values() for prefix in _prefixes(name) if name[len(prefix) :] in places
    )
    prefix = max(votes, key=lambda p: (votes[p], -len(p)), default="")
    taken = {old: new.removeprefix(prefix) for old, new in inner.items()}
    if len(set(taken.values())) < len(taken):
        taken = inner if len(set(inner.values())) == len(inner) else {n: n for n in inner}
    return {new: old for old, new in taken.items()}


def _prefixes(name: str) -> Iterator[str]:
    yield ""
    for dot in re.finditer(r"\.", name):
        yield name[: dot.end()]


def _said(names: Mapping[str, str]) -> str:
    new, old = next((new, old) for new, old in names.items() if new != old)
    return f"its tensors' names were changed, as {old} to {new}"
