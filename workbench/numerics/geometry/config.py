"""What decides a geometry GPT's shape, and which shapes there are.

A plain dataclass; a ``config.json`` is read by `GeometryConfig.of`. The kind of attention itself says which heads and options
it takes, and is imported when a configuration is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from workbench.numerics.attention import MechanismName, mechanism_of
from workbench.numerics.geometry.mechanism import plain_linear
from workbench.numerics.initializers import InitializerName, initializer_of
from workbench.numerics.reparametrizations import NAMES, ReparametrizationName, reparametrization_of

MODEL_TYPE = "workbench_geometry"
RANGES: Mapping[str, tuple[int, int]] = {
    "width": (4, 8192),
    "layers": (1, 256),
    "heads": (1, 256),
    "expand": (1, 16),
    "vocabulary": (2, 65536),
}


@dataclass(frozen=True)
class GeometryConfig:
    """Everything that decides a geometry GPT's shape; what its ``config.json`` holds.

    Attributes
    ----------
    mechanism : the kind of attention, a file of `workbench.numerics.attention`. options : its own numbers.
    expand : the inner width of what follows attention, in widths. dropout : of what each sub-layer adds, in training.
    vocabulary : tokens; 256 reads bytes. initializer : what draws the weights, a file of `workbench.numerics.initializers`;
    initializer_options : its own numbers. reparametrization : what the weights of maps are made of, a file of
    `workbench.numerics.reparametrizations`.

    Raises
    ------
    ValueError
        A number is out of its range, or numbers don't go together; the message begins with what it is about.
    """

    model_type: ClassVar[str] = MODEL_TYPE

    mechanism: MechanismName = "standard"
    width: int = 128
    layers: int = 4
    heads: int = 4
    expand: int = 4
    vocabulary: int = 256
    dropout: float = 0.0
    options: Mapping[str, int] = field(default_factory=dict)
    initializer: InitializerName = "normal"
    initializer_options: Mapping[str, int] = field(default_factory=dict)
    reparametrization: ReparametrizationName = "none"

    @classmethod
    def of(cls, read: Mapping[str, Any]) -> GeometryConfig:
        """That of a ``config.json``; raises as the class does, of names that it hasn't too."""
        given = dict(read)
        if given.pop("model_type", MODEL_TYPE) != MODEL_TYPE:
            raise ValueError(f"model_type: it must be {MODEL_TYPE!r}, not {read['model_type']!r}")
        known = {f.name for f in fields(cls)}
        for name in given.keys() - known:
            raise ValueError(
                f"{name}: there is no such number of a geometry GPT; there are {', '.join(sorted(known))}"
            )
        return cls(**given)

    def as_json(self) -> dict[str, Any]:
        """What ``config.json`` holds."""
        return {"model_type": MODEL_TYPE, **asdict(self)}

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ValueError(f"{name}: it must be a whole number from {low:,} to {high:,}, not {value!r}")
        if (
            isinstance(self.dropout, bool)
            or not isinstance(self.dropout, int | float)
            or not 0 <= self.dropout < 1
        ):
            raise ValueError(f"dropout: it must be a number from 0 to below 1, not {self.dropout!r}")
        for name in ("options", "initializer_options"):
            if not isinstance(value := getattr(self, name), Mapping):
                raise ValueError(f"{name}: it must be whole numbers by name, not {value!r}")
        mechanism_of(self.mechanism).mixer.check(self.width, self.heads, self.options)
        initializer_of(self.initializer).check(self.initializer_options)
        self._check_reparametrization()

    def _check_reparametrization(self) -> None:
        made, mechanism = reparametrization_of(self.reparametrization), mechanism_of(self.mechanism)
        if made is not None and mechanism.linear is not plain_linear:
            raise ValueError(
                f"reparametrization: {self.mechanism} is one of its own; take 'none', or mechanism='standard'"
            )
        if made is not None and mechanism.again and not made.AGAIN:
            legal = [name for name in NAMES if name == "none" or reparametrization_of(name).AGAIN]
            raise ValueError(
                f"reparametrization: {self.mechanism} layers are run again in the backward pass, and {self.reparametrization} makes "
                f"other weights at each pass; it takes {', '.join(legal)}"
            )
