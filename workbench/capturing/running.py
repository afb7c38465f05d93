"""Running a network over a feed, and which rows of the store belong to what it was fed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.capturing.batches import batch_feed
from workbench.capturing.company import OUTPUT, caution, dependence, settled
from workbench.capturing.feeds import Fed, Feed, array_feed, text_feed
from workbench.capturing.sites import Reader, Rows, Site, choose_rows, kind_of, probe, wanted
from workbench.capturing.store import Layout, caveat_of, read_store
from workbench.capturing.writing import Run, Unfinished
from workbench.core.errors import DataError, MethodError, ViewError, WorkbenchError
from workbench.core.progress import tell, track
from workbench.numerics.hooks import ATTENTION, as_array, eager_attention, evaluating, first_tensor, hooked
from workbench.numerics.identity.tensors import require_numbers
from workbench.numerics.identity.walking import network_digest
from workbench.subjects.activations import Activations
from workbench.subjects.corpus import Corpus
from workbench.subjects.network import Network
from workbench.subjects.points import PointCloud
from workbench.subjects.reading import position_table

if TYPE_CHECKING:
    import pandas as pd
    import torch

_SLACK = 8
"""How many times the precision of the numbers two passes over the same rows may differ."""


class Changed(Exception):
    """Stored rows aren't those that the network gives now, though its digest is the same."""


