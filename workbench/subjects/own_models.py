"""Networks of the workbench's own kinds (`own_kinds`), built again from what lies beside their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.core.errors import FormatError
from workbench.subjects.byte_reading import ANSWERS, encode, go_on
from workbench.subjects.network import Network
from workbench.subjects.own_kinds import KINDS, READS_BYTES, configuration_of, defined, kind_of

if TYPE_CHECKING:
    import torch


def built(
    config: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    source: str,
    *,
    described_by: str = "config.json",
) -> torch.nn.Module:
    """The module that a configuration describes, as it is drawn, in float32.

    Parameters
    ----------
    shapes : of the tensors that it will be filled with. They are compared before anything is allocated.
    source : the folder that the configuration comes from. described_by : the file in it; both for a refusal.

    Raises
    ------
    FormatError
        The configuration isn't legal, or the weights aren't those of the network that it describes.
    """
    import torch

    configuration, module = (defined(where) for where in KINDS[kind_of(config)])
    try:
        read = configuration.of(config)
    except ValueError as e:
        raise FormatError(
            f"{source}: {described_by} isn't one of a {config['model_type']}: {e}. Take the one that was saved with these weights."
        ) from None
    with torch.device("meta"):
        described = {n: tuple(t.shape) for n, t in module(read).state_dict().items()}
    different = sorted(
        n for n in described.keys() | shapes.keys() if described.get(n) != tuple(shapes.get(n, (-1,)))
    )
    if different:
        name = different[0]
        raise FormatError(
            f"{source}: its weights aren't those of the network that {described_by} describes: {len(different):,} tensors differ, "
            f"such as {name!r}, which would be {described.get(name, 'absent')} and is "
            f"{shapes.get(name, 'absent')}. Take the configuration that was saved with these weights."
        )
    with torch.random.fork_rng(devices=[]):
        made: torch.nn.Module = module(read)
    return made


def network_of(module: torch.nn.Module, name: str, digest: str) -> Network:
    """A network of a module, which reads texts where it is of an own kind that does."""
    if kind_of(configuration_of(module)) not in READS_BYTES:
        return Network(name=name, digest=digest, module=module)
    return Network(name=name, digest=digest, module=module.eval(), encode=encode, ask=go_on, answers=ANSWERS)
