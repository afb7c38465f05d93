"""The public names of the workbench, written by scripts/make_stub.py."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy.typing as npt
import pandas as pd
import torch

from workbench import analyses as analyses
from workbench import benchmarks as benchmarks
from workbench import calibrating as calibrating
from workbench import capturing as capturing
from workbench import commands as commands
from workbench import core as core
from workbench import edits as edits
from workbench import evidence as evidence
from workbench import io as io
from workbench import models as models
from workbench import numerics as numerics
from workbench import recording as recording
from workbench import report as report
from workbench import results as results
from workbench import sources as sources
from workbench import subjects as subjects
from workbench.capturing.capture import capture as capture
from workbench.capturing.computation_graph import computation_graph as computation_graph
from workbench.capturing.reading import reading as reading
from workbench.capturing.weight_graph import weight_graph as weight_graph
from workbench.capturing.weight_stack import weight_stack as weight_stack
from workbench.core.edit import Edit as Edit
from workbench.core.errors import WorkbenchError as WorkbenchError
from workbench.core.history import forget as forget
from workbench.core.loading import load as load
from workbench.core.method import Method
from workbench.core.registry import method as method
from workbench.core.registry import methods as methods
from workbench.core.result import Result as Result
from workbench.core.subject import Subject
from workbench.edits.affine import Affine as Affine
from workbench.edits.bits import Bits as Bits
from workbench.edits.dense import Dense as Dense
from workbench.edits.lora import LoRA as LoRA
from workbench.edits.lora import Unmerge as Unmerge
from workbench.edits.low_rank import LowRank as LowRank
from workbench.edits.magnitude_mask import MagnitudeMask
from workbench.edits.mask import Mask as Mask
from workbench.edits.permutation import Permutation
from workbench.edits.replacement import Replacement as Replacement
from workbench.edits.silencing import Silencing
from workbench.edits.site_function import SiteFunction as SiteFunction
from workbench.edits.taking_out import certify as certify
from workbench.evidence.along import along as along
from workbench.evidence.along import side_by_side as side_by_side
from workbench.evidence.correction import correct as correct
from workbench.evidence.findings import Findings as Findings
from workbench.io.adapters import read_adapter as read_adapter
from workbench.io.corpus import corpus as corpus
from workbench.io.opening import open as open
from workbench.models._fine_tuning import fine_tune as fine_tune
from workbench.recording.bookmarks import bookmark as bookmark
from workbench.recording.record import record as record
from workbench.results.attention_maps import AttentionMaps
from workbench.results.contexts import Contexts
from workbench.results.curve import Curve
from workbench.results.diagram import Diagram
from workbench.results.embedding import Embedding
from workbench.results.estimate import Estimate
from workbench.results.expression import Expression
from workbench.results.graph import GraphResult
from workbench.results.head_map import HeadMap
from workbench.results.landscape import Landscape
from workbench.results.law import Law
from workbench.results.layouts import Layouts
from workbench.results.lens import Lens
from workbench.results.matrix import MatrixResult
from workbench.results.panels import Panels
from workbench.results.partition import Partition
from workbench.results.paths import Paths
from workbench.results.ranking import Ranking
from workbench.results.simplification import Simplification
from workbench.results.site_map import SiteMap
from workbench.results.spectrum import Spectrum
from workbench.results.ties import Ties
from workbench.results.verdict import Verdict
from workbench.results.weight_changes import WeightChanges
from workbench.results.weight_map import WeightMap
from workbench.subjects.activations import Activations as Activations
from workbench.subjects.arrays import Arrays as Arrays
from workbench.subjects.checkpoint import Checkpoint as Checkpoint
from workbench.subjects.corpus import Corpus as Corpus
from workbench.subjects.descents.siblings import Siblings as Siblings
from workbench.subjects.descents.siblings import siblings as siblings
from workbench.subjects.descents.trajectory import Trajectory as Trajectory
from workbench.subjects.graph import GraphSubject as GraphSubject
from workbench.subjects.memory import Memory
from workbench.subjects.points import PointCloud as PointCloud
from workbench.subjects.reading import Reading as Reading
from workbench.subjects.series import TimeSeries as TimeSeries
from workbench.subjects.stack import WeightStack as WeightStack
from workbench.subjects.world import World as World
from workbench.telling import sentences as sentences

Rows: TypeAlias = npt.NDArray[Any] | torch.Tensor
Asked: TypeAlias = Subject | Result | Rows | pd.DataFrame | Mapping[str, Rows] | tuple[Rows, ...]
"""What a method can be asked of: a subject, a result that has rows, an array, a table, several arrays."""

__version__: str

class _cluster_pairs(Method):
    def __call__(
        self,
        points: Asked,
        clusters: Asked,
        /,
        *,
        max_rows: int = 300,
        n_null: int = 99,
        random_state: int = 0,
    ) -> Estimate:
        """Ask of each cluster and the one nearest to it whether they are more than one lump that was cut in two."""

cluster_pairs: _cluster_pairs

class _spectral_clustering(Method):
    def __call__(
        self,
        points: Asked,
        /,
        *,
        n_clusters: int | None = None,
        max_clusters: int = 15,
        n_neighbors: int = 10,
        affinity: Literal[
            "nearest_neighbors", "precomputed", "precomputed_nearest_neighbors"
        ] = "nearest_neighbors",
        n_null: int = 39,
        n_boot: int = 200,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Partition:
        """Group rows by k-means on the leading modes of a random walk on their neighbour graph."""

spectral_clustering: _spectral_clustering

class _activation_rank(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        measure: Literal["effective_rank", "participation_ratio"] = "effective_rank",
        layers: str = "*",
        max_steps: int = 8,
        max_samples: int = 256,
        n_null: int = 99,
        n_boot: int = 40,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Curve:
        """Follow the rank of what each layer gives for the probe over the steps."""

activation_rank: _activation_rank

class _descent_law(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        column: str = "loss",
        scale: Literal["log", "linear"] = "log",
        criterion: Literal["bic", "aic"] = "bic",
        split_at: int | None = None,
        n_null: int = 39,
        n_boot: int = 200,
        random_state: int = 0,
    ) -> Curve:
        """Fit the usual laws to a curve of a descent and say which it can follow, and with which constants."""

descent_law: _descent_law

class _gradient_rank(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        measure: Literal["effective_rank", "participation_ratio"] = "effective_rank",
        layers: str = "*",
        max_steps: int = 8,
        max_samples: int = 128,
        n_null: int = 99,
        n_boot: int = 40,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Curve:
        """Follow the rank of the gradients of single samples, layer by layer, over the steps."""

gradient_rank: _gradient_rank

class _hessian_density(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        step: int | None = None,
        flat: float = 0.01,
        width: float = 0.01,
        starts: int = 4,
        lanczos_steps: int = 40,
        n_null: int = 39,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Curve:
        """Show the density of the Hessian's eigenvalues, and say which share of the directions is flat or curves down."""