@dataclass
class Work:
    """A module and what it is fed."""

    name: str
    module: torch.nn.Module
    feed: Feed
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(
        cls,
        network: Any,
        name: str,
        source: Any,
        *,
        labels: str | None,
        max_length: int,
        batch_size: int,
        markers: bool,
        feed: Feed | None = None,
    ) -> Work:
        """Look at the network and the source (``feed``: as it was read already); raises what `capture` says."""
        import torch

        module = network.module if isinstance(network, Network) else network
        if not isinstance(module, torch.nn.Module):
            opened = f": open it first, workbench.open({network!r})" if isinstance(network, str) else ""
            raise ViewError(
                f"capture runs a checkpoint, a network or a torch module; it was given a {type(network).__name__}{opened}."
            )
        require_numbers(module, name)
        embeddings = (torch.nn.Embedding, torch.nn.EmbeddingBag)
        reads_tokens = any(isinstance(m, embeddings) for m in module.modules())
        if isinstance(source, Corpus):
            encode = network.encode if isinstance(network, Network) else None
            if encode is None:
                raise ViewError(
                    f"{name} doesn't read text: pass arrays or batches. For a module that does, give a "
                    f"workbench.subjects.network.Network with encode=."
                )
            feed = feed or text_feed(source, encode, max_length, batch_size, markers)
        elif isinstance(source, PointCloud | np.ndarray):
            prepare = network.prepare if isinstance(network, Network) else None
            feed = array_feed(source, batch_size, reads_tokens, prepare)
        else:
            feed = batch_feed(source, labels, reads_tokens)
        first = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
        return cls(name, module, feed, first.device, first.dtype)

    def identity(self) -> str:
        """Digest of all that decides the module's answers; raises `identity.Undigestable`."""
        with evaluating(self.module):
            return network_digest(self.module)

    def run(self, fed: Fed) -> Any:
        """Call the module; an error inside it comes with the shapes that caused it."""
        try:
            if isinstance(fed.inputs, Mapping):
                return self.module(**{k: self._fit(v) for k, v in fed.inputs.items()})
            return self.module(*map(self._fit, fed.inputs))
        except (WorkbenchError, KeyboardInterrupt):
            raise
        except Exception as e:
            parts = fed.inputs.items() if isinstance(fed.inputs, Mapping) else enumerate(fed.inputs)
            shapes = ", ".join(f"{k} {tuple(v.shape)} {v.dtype}" for k, v in parts)
            raise MethodError(
                f"{self.name} failed in its forward pass on a batch of {shapes}: {type(e).__name__}: {e}"
            ) from e

    def _fit(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self.device, self.dtype) if x.is_floating_point() else x.to(self.device)

    def store(
        self,
        final: Path,
        key: str,
        patterns: list[str],
        *,
        attention: bool,
        rows: str,
        dtype: str,
        about: dict[str, Any],
        held: Activations | None = None,
    ) -> Activations:
        """Run every batch, write what it gives and open it; where it is ``held`` already, run only two samples.

        Raises
        ------
        Changed
            What is held, or what an earlier run left unfinished, isn't what the module gives now.
        """
        import torch

        if held is not None and (caveat := caveat_of(final)):
            caution(caveat)
            self.feed = self.feed.alone() if self.feed.alone is not None else self.feed
        want = wanted(self.module, patterns, attention)
        eager = eager_attention(self.module) if want.attention else nullcontext()
        # Not inference_mode: what a module keeps for itself in a forward pass couldn't be trained on afterwards.
        with torch.no_grad(), evaluating(self.module), eager:
            sites = probe(self.module, want, self.feed.probe, self.run)
            chosen = choose_rows(sites, rows, self.feed.lengths is not None)
            keys = max((s.shape[-1] for s in sites if s.name.endswith(ATTENTION)), default=0)
            reader = Reader(sites, chosen, dtype, self.feed.width or keys)
            probed = self._caught(self.feed.probe, sites, reader)
            shapes, per_sample = self._shapes(probed, chosen)
            places = Places.of(self.feed, chosen, per_sample)
            layout = Layout(key, shapes, places.rows, dtype)

            def check(read: Callable[[str, int, int], np.ndarray]) -> None:
                self._check(read, probed, sites, reader, places)

            if held is not None:
                found = {site: held.array(site).shape for site in held.sites}
                if found != {site: (places.rows, *shape) for site, shape in shapes.items()}:
                    raise Changed("it gives other sites, or rows of other shapes")
                check(lambda site, start, stop: held.array(site)[start:stop])
                return held
            cause = dependence(
                self.name, self.feed, lambda fed: self._rows(fed, sites, reader), self.dtype, self.device
            )
            self.feed, caveat = settled(self.name, self.feed, cause)
            caution(caveat)
            with (
                Unfinished(final, layout, self.feed.n_batches, torch.get_num_threads()) as writer,
                hooked(self.module, shapes, reader) as caught,
                threads(writer.threads),
            ):
                if writer.whole:
                    return read_store(final, checked=False)
                earlier = islice(self.feed.batches(), writer.done)
                if writer.done and not writer.intact(places.runs(fed.samples) for fed in earlier):
                    tell(
                        f"capture: what an earlier run stored in {writer.folder} was damaged; it is begun anew"
                    )
                done = writer.done
                if done:
                    check(writer.read)
                steps = track(self.feed.batches(), f"capture: {about['name']}", self.feed.n_batches)
                for i, fed in enumerate(steps):
                    if i < done:
                        continue
                    reader.expect(fed)
                    self.run(fed)
                    writer.put(_checked(caught, layout, places.count(fed.samples)), places.runs(fed.samples))
                    caught.clear()
                table, space = places.table(self.feed)
                writer.finish(
                    table,
                    {
                        **about,
                        "space": space,
                        "network": self.name,
                        "source": self.feed.name,
                        "caveat": caveat,
                        "note": self.feed.note,
                    },
                )
                return read_store(final, checked=True)

    def _caught(self, fed: Fed, sites: list[Site], reader: Reader) -> dict[str, np.ndarray]:
        with hooked(self.module, [s.name for s in sites], reader) as caught:
            reader.expect(fed)
            self.run(fed)
            return dict(caught)

    def _rows(self, fed: Fed, sites: list[Site], reader: Reader) -> dict[str, np.ndarray]:
        """What the sites give, and the network itself where its output has rows."""
        with hooked(self.module, [s.name for s in sites], reader) as caught:
            reader.expect(fed)
            output = first_tensor(self.run(fed))
            if output is not None:
                with suppress(DataError):  # numbers of which none are a sample's
                    caught[OUTPUT] = reader.read(kind_of(OUTPUT, tuple(output.shape), fed), as_array(output))
            return dict(caught)

    def _shapes(self, probed: dict[str, np.ndarray], rows: Rows) -> tuple[dict[str, tuple[int, ...]], int]:
        """Shape of a row at each site, and rows a sample where the input doesn't say."""
        n = len(self.feed.probe.samples)
        counts = {site: len(found) for site, found in probed.items()}
        if len(set(counts.values())) > 1:
            said = ", ".join(f"{site} {count // n}" for site, count in counts.items())
            raise DataError(
                f"The sites have different numbers of rows a sample ({said}). Choose alike ones with at=, or "
                f"rows='sample', which averages over positions."
            )
        shapes = {site: found.shape[1:] for site, found in probed.items()}
        return shapes, next(iter(counts.values())) // n if rows == "position" else 1

    def _check(
        self,
        read: Callable[[str, int, int], np.ndarray],
        probed: dict[str, np.ndarray],
        sites: list[Site],
        reader: Reader,
        places: Places,
    ) -> None:
        """Compare the first samples' stored rows with those that the probe gave.

        Other neighbours in a batch are other last bits, and for some networks (those that quantize by the batch's
        range) more than that. So where the two differ the first batch is run again as it was.
        """
        first = next(iter(self.feed.batches()))
        if self._difference(read, probed, places.runs(self.feed.probe.samples[: len(first.samples)])):
            caught = self._caught(first, sites, reader)
            if (said := self._difference(read, caught, places.runs(first.samples))) is not None:
                raise Changed(said)

    def _difference(
        self, read: Callable[[str, int, int], np.ndarray], computed: dict[str, np.ndarray], runs: list[Run]
    ) -> str | None:
        import torch

        for site, rows in computed.items():
            precision = _SLACK * max(torch.finfo(self.dtype).eps, float(np.finfo(rows.dtype).eps))
            for start, stop, place in runs:
                new = rows[start:stop].astype(np.float64)
                old = read(site, place, place + stop - start).astype(np.float64)
                with np.errstate(invalid="ignore"):  # infinite numbers are compared as they are
                    scale = (
                        np.abs(old) + np.sqrt(np.mean(np.square(old[np.isfinite(old)]))) if old.size else old
                    )
                    same = (np.abs(new - old) <= max(precision, 1e-4) * scale) | (new == old)
                if not (same | (np.isnan(new) & np.isnan(old))).all():
                    return f"{site} gives other numbers for the first samples than those stored"
        return None


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let torch take ``n`` threads inside the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _checked(caught: dict[str, np.ndarray], layout: Layout, rows: int) -> dict[str, np.ndarray]:
    for site, shape in layout.sites.items():
        if site not in caught:
            raise DataError(f"{site} ran for the first batch and not for a later one. Leave it out of at=.")
        if caught[site].shape != (rows, *shape):
            raise DataError(
                f"{site} gives {caught[site].shape} where {(rows, *shape)} was expected: what it gives varies from batch "
                f"to batch. Leave it out of at=."
            )
    return dict(caught)


