"""Attention flow: which tokens reach the network's answer over all layers, and whether it goes by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.inside._language import not_predicting
from workbench.analyses.inside._texts import alike, tested
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.numerics.exchanged_texts import exchanged_means
from workbench.numerics.inside.flow import flow, rollout
from workbench.numerics.inside.heads import attention_maps, layer_names
from workbench.numerics.inside.stream import Inputs, run
from workbench.results.attention_maps import AttentionMaps
from workbench.subjects.reading import Reading, Tokens, token_numbers

if TYPE_CHECKING:
    import torch

QUERIES = 8
"""Tokens of the last layer from which flow is measured in the control, where the answer is of all tokens."""


@analysis
def attention_flow(
    tokens: Tokens,
    *,
    text: Annotated[str | None, Doc("A text to show; None: one of those that are read, by text_id.")] = None,
    text_id: Annotated[
        int | None, Interval(ge=0), Doc("Which of the texts that are read is shown; None: the first.")
    ] = None,
    how: Annotated[
        Literal["rollout", "flow"],
        Doc(
            "How layers are put together: 'rollout' multiplies their weights, 'flow' asks how much could pass at most."
        ),
    ] = "rollout",
    n_texts: Annotated[
        int, Interval(ge=2, le=500), Doc("Texts of one length that the control reads; drawn of more.")
    ] = 16,
    n_null: NullDraws = 399,
    random_state: Seed = 0,
) -> AttentionMaps:
    """Show which tokens of a text reach each token over all layers by attention, and whether the answer goes by them.

    Each layer's weights are the mean over its heads, half of each token being itself (the residual connection). The control
    takes tokens out of other texts, one at a time (their word's embedding is set to the mean of the text's), and ranks them
    by how far the answer moves: that at the last token of a language model, the mean over tokens of any other network. How
    well attention ranks them alike is compared with the attention of other texts of the same length, so that what place
    alone does, as that near tokens matter more, makes no difference.

    Returns
    -------
    AttentionMaps
        A map a layer (for ``flow`` the last alone): how much of each token comes from each that is read.

    Raises
    ------
    ViewError
        The network gives no attention maps, or has no embedding of words.
    MissingError
        There is no such text.
    DataError
        The texts have fewer than 3 tokens.

    References
    ----------
    Abnar and Zuidema 2020, Quantifying attention flow in transformers, ACL; Jain and Wallace 2019, Attention is not
    explanation, NAACL.
    """
    reading = tokens.reading
    seen = reading.shown(text, text_id, "attention_flow")
    names, layers = _layers(reading, seen.inputs)
    maps = rollout(layers[0]) if how == "rollout" else flow(layers[0], np.arange(layers.shape[-1]))[None]
    last = not not_predicting(reading)
    places, length = alike(reading, n_texts, random_state)
    agreement = _agreement(reading, places, length, how, last)
    values, draws = exchanged_means(agreement[:, None], n_null, random_state, what="attention flow: null")
    own = float(np.mean(np.diagonal(agreement)))
    where = "the last token" if last else "all tokens"
    evidence = Evidence(
        id="ranks_what_matters",
        question="Does attention over all layers reach the tokens that the answer goes by?",
        label=f"rank correlation of {how} with what taking a token out does, beyond position",
        value=values[0],
        n=len(places),
        unit="texts",
        **tested(draws[0], len(places), n_null, length),
    )
    return AttentionMaps(
        maps=maps,
        names=names if how == "rollout" else names[-1:],
        tokens=seen.tokens,
        ids=seen.ids,
        order=np.arange(len(maps))[::-1].copy(),
        evidence=(evidence,),
        caveat=f"The rank correlation of {how} at {where} with what taking a token out does is {own:.2f} with position, in "
        f"{len(places)} texts of {length} tokens.",
    )


def _layers(reading: Reading, inputs: Inputs) -> tuple[tuple[str, ...], np.ndarray]:
    """(b, l, t, t) the layers' weights, averaged over heads; and the layers' names."""
    maps, _ = attention_maps(reading.module, inputs)
    stacked = [m.float().mean(1).cpu().numpy().astype(np.float64) for m in maps.values()]
    return tuple(layer_names(maps)), np.stack(stacked, axis=1)


def _agreement(reading: Reading, places: np.ndarray, length: int, how: str, last: bool) -> np.ndarray:
    """(n, n) rank correlation of the attention in text i with what taking tokens out of text j does."""
    from scipy.stats import rankdata

    reach, moved = [], []
    for _, batch in reading.batches(places, length, together=1):
        _, layers = _layers(reading, batch.inputs)
        t = layers.shape[-1]
        queries = np.array([t - 1]) if last else np.unique(np.linspace(0, t - 1, QUERIES).astype(int))
        maps = rollout(layers[0])[-1] if how == "rollout" else flow(layers[0], queries)
        reach.append(maps[-1] if last else maps.mean(axis=0))
        moved.append(_moved(reading.module, batch.inputs, last))
    a, b = (np.stack([_unit(rankdata(row)) for row in rows]) for rows in (reach, moved))
    return a @ b.T


def _unit(ranks: np.ndarray) -> np.ndarray:
    centred = ranks - ranks.mean()
    size = np.linalg.norm(centred)
    return centred / size if size else centred


def _moved(module: torch.nn.Module, inputs: Inputs, last: bool) -> np.ndarray:
    """(t,) how far the answer to one text moves where a token's embedding is the mean of all."""
    import torch

    tokens = token_numbers(inputs)
    t = tokens.shape[1]

    def several(x: Any) -> Any:
        return x.expand(t + 1, *x.shape[1:]) if isinstance(x, torch.Tensor) and x.shape[:1] == (1,) else x

    many = (
        {k: several(v) for k, v in inputs.items()}
        if isinstance(inputs, Mapping)
        else tuple(map(several, inputs))
    )

    def without(part: Any, args: Any, out: torch.Tensor) -> torch.Tensor:
        out = out.clone()
        at = torch.arange(t, device=out.device)
        out[at, at] = out[-1].mean(0)  # the last copy is left as it is
        return out

    handle = _words(module, tokens).register_forward_hook(without)
    try:
        answers = run(module, many)
    finally:
        handle.remove()
    one = (answers[:, -1] if last else answers.mean(1)) if answers.ndim == 3 else answers
    return (one[:-1] - one[-1]).flatten(1).norm(dim=1).float().cpu().numpy()


def _words(module: torch.nn.Module, tokens: torch.Tensor) -> torch.nn.Module:
    """The embedding of words: what the module says it is, or the largest."""
    from torch import nn

    from workbench.core.errors import ViewError

    asked = getattr(module, "get_input_embeddings", None)
    if callable(asked):
        return asked()
    tables = [m for m in module.modules() if isinstance(m, nn.Embedding)]
    fitting = [m for m in tables if m.num_embeddings > int(tokens.max())]
    if not fitting:
        raise ViewError(f"{type(module).__name__} has no embedding of words, so that none can be taken out.")
    return max(fitting, key=lambda m: m.num_embeddings)
