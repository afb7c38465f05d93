"""A simpler network of the same shapes: units that its function doesn't need are silenced."""

from __future__ import annotations

from typing import Annotated

from typing_extensions import Doc

from workbench.core.lazy import as_tensors
from workbench.core.registry import edit
from workbench.edits.silencing import Silencing
from workbench.subjects.network import Network


@edit
def simplify(
    network: Network,
    *,
    low: Annotated[
        float | None, Doc("What every input is at least, where the function is to be kept; None: no bound.")
    ] = None,
    high: Annotated[float | None, Doc("What every input is at most; None: no bound.")] = None,
    rounding: Annotated[
        bool, Doc("Whether units leave too where the new weights are rounded to float32.")
    ] = True,
) -> Silencing:
    """Silence hidden units that are constant or multiples of one another; what they gave goes into the next layer.

    Shapes stay, so that the edit is added to a checkpoint and saved as any other, and transformers loads what was saved. The
    edit says how many units are silent, be it none, and of how many it is proven that the function of real numbers is kept. A chain of
    layers is read whole and on the domain; of a transformer each feed-forward layer of BERT's kind by itself, for whatever it is
    given. ``network.simplified()`` makes a chain smaller instead, with other shapes.

    Raises
    ------
    DataError
        The network is neither such a chain nor such a transformer, or a constant has no bias to go into.
    ParameterError
        ``low`` isn't under ``high``.

    References
    ----------
    Serra, Kumar and Ramalingam 2020, Lossless compression of deep neural networks, CPAIOR.
    """
    from workbench.numerics.exact.sampling import domain, require_domain
    from workbench.numerics.exact.silencing import silenced

    require_domain(low, high, "simplify")
    made = silenced(network.module, **domain(low, high), rounding=rounding, owner=network.name)
    stored = {of: name for name, of in network.tensor_names.items()}
    return Silencing(
        as_tensors({stored.get(name, name): array for name, array in made.arrays.items()}),
        units=made.units,
        proven=made.proven,
        rounded=made.rounded,
        low=low,
        high=high,
        rounding=rounding,
    )