@dataclass(frozen=True)
class Places:
    """Which rows of the store belong to which sample: from ``starts[i]`` to before ``starts[i + 1]``."""

    chosen: Rows
    starts: np.ndarray

    @classmethod
    def of(cls, feed: Feed, chosen: Rows, per_sample: int) -> Places:
        n = len(feed.samples)
        lengths = np.ones(n, np.int64) if chosen == "sample" else feed.lengths
        lengths = np.full(n, per_sample) if lengths is None else lengths
        return cls(chosen, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    @property
    def rows(self) -> int:
        """Rows of the whole store."""
        return int(self.starts[-1])

    def count(self, samples: np.ndarray) -> int:
        """Rows of these samples."""
        return int((self.starts[samples + 1] - self.starts[samples]).sum())

    def runs(self, samples: np.ndarray) -> list[Run]:
        """Where the rows of a batch of samples go; neighbours in the store are written as one."""
        found: list[Run] = []
        at = 0
        starts, stops = self.starts[samples].tolist(), self.starts[samples + 1].tolist()
        for start, stop in zip(starts, stops, strict=True):
            n = stop - start
            if found and found[-1][2] + found[-1][1] - found[-1][0] == start:
                found[-1] = (found[-1][0], at + n, found[-1][2])
            else:
                found.append((at, at + n, start))
            at += n
        return found

    def table(self, feed: Feed) -> tuple[pd.DataFrame, str]:
        """The row table, and the space of its ids."""
        if self.chosen == "sample":
            return feed.samples, feed.space
        return position_table(feed.samples, feed.space, np.diff(self.starts), feed.positions)
