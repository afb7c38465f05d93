"""Logit lens: what a language model would say at each layer, if it stopped there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.inside._language import require_language_model
from workbench.analyses.inside._texts import alike, batches, numbers_of, tested
from workbench.core.early import show_early
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.numerics.exchanged_texts import exchanged_means
from workbench.numerics.inside.heads import layer_names
from workbench.numerics.inside.stream import Inputs, read_off, stream
from workbench.results.lens import Lens
from workbench.subjects.reading import TOGETHER, Reading, Tokens, token_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from jaxtyping import Float

NUMBERS = 1 << 25  # logits that are held at once
INPUT = "input"
"""What the first block is given, as a layer."""


@analysis
def logit_lens(
    tokens: Tokens,
    *,
    text: Annotated[str | None, Doc("A text to show; None: one of those that are read, by text_id.")] = None,
    text_id: Annotated[
        int | None, Interval(ge=0), Doc("Which of the texts that are read is shown; None: the first.")
    ] = None,
    n_texts: Annotated[
        int, Interval(ge=2, le=2000), Doc("Texts of one length that the control reads; drawn of more.")
    ] = 24,
    n_null: NullDraws = 399,
    random_state: Seed = 0,
) -> Lens:
    """Show what a language model would say at each layer and token of a text, if it stopped there.

    What a block hands on is put in the place of what the last one does, and the network's own last steps (its norm, its
    unembedding) are run on it: at the last layer that is the network's own answer. Whether a layer reads what comes next is
    asked of other texts: by how many bits likelier the tokens that do come next are there than those that come next at the
    same place of other texts. The null exchanges whole texts, so that common tokens, places and which texts these are make
    no difference. A layer in which nothing can be read so may hold it in another form.

    Returns
    -------
    Lens
        For the text: the likeliest next token, its probability, and rank and probability of the true one.

    Raises
    ------
    ViewError
        The network is no language model, or its blocks hand on no stream.
    MissingError
        There is no such text.
    DataError
        The texts have fewer than 3 tokens.

    References
    ----------
    nostalgebraist 2020, Interpreting GPT: the logit lens, LessWrong; Belrose and others 2023, Eliciting latent predictions
    from transformers with the tuned lens, arXiv:2303.08112.
    """
    reading = tokens.reading
    require_language_model(reading, "logit_lens")
    shown = reading.shown(text, text_id, "logit_lens")
    names, seen = _seen(reading, shown.inputs)
    places, length = alike(reading, n_texts, random_state)
    result = Lens(
        layers=names,
        tokens=shown.tokens,
        ids=shown.ids,
        **seen,
        caveat=f"Bits are of {len(places)} texts of {length} tokens.",
    )
    show_early(result)
    bits = _bits(reading, places, numbers_of(reading, places, length))
    values, draws = exchanged_means(bits, n_null, random_state, what="logit lens: null")
    evidence = [
        Evidence(
            id="reads_next",
            of=name,
            question="Does the layer read what comes next?",
            label=f"bits of the next token that {name} reads",
            value=value,
            n=len(places),
            unit="texts",
            **tested(drawn, len(places), n_null, length),
        )
        for name, value, drawn in zip(names, values, draws, strict=True)
    ]
    return replace(result, evidence=tuple(reversed(evidence)))  # what the network itself says in front


def _layers(module: torch.nn.Module, inputs: Inputs) -> Iterator[tuple[str, torch.Tensor]]:
    """The logits that are read off at each layer, (b, t, v) in double or single precision; the last are the network's own."""
    known = stream(module, inputs)
    yield INPUT, read_off(module, inputs, known, known.first)
    for name, layer in zip(known.names, layer_names(known.names), strict=True):
        yield layer, read_off(module, inputs, known, known.at(name))


def _seen(reading: Reading, inputs: Inputs) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Names of the layers, and what is read off at each of one text."""
    import torch

    follows = token_numbers(inputs)[0, 1:]
    names, best, chance, rank, true = [], [], [], [], []
    for name, logits in _layers(reading.module, inputs):
        p = logits[0].float().softmax(-1)
        top = p.max(-1)
        own = p[:-1].gather(1, follows[:, None])
        names.append(name)
        best.append(top.indices.cpu().numpy())
        chance.append(top.values.cpu().numpy())
        rank.append(torch.cat([1 + (p[:-1] > own).sum(-1), follows.new_zeros(1)]).cpu().numpy())
        true.append(torch.cat([own[:, 0], own.new_zeros(1)]).cpu().numpy())
    spelled = reading.spelled(np.concatenate(best))
    return tuple(names), {
        "words": spelled,
        "probability": np.stack(chance).astype(np.float64),
        "rank": np.stack(rank).astype(np.int64),
        "true_probability": np.stack(true).astype(np.float64),
    }


def _bits(reading: Reading, places: np.ndarray, numbers: np.ndarray) -> Float[np.ndarray, "n l n"]:
    """Mean over positions of the log probability, in bits, that is read of text i for what comes next in text j."""
    import torch

    length = numbers.shape[1]
    candidates = torch.as_tensor(numbers[:, 1:].T.copy())  # (t - 1, n)
    vocabulary = int(numbers.max()) + 1
    together = max(1, min(TOGETHER, NUMBERS // (length * vocabulary)))
    out: list[np.ndarray] = []
    for _, inputs in batches(reading, places, length, together):
        layers = []
        for _, logits in _layers(reading.module, inputs):
            before = logits[:, :-1].float()
            wanted = candidates.to(before.device).expand(len(before), -1, -1)
            log_p = before.gather(2, wanted) - before.logsumexp(-1, keepdim=True)
            layers.append((log_p.double().mean(1) / np.log(2)).cpu().numpy())
        out.append(np.stack(layers, axis=1))
    return np.concatenate(out)