hessian_density: _hessian_density

class _hessian_spectrum(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        n_eigenvalues: int = 2,
        lanczos_steps: int = 40,
        trace_draws: int = 32,
        max_steps: int = 8,
        n_null: int = 39,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Curve:
        """Follow the largest eigenvalues, the smallest and the trace of the Hessian of the probe's loss over the steps."""

hessian_spectrum: _hessian_spectrum

class _interpolation_barrier(Method):
    def __call__(
        self,
        models: Asked,
        /,
        *,
        match: Literal["weights", "activations"] = "weights",
        points: int = 21,
        n_null: int = 19,
        n_boot: int = 200,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Curve:
        """Follow the loss on the straight way between every two networks, as they are and with the neurons of one matched."""

interpolation_barrier: _interpolation_barrier

class _loss_landscape(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        directions: Literal["path", "random"] = "path",
        normalization: Literal["filter", "layer", "none"] = "filter",
        points: int = 25,
        extent: float = 1.0,
        n_null: int = 199,
        n_boot: int = 200,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Landscape:
        """Evaluate the loss on the probe over a plane through the last weights of a descent, and draw its path in it."""

loss_landscape: _loss_landscape

class _loss_slice(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        directions: Literal["path", "random"] = "path",
        normalization: Literal["filter", "layer", "none"] = "filter",
        points: int = 51,
        extent: float = 1.0,
        n_null: int = 199,
        n_boot: int = 200,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Curve:
        """Evaluate the loss on the probe along a line through the last weights, and along random lines beside it."""

loss_slice: _loss_slice

class _memorization(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        max_steps: int = 8,
        max_samples: int = 1000,
        n_null: int = 99,
        n_boot: int = 100,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Curve:
        """Follow how well a sample's loss tells whether it was trained on: membership inference by loss."""

memorization: _memorization

class _neural_collapse(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        max_steps: int = 8,
        max_samples: int = 1000,
        n_null: int = 39,
        n_boot: int = 100,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Curve:
        """Follow the four signs of neural collapse on the probe; all are 0 where it is complete."""

neural_collapse: _neural_collapse

class _output_entropy(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        max_steps: int = 8,
        max_samples: int = 256,
        n_null: int = 99,
        n_boot: int = 200,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Curve:
        """Follow the entropy of what the network answers: of a single answer, and of the mean of all answers."""

output_entropy: _output_entropy

class _plateaus(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        column: str = "loss",
        scale: Literal["log", "linear"] = "log",
        clock: Literal["auto", "step", "log step"] = "auto",
        level: float = 0.05,
        flat: float = 0.25,
        most: int = 6,
        shortest: float = 0.06,
        n_null: int = 199,
        n_boot: int = 100,
        random_state: int = 0,
    ) -> Curve:
        """Cut a descent into stretches of steady pace, at changes that noise would seldom feign, and name the plateaus."""

plateaus: _plateaus

class _renormalization_pictures(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        column: str = "loss",
        at: float = 5.0,
        positions: int = 17,
        law: Literal[
            "exponential",
            "exponential with floor",
            "power law",
            "power law with floor",
            "stretched exponential",
            "stretched exponential with floor",
        ] = "exponential with floor",
        scale: Literal["log", "linear"] = "log",
        n_null: int = 39,
        n_boot: int = 100,
        random_state: int = 0,
    ) -> Panels:
        """Draw the room left between two quadratics and between two lines, both renormalized at x, and a real descent beside them."""

renormalization_pictures: _renormalization_pictures

class _renormalize(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        arm: Literal[
            "all",
            "whitening",
            "flattening",
            "weight_norm",
            "batch_norm",
            "widening",
            "shrink_perturb",
            "tethering",
        ] = "all",
        step: int | None = None,
        fork: Literal["end", "plateau"] = "end",
        budget: int = 100,
        repeats: int = 12,
        batch_size: int = 64,
        layers: str = "*",
        strength: float = 1.0,
        shrink: float = 0.5,
        noise: float = 0.1,
        widening: float = 1.5,
        tethered: float = 0.1,
        tether_source: Literal["gradient_weight", "fisher", "magnitude", "random"] = "gradient_weight",
        rate_factors: tuple[float, ...] = (2.0, 8.0, 32.0),
        arm_rate: float = 1.0,
        learning_rate: float | None = None,
        optimizer: Literal["recorded", "sgd", "momentum", "adam", "adamw"] = "recorded",
        n_null: int = 999,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Paths:
        """Fork a descent at a step, renormalize the network in several ways, train on for the same budget, and compare."""

renormalize: _renormalize

class _sameness(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        of: Literal["representations", "answers"] = "representations",
        max_steps: int = 8,
        max_samples: int = 256,
        n_null: int = 99,
        n_boot: int = 40,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Curve:
        """Follow as one curve how alike samples are: the cosine between two different samples, averaged over all pairs."""

sameness: _sameness

class _update_alignment(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        beside: Literal["previous", "path"] = "previous",
        layers: str = "*",
        max_steps: int = 50,
        n_null: int = 999,
        random_state: int = 0,
    ) -> Curve:
        """Follow the cosine between successive updates of the weights, layer by layer."""

update_alignment: _update_alignment

class _aligned_umap(Method):
    def __call__(
        self,
        layers: Asked,
        /,
        *,
        n_neighbors: int = 15,
        n_components: int = 2,
        metric: Literal["euclidean", "cosine", "correlation"] = "euclidean",
        min_dist: float = 0.1,
        spread: float = 1.0,
        n_epochs: int | None = None,
        init: Literal["spectral", "pca", "random"] = "spectral",
        negative_sample_rate: int = 5,
        alignment_regularisation: float = 0.01,
        alignment_window_size: int = 3,
        n_null: int = 99,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Layouts:
        """Lay out every layer so that a row can be followed from one to the next (aligned UMAP)."""

aligned_umap: _aligned_umap

class _isomap(Method):
    def __call__(
        self,
        points: Asked,
        /,
        *,
        n_neighbors: int = 10,
        n_components: int = 2,
        metric: Literal[
            "euclidean", "cosine", "correlation", "manhattan", "chebyshev", "precomputed"
        ] = "euclidean",
        n_null: int = 5,
        random_state: int = 0,
    ) -> Embedding:
        """Lay rows out so that distances are those of shortest paths through the neighbour graph."""

isomap: _isomap

class _pca(Method):
    def __call__(
        self,
        points: Asked,
        /,
        *,
        n_components: int = 2,
        whiten: bool = False,
        svd_solver: Literal["auto", "full", "randomized"] = "auto",
        n_null: int = 99,
        n_boot: int = 200,
        random_state: int = 0,
    ) -> Embedding:
        """Project rows on their directions of largest variance."""

pca: _pca

class _spectral_embedding(Method):
    def __call__(
        self,
        points: Asked,
        /,
        *,
        n_components: int = 2,
        n_neighbors: int = 15,
        affinity: Literal[
            "nearest_neighbors", "precomputed", "precomputed_nearest_neighbors"
        ] = "nearest_neighbors",
        n_null: int = 5,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Embedding:
        """Lay rows out by the leading eigenvectors of their graph's normalized Laplacian."""

spectral_embedding: _spectral_embedding

class _tsne(Method):
    def __call__(
        self,
        points: Asked,
        /,
        *,
        n_components: int = 2,
        perplexity: float = 30.0,
        early_exaggeration: float = 12.0,
        learning_rate: float | None = None,
        max_iter: int = 1000,
        metric: Literal[
            "euclidean", "cosine", "correlation", "manhattan", "chebyshev", "precomputed"
        ] = "euclidean",
        init: Literal["pca", "random"] = "pca",
        n_null: int = 5,
        random_state: int = 0,
    ) -> Embedding:
        """Lay rows out so that each keeps its neighbours (t-distributed stochastic neighbour embedding)."""

tsne: _tsne

class _umap(Method):
    def __call__(
        self,
        points: Asked,
        /,
        *,
        n_neighbors: int = 15,
        n_components: int = 2,
        metric: Literal[
            "euclidean", "cosine", "correlation", "manhattan", "chebyshev", "precomputed"
        ] = "euclidean",
        min_dist: float = 0.1,
        spread: float = 1.0,
        n_epochs: int | None = None,
        init: Literal["spectral", "pca", "random"] = "spectral",
        negative_sample_rate: int = 5,
        densmap: bool = False,
        target: str = "",
        target_weight: float = 0.5,
        n_null: int = 3,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda", "cuda:0"] = "auto",
    ) -> Embedding:
        """Lay rows out so that near neighbours stay near (uniform manifold approximation and projection)."""

umap: _umap

class _laws(Method):
    def __call__(
        self,
        relation: Asked,
        /,
        *,
        target: str | None = None,
        max_size: int = 6,
        generations: int = 40,
        held_out: float = 0.25,
        n_null: int = 999,
        random_state: int = 0,
    ) -> Law:
        """Look for a law: a short formula of the inputs that foretells the output on rows it hasn't seen."""

laws: _laws

class _neuron_formula(Method):
    def __call__(
        self,
        network: Asked,
        rows: Asked | None = None,
        /,
        *,
        at: str | None = None,
        neuron: int = 0,
        depth: int = 1,
        n_terms: int = 5,
        max_terms: int = 20000,
        n_null: int = 199,
        random_state: int = 0,
    ) -> Expression:
        """Write one unit of a network as a formula, exactly and cut to the terms that matter, with the error that this makes."""

neuron_formula: _neuron_formula

class _intrinsic_dimension(Method):
    def __call__(
        self,
        points: Asked,
        /,
        *,
        n_neighbors: int = 20,
        discard_fraction: float = 0.1,
        n_null: int = 39,
        n_boot: int = 50,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Estimate:
        """Estimate the dimension of the surface that rows lie on, by two estimators that see two scales."""

intrinsic_dimension: _intrinsic_dimension

class _neighbourhood_preservation(Method):
    def __call__(
        self,
        aligned: Asked,
        /,
        *,
        n_neighbors: int = 10,
        metric: Literal[
            "euclidean", "cosine", "correlation", "manhattan", "chebyshev", "precomputed"
        ] = "euclidean",
        n_null: int = 99,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Estimate:
        """Measure how well the neighbourhoods of the first array survive in the last."""

neighbourhood_preservation: _neighbourhood_preservation

class _betweenness(Method):
    def __call__(
        self,
        graph: Asked,
        /,
        *,
        length: Literal["inverse", "one"] = "inverse",
        n_null: int = 99,
        random_state: int = 0,
    ) -> Ranking:
        """Rank nodes by the share of the pairs of others whose shortest path runs through them."""

betweenness: _betweenness

class _communities(Method):
    def __call__(
        self, graph: Asked, /, *, resolution: float = 1.0, n_null: int = 99, random_state: int = 0
    ) -> Partition:
        """Put nodes into communities by the modularity that the Leiden algorithm reaches."""

communities: _communities

class _pagerank(Method):
    def __call__(
        self,
        graph: Asked,
        /,
        *,
        alpha: float = 0.85,
        max_iter: int = 200,
        tol: float = 1e-06,
        n_null: int = 99,
        random_state: int = 0,
    ) -> Ranking:
        """Rank nodes by how often a random walk that starts anew with chance 1 - alpha visits them."""

pagerank: _pagerank

class _spanning_tree(Method):
    def __call__(
        self, graph: Asked, /, *, most_drawn: int = 200, n_null: int = 99, random_state: int = 0
    ) -> GraphResult:
        """Keep the edges of largest weight that join everything that is joined, without a circle."""

spanning_tree: _spanning_tree

class _attention_flow(Method):
    def __call__(
        self,
        tokens: Asked,
        /,
        *,
        text: str | None = None,
        text_id: int | None = None,
        how: Literal["rollout", "flow"] = "rollout",
        n_texts: int = 16,
        n_null: int = 399,
        random_state: int = 0,
    ) -> AttentionMaps:
        """Show which tokens of a text reach each token over all layers by attention, and whether the answer goes by them."""

attention_flow: _attention_flow

class _attention_patterns(Method):
    def __call__(
        self,
        tokens: Asked,
        /,
        *,
        text: str | None = None,
        text_id: int | None = None,
        n_texts: int = 48,
        n_untrained: int = 5,
        n_null: int = 399,
        random_state: int = 0,
    ) -> AttentionMaps:
        """Show what each attention head looks at in a text, and say of all heads what they go by, beside what chance gives."""

attention_patterns: _attention_patterns

class _logit_lens(Method):
    def __call__(
        self,
        tokens: Asked,
        /,
        *,
        text: str | None = None,
        text_id: int | None = None,
        n_texts: int = 24,
        n_null: int = 399,
        random_state: int = 0,
    ) -> Lens:
        """Show what a language model would say at each layer and token of a text, if it stopped there."""

logit_lens: _logit_lens

class _patch_map(Method):
    def __call__(
        self,
        tokens: Asked,
        /,
        *,
        text: str | None = None,
        text_id: int | None = None,
        corrupted: str | None = None,
        part: str | None = None,
        position: int | None = None,
        max_layers: int = 12,
        n_texts: int = 16,
        n_null: int = 49,
        random_state: int = 0,
    ) -> SiteMap:
        """Show through which layers and positions of a text the answer passes: each is changed alone, beside random changes."""

patch_map: _patch_map

class _site_ablation(Method):
    def __call__(
        self,
        tokens: Asked,
        /,
        *,
        site: str | None = None,
        head: int | None = None,
        neuron: int | None = None,
        position: int | None = None,
        how: Literal["mean", "zero", "patch"] = "mean",
        shift: int = 1,
        n_texts: int = 16,
        n_null: int = 99,
        random_state: int = 0,
    ) -> Estimate:
        """Take away what a site of a network says, and measure how far the answer moves, beside other changes of the same size."""

site_ablation: _site_ablation

class _top_rows(Method):
    def __call__(
        self,
        tokens: Asked,
        directions: Asked | None = None,
        /,
        *,
        site: str | None = None,
        index: int = 0,
        top: int = 20,
        label: str | None = None,
        markers: bool = False,
        n_texts: int = 200,
        n_null: int = 399,
        random_state: int = 0,
    ) -> Contexts:
        """Show the tokens that a neuron or a direction of a network is excited by most, each in its context."""

top_rows: _top_rows

class _forgetting(Method):
    def __call__(
        self, facts: Asked, /, *, fact: int = 0, updates: int = 3, n_null: int = 99, random_state: int = 0
    ) -> Verdict:
        """Remove a fact, and say whether anything of it is left."""

forgetting: _forgetting

class _recall(Method):
    def __call__(
        self,
        facts: Asked,
        /,
        *,
        max_facts: int = 100,
        fetched: int = 0,
        n_null: int = 99,
        random_state: int = 0,
    ) -> Estimate:
        """Ask a memory's facts by their first line, and count the answers that are right to the last byte."""

recall: _recall

class _cka(Method):
    def __call__(
        self,
        aligned: Asked,
        /,
        *,
        kernel: Literal["linear", "rbf"] = "linear",
        debiased: bool = True,
        max_rows: int = 1000,
        n_null: int = 399,
        random_state: int = 0,
    ) -> MatrixResult:
        """Compare every two layers by which rows each holds to be similar."""

cka: _cka

class _linear_probe(Method):
    def __call__(
        self,
        points: Asked,
        /,
        *,
        label: str | None = None,
        group: str | None = None,
        control: str | None = None,
        alpha: float | None = None,
        cv: int = 5,
        max_rows: int = 100000,
        n_null: int = 399,
        n_boot: int = 40,
        random_state: int = 0,
    ) -> Estimate:
        """Predict a label from the columns by a linear probe, on groups of rows that it hasn't seen."""

linear_probe: _linear_probe

class _equivalence(Method):
    def __call__(
        self,
        first: Asked,
        second: Asked,
        /,
        *,
        low: float | None = None,
        high: float | None = None,
        tolerance: float = 1e-06,
        n_samples: int = 100000,
        effort: int = 20,
        random_state: int = 0,
    ) -> Verdict:
        """Say whether two networks are one function of real numbers: proven, refuted by an input, or untold."""

equivalence: _equivalence

class _simplification(Method):
    def __call__(
        self,
        network: Asked,
        /,
        *,
        low: float | None = None,
        high: float | None = None,
        rounding: bool = True,
        tolerance: float = 1e-06,
        n_samples: int = 10000,
        random_state: int = 0,
    ) -> Simplification:
        """Leave out of a network what its function doesn't need: each step proven, or rounded with its effect measured."""

simplification: _simplification

class _unit_pruning(Method):
    def __call__(
        self,
        network: Asked,
        /,
        *,
        share: float = 0.5,
        low: float | None = None,
        high: float | None = None,
        n_samples: int = 2000,
        n_null: int = 99,
        random_state: int = 0,
    ) -> Curve:
        """Take units out of every hidden layer and measure what is lost: the fewest in effect, the smallest, and any at random."""

unit_pruning: _unit_pruning

class _copying(Method):
    def __call__(
        self,
        real: Asked,
        synthetic: Asked,
        /,
        *,
        held_out: float = 0.3333333333333333,
        width: int = 8,
        n_null: int = 99,
        random_state: int = 0,
    ) -> Estimate:
        """Say how many windows of a synthetic series are copies of real ones, and how close the others come to what it was made from."""

copying: _copying

class _discriminator(Method):
    def __call__(
        self,
        real: Asked,
        synthetic: Asked,
        /,
        *,
        held_out: float = 0.3333333333333333,
        width: int = 8,
        n_null: int = 99,
        random_state: int = 0,
    ) -> Estimate:
        """Say how well a classifier tells windows of a synthetic series from real ones that are held out."""

discriminator: _discriminator

class _likeness(Method):
    def __call__(
        self,
        real: Asked,
        synthetic: Asked,
        /,
        *,
        held_out: float = 0.3333333333333333,
        lags: int = 8,
        n_null: int = 99,
        random_state: int = 0,
    ) -> Estimate:
        """Say how far a synthetic series' values, autocorrelations, correlations between channels and tails are from real ones."""

likeness: _likeness

class _synthetic_verdict(Method):
    def __call__(
        self,
        real: Asked,
        synthetic: Asked | None = None,
        /,
        *,
        maker: Literal["reservoir", "stationary_bootstrap", "var", "copula", "analogs", "gru"] = "reservoir",
        held_out: float = 0.3333333333333333,
        n_null: int = 99,
        n_boot: int = 20,
        random_state: int = 0,
    ) -> Panels:
        """Make a series like one that is given, and say whether it is of use, is told from real steps, copies, and is alike."""

synthetic_verdict: _synthetic_verdict

class _usefulness(Method):
    def __call__(
        self,
        real: Asked,
        synthetic: Asked,
        /,
        *,
        held_out: float = 0.3333333333333333,
        lags: int = 4,
        ahead: int = 4,
        n_null: int = 39,
        n_boot: int = 20,
        random_state: int = 0,
    ) -> Estimate:
        """Say how well forecasters that learnt from a synthetic series forecast real steps, beside those that learnt from real ones."""

usefulness: _usefulness

class _bookmark_stability(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        source: Literal[
            "fisher",
            "fisher_true",
            "fisher_weight",
            "gradient_weight",
            "movement",
            "movement_score",
            "adam",
            "second_moment",
            "attention",
            "dropout",
            "centrality",
            "magnitude",
            "random",
        ] = "magnitude",
        recorded: str | None = None,
        fraction: float = 0.1,
        scope: Literal["layer", "network"] = "layer",
        max_steps: int = 40,
        false_alarms: float = 0.05,
        n_null: int = 39,
        n_boot: int = 200,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Curve:
        """Follow the most tethered edges from step to step."""

bookmark_stability: _bookmark_stability

class _ensemble(Method):
    def __call__(
        self,
        models: Asked,
        /,
        *,
        rounds: int = 6,
        steps: int = 15,
        repeats: int = 12,
        source: Literal["magnitude", "movement", "fisher", "gradient_weight", "random"] = "movement",
        measure: Literal["cka", "procrustes", "cosine"] = "cka",
        fraction: float = 0.25,
        false_positive_rate: float = 0.05,
        draws: int = 19,
        drift: Literal["keep", "push"] = "keep",
        start: Literal["first", "last"] = "first",
        scored: Literal["met", "trained"] = "met",
        batch_size: int = 32,
        learning_rate: float = 0.005,
        optimizer: Literal["sgd", "momentum", "adam", "adamw"] = "adam",
        n_null: int = 999,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        random_state: int = 0,
    ) -> Panels:
        """Train several networks in rounds, let them merge or drift by their tethers, and compare with other ways to meet."""

ensemble: _ensemble

class _ensemble_tethers(Method):
    def __call__(
        self,
        models: Asked,
        /,
        *,
        rounds: int = 6,
        steps: int = 15,
        repeats: int = 12,
        source: Literal["magnitude", "movement", "fisher", "gradient_weight", "random"] = "movement",
        measure: Literal["cka", "procrustes", "cosine"] = "cka",
        fraction: float = 0.25,
        false_positive_rate: float = 0.05,
        draws: int = 19,
        drift: Literal["keep", "push"] = "keep",
        start: Literal["first", "last"] = "first",
        batch_size: int = 32,
        learning_rate: float = 0.005,
        optimizer: Literal["sgd", "momentum", "adam", "adamw"] = "adam",
        device: Literal["auto", "cpu", "cuda"] = "auto",
        random_state: int = 0,
    ) -> Ties:
        """Draw which layers of which networks are compatible in each round of `ensemble`, and so are merged."""

ensemble_tethers: _ensemble_tethers

class _tether_ablation(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        step: int | None = None,
        sources: tuple[str, ...] = (),
        fractions: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4),
        mode: Literal["remove", "keep"] = "remove",
        rest: Literal["zero", "flatten", "shuffle"] = "zero",
        scope: Literal["layer", "network"] = "layer",
        measure: Literal["loss", "error"] = "loss",
        n_null: int = 99,
        n_boot: int = 500,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> Curve:
        """Take away the edges that each source holds on to, and measure the loss on samples that the source hasn't seen."""

tether_ablation: _tether_ablation

class _tether_agreement(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        step: int | None = None,
        sources: tuple[str, ...] = (),
        measure: Literal["spearman", "overlap"] = "spearman",
        fraction: float = 0.1,
        scope: Literal["layer", "network"] = "layer",
        n_null: int = 99,
        n_boot: int = 20,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> MatrixResult:
        """Compare every two sources' tethers of the same weights."""

tether_agreement: _tether_agreement

class _tether_compatibility(Method):
    def __call__(
        self,
        models: Asked,
        /,
        *,
        sources: tuple[str, ...] = ("magnitude", "fisher"),
        measure: Literal["cka", "procrustes", "cosine"] = "cka",
        false_positive_rate: float = 0.05,
        null: Literal["auto", "order", "networks"] = "auto",
        steps: int = 3,
        fraction: float = 0.1,
        n_null: int = 99,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        random_state: int = 0,
    ) -> Ties:
        """Compare the tethers of the same layer in every two networks, and of every two layers in a row of one network."""

tether_compatibility: _tether_compatibility

class _tethers(Method):
    def __call__(
        self,
        descent: Asked,
        /,
        *,
        source: Literal[
            "fisher",
            "fisher_true",
            "fisher_weight",
            "gradient_weight",
            "movement",
            "movement_score",
            "adam",
            "second_moment",
            "attention",
            "dropout",
            "centrality",
            "magnitude",
            "random",
        ] = "fisher",
        step: int | None = None,
        layer: str | None = None,
        fraction: float = 0.1,
        n_null: int = 99,
        n_boot: int = 10,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> MatrixResult:
        """Show one source's tethers of one layer, T with the shape of W, and ask three things of them."""

tethers: _tethers

class _barcode_distance(Method):
    def __call__(
        self,
        aligned: Asked,
        /,
        *,
        metric: Literal["bottleneck", "wasserstein"] = "bottleneck",
        p: float = 2.0,
        homology_dimension: int = 1,
        row_metric: Literal["euclidean", "manhattan", "chebyshev", "cosine", "precomputed"] = "euclidean",
        normalize: bool = True,
        max_points: int = 128,
        n_null: int = 99,
        n_boot: int = 20,
        random_state: int = 0,
    ) -> MatrixResult:
        """Compare every two layers by the distance between their barcodes."""

barcode_distance: _barcode_distance

class _landscape(Method):
    def __call__(
        self,
        points: Asked,
        /,
        *,
        metric: Literal["euclidean", "manhattan", "chebyshev", "cosine", "precomputed"] = "euclidean",
        homology_dimension: int = 1,
        n_layers: int = 3,
        n_bins: int = 100,
        max_points: int = 128,
        n_null: int = 39,
        n_boot: int = 30,
        random_state: int = 0,
    ) -> Curve:
        """Turn the bars of one dimension into a landscape: at each distance, how far inside its longest bars it lies."""

landscape: _landscape

class _mapper(Method):
    def __call__(
        self,
        points: Asked,
        /,
        *,
        metric: Literal["euclidean", "precomputed"] = "euclidean",
        n_components: int = 2,
        kind: Literal["uniform", "balanced"] = "uniform",
        n_intervals: int = 10,
        overlap_frac: float = 0.3,
        eps: float | None = None,
        min_samples: int = 3,
        min_intersection: int = 1,
        n_null: int = 39,
        random_state: int = 0,
    ) -> GraphResult:
        """Slice the cloud along principal components, cluster every slice, join clusters that share rows."""

mapper: _mapper

class _persistence(Method):
    def __call__(
        self,
        points: Asked,
        /,
        *,
        metric: Literal["euclidean", "manhattan", "chebyshev", "cosine", "precomputed"] = "euclidean",
        homology_dimensions: tuple[int, ...] = (0, 1),
        max_edge_length: float | None = None,
        coeff: Literal[2, 3, 5, 7, 11] = 2,
        max_points: int = 256,
        sparse: float = 0.0,
        cycles: int = 60,
        n_null: int = 39,
        n_boot: int = 30,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        random_state: int = 0,
    ) -> Diagram:
        """Compute the Vietoris-Rips barcode: at which distances components, loops, voids ... appear and vanish."""

persistence: _persistence

class _persistence_image(Method):
    def __call__(
        self,
        points: Asked,
        /,
        *,
        metric: Literal["euclidean", "manhattan", "chebyshev", "cosine", "precomputed"] = "euclidean",
        homology_dimension: int = 1,
        sigma: float | None = None,
        n_bins: int = 20,
        max_points: int = 128,
        n_null: int = 39,
        n_boot: int = 30,
        random_state: int = 0,
    ) -> MatrixResult:
        """Draw the bars of one dimension as a picture: a Gaussian each, at its birth and persistence."""

persistence_image: _persistence_image

class _takens(Method):
    def __call__(
        self,
        series: Asked,
        /,
        *,
        time_delay: int | None = None,
        dimension: int | None = None,
        stride: int = 1,
        max_time_delay: int = 10,
        max_dimension: int = 5,
        n_null: int = 39,
        random_state: int = 0,
    ) -> Embedding:
        """Unfold a series in delayed copies of itself, and ask whether its next step is more than linear."""

takens: _takens

class _attention_heads(Method):
    def __call__(
        self,
        checkpoint: Asked,
        /,
        *,
        n_heads: int = 0,
        n_directions: int = 16,
        n_null: int = 99,
        random_state: int = 0,
    ) -> HeadMap:
        """Read every attention head off the weights: what it looks for, what it hands on, and which heads compose."""

attention_heads: _attention_heads

class _head_formula(Method):
    def __call__(
        self,
        checkpoint: Asked,
        /,
        *,
        layer: int = 0,
        head: int = 0,
        circuit: Literal["query-key", "output-value"] = "query-key",
        n_heads: int = 0,
        n_terms: int = 5,
        max_terms: int = 20000,
        n_null: int = 99,
        random_state: int = 0,
    ) -> Expression:
        """Write an attention head as a formula: the sum of products of two tokens' numbers that its score is."""

head_formula: _head_formula

class _schmidt_entropy(Method):
    def __call__(
        self, matrix: Asked, /, *, largest_side: int = 384, n_null: int = 99, random_state: int = 0
    ) -> Curve:
        """Say how much a matrix's indices have in common across every cut: Schmidt entropies along the chain of its legs."""

schmidt_entropy: _schmidt_entropy

class _singular_values(Method):
    def __call__(
        self, matrix: Asked, /, *, n_components: int = 200, n_null: int = 99, random_state: int = 0
    ) -> Spectrum:
        """Decompose a weight matrix and compare it with the same entries under random signs."""

singular_values: _singular_values

class _stack_entropy(Method):
    def __call__(
        self, stack: Asked, /, *, largest_side: int = 128, n_null: int = 99, random_state: int = 0
    ) -> Curve:
        """Say how much the parts of stacked matrices have in common across every cut: layers, then digits of rows, then of columns."""

stack_entropy: _stack_entropy

class _tensor_decomposition(Method):
    def __call__(
        self,
        stack: Asked,
        /,
        *,
        largest_side: int = 64,
        sweeps: int = 10,
        n_null: int = 99,
        random_state: int = 0,
    ) -> Curve:
        """Say how much is left out of the stacked matrices of one role when they are kept together in 1 to 10 % of the numbers."""

tensor_decomposition: _tensor_decomposition

class _weight_changes(Method):
    def __call__(
        self,
        before: Asked,
        after: Asked,
        /,
        *,
        n_components: int = 16,
        related: float = 0.2,
        n_null: int = 99,
        random_state: int = 0,
    ) -> WeightChanges:
        """Say what became of each tensor between two checkpoints, and what could have done it."""

weight_changes: _weight_changes

class _weights(Method):
    def __call__(
        self,
        checkpoint: Asked,
        /,
        *,
        largest_exact: int = 8192,
        small_values: bool = False,
        n_null: int = 99,
        random_state: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> WeightMap:
        """Weigh every matrix of a checkpoint: role, norms, rank, noise, tail, sparsity, grid, outliers, and what isn't finite."""

weights: _weights

class _extract_adapter(Method):
    def __call__(self, checkpoint: Asked, tuned: Asked, /, *, max_rank: int = 64, at: str = "**") -> LowRank:
        """Draw an adapter out of a base and what was made of it: of each changed matrix its change as factors of lowest rank."""

extract_adapter: _extract_adapter

class _prune(Method):
    def __call__(self, checkpoint: Asked, /, *, fraction: float = 0.5, at: str = "**") -> MagnitudeMask:
        """Zero the entries of smallest magnitude of every weight matrix."""

prune: _prune

class _shuffle_weights(Method):
    def __call__(self, checkpoint: Asked, /, *, at: str = "**", random_state: int = 0) -> Permutation:
        """Permute the entries of every weight matrix within itself."""

shuffle_weights: _shuffle_weights

class _simplify(Method):
    def __call__(
        self, network: Asked, /, *, low: float | None = None, high: float | None = None, rounding: bool = True
    ) -> Silencing:
        """Silence hidden units that are constant or multiples of one another; what they gave goes into the next layer."""

simplify: _simplify

class _digits_descent(Method):
    def __call__(
        self,
        *,
        width: int = 32,
        depth: int = 2,
        steps: int = 500,
        learning_rate: float = 0.001,
        optimizer: Literal["sgd", "momentum", "adam", "adamw"] = "adam",
        batch_size: int = 64,
        random_state: int = 0,
    ) -> Trajectory:
        """Train a multilayer perceptron (ReLU) on scikit-learn's 8 × 8 digits and give its recorded descent."""

digits_descent: _digits_descent

class _digits_siblings(Method):
    def __call__(
        self,
        *,
        models: int = 3,
        width: int = 24,
        depth: int = 2,
        steps: int = 100,
        learning_rate: float = 0.005,
        optimizer: Literal["sgd", "momentum", "adam", "adamw"] = "adam",
        batch_size: int = 64,
        images: Literal["shared", "split", "scrambled"] = "shared",
        random_state: int = 0,
    ) -> Siblings:
        """Train several perceptrons (ReLU) on scikit-learn's digits from different beginnings and give their recorded descents."""

digits_siblings: _digits_siblings

class _fashion_descent(Method):
    def __call__(
        self,
        *,
        network: Literal["perceptron", "convolutional"] = "perceptron",
        width: int = 32,
        depth: int = 2,
        images: int = 2000,
        steps: int = 150,
        learning_rate: float = 0.001,
        optimizer: Literal["sgd", "momentum", "adam", "adamw"] = "adam",
        batch_size: int = 64,
        folder: str = "",
        random_state: int = 0,
    ) -> Trajectory:
        """Train a classifier on Fashion-MNIST (28 × 28 pixels, ten kinds of clothes) and give its recorded descent."""

fashion_descent: _fashion_descent

class _geometry_descent(Method):
    def __call__(
        self,
        *,
        mechanism: Literal[
            "standard",
            "braid",
            "fractal",
            "gauge",
            "octonion",
            "quaternion",
            "reversible",
            "simplicial",
            "surreal",
            "tropical",
            "ultrametric",
        ] = "standard",
        optimizer: Literal["adamw", "hoss", "muon"] = "adamw",
        schedule: Literal["cosine", "ordinal"] = "cosine",
        steps: int = 150,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        text: Literal["language", "plays"] = "language",
        length: int = 64,
        texts: int = 8,
        rate: float = 1.0,
        random_state: int = 0,
    ) -> Trajectory:
        """Train a compact GPT on texts of a language that is drawn, or on plays, and give its recorded descent."""

geometry_descent: _geometry_descent

class _ghost_descent(Method):
    def __call__(
        self,
        *,
        steps: int = 40,
        paraphrases: int = 0,
        width: int = 320,
        blocks: int = 8,
        tokenizer: Literal["none", "learned", "fourth", "spaces"] = "none",
        attend_every: int = 4,
        places: Literal["index", "content"] = "index",
        step: Literal["euler", "trapezoid"] = "euler",
        rotating: bool = False,
        substeps: int = 1,
        prompt_weight: float = 0.1,
        learning_rate: float = 0.002,
        random_state: int = 0,
    ) -> Trajectory:
        """Train Ghost to answer ten questions, byte for byte, and give its recorded descent."""

ghost_descent: _ghost_descent

class _ghost_memory(Method):
    def __call__(
        self,
        *,
        steps: int = 100,
        width: int = 128,
        blocks: int = 6,
        keys: int = 64,
        every_layer: bool = False,
        raw_bytes: bool = False,
        learning_rate: float = 0.003,
        random_state: int = 0,
    ) -> Memory:
        """Teach Ghost to answer from rows of bytes, and give it ten facts to answer from."""

ghost_memory: _ghost_memory

class _linear_descent(Method):
    def __call__(
        self,
        *,
        modes: tuple[float, ...] = (4.0, 2.0, 1.0),
        dimensions: int = 8,
        depth: int = 2,
        initial: float = 0.001,
        steps: int = 600,
        learning_rate: float = 0.01,
        random_state: int = 0,
    ) -> Trajectory:
        """Train a product of matrices, balanced and aligned with its task, by full gradients, and give the recorded descent."""

linear_descent: _linear_descent

class _quadratic_descent(Method):
    def __call__(
        self,
        *,
        dimensions: int = 16,
        condition: float = 100.0,
        spectrum: Literal["geometric", "linear", "outlier"] = "geometric",
        steps: int = 300,
        learning_rate: float = 0.5,
        optimizer: Literal["sgd", "momentum", "adam", "adamw"] = "sgd",
        random_state: int = 0,
    ) -> Trajectory:
        """Minimize ½ (w - w*)ᵀ H (w - w*) by full gradients, and give the recorded descent."""

quadratic_descent: _quadratic_descent

class _circle(Method):
    def __call__(
        self, *, n: int = 200, noise: float = 0.05, dimensions: int = 2, random_state: int = 0
    ) -> PointCloud:
        """Draw rows uniformly from a circle of radius 1 in a random plane."""

circle: _circle

class _fractal_graph(Method):
    def __call__(
        self,
        *,
        rule: Literal["flower", "hierarchical", "gasket", "cross"] = "flower",
        u: int = 2,
        v: int = 2,
        generations: int = 4,
    ) -> GraphSubject:
        """Grow a graph whose box dimension is known."""

fractal_graph: _fractal_graph

class _medusa(Method):
    def __call__(
        self,
        told: Asked | None = None,
        /,
        *,
        ground: Literal["story", "flower"] = "story",
        rule: Literal["flower", "hierarchical"] = "flower",
        u: int = 2,
        v: int = 2,
        generations: int = 1,
        steps: int = 1000,
        h: float = 0.1,
        channels: int = 3,
        gain: float = 1.0,
        speed: float = 1.0,
        damping: float = 0.1,
        holding: float = 0.25,
        noise: Literal["wiener", "correlated", "coloured", "fractional"] = "wiener",
        strength: float = 0.5,
        growing: bool = False,
        rate: float = 1.0,
        hurst: float = 0.7,
        adapting: float = 0.0,
        heads: int = 6,
        reaching: float = 0.0,
        crossing: float = 1.5,
        seen_noise: float = 0.0,
        scheme: Literal["euler", "milstein", "derivative_free_milstein", "srk"] = "euler",
        random_state: int = 0,
    ) -> World:
        """Grow a graph from a story, let rates and a wave live on it, and give what is seen, what happened, and all behind it."""

medusa: _medusa

class _narrowing_room(Method):
    def __call__(
        self,
        *,
        shape: Literal["quadratics", "lines"] = "quadratics",
        renormalized_at: float | None = 5.0,
        n: int = 201,
    ) -> TimeSeries:
        """Give the upper and lower bound of the room, exactly, from x = 0 to 10."""

narrowing_room: _narrowing_room

class _planted_clusters(Method):
    def __call__(
        self,
        *,
        n: int = 300,
        n_clusters: int = 3,
        dimensions: int = 10,
        separation: float = 12.0,
        random_state: int = 0,
    ) -> PointCloud:
        """Draw rows from isotropic Gaussians of standard deviation 1 around random centres."""

planted_clusters: _planted_clusters

class _sphere(Method):
    def __call__(
        self, *, n: int = 500, noise: float = 0.05, dimensions: int = 3, random_state: int = 0
    ) -> PointCloud:
        """Draw rows uniformly from the sphere of radius 1."""

sphere: _sphere

class _swiss_roll(Method):
    def __call__(
        self,
        *,
        n: int = 1000,
        noise: float = 0.0,
        height: float = 21.0,
        dimensions: int = 3,
        random_state: int = 0,
    ) -> PointCloud:
        """Draw rows uniformly by area from a rolled-up sheet, in a random three-dimensional subspace."""

swiss_roll: _swiss_roll

class _synthetic_series(Method):
    def __call__(
        self,
        series: Asked,
        /,
        *,
        maker: Literal["reservoir", "stationary_bootstrap", "var", "copula", "analogs", "gru"] = "reservoir",
        steps: int | None = None,
        held_out: float = 0.0,
        tuned: bool = False,
        random_state: int = 0,
    ) -> TimeSeries:
        """Make a series like one that is given, without gradients by default."""

synthetic_series: _synthetic_series

class _torus(Method):
    def __call__(
        self,
        *,
        n: int = 1000,
        tube: float = 0.5,
        noise: float = 0.02,
        dimensions: int = 3,
        random_state: int = 0,
    ) -> PointCloud:
        """Draw rows uniformly, by area, from a torus in a random three-dimensional subspace."""

torus: _torus
