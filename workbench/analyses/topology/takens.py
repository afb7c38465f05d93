"""Takens embedding: a series unfolded into a cloud in which each point is a stretch of its past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.topology._giotto import giotto
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.linear_process import NULL, beside_linear
from workbench.numerics.surrogates import meeting_ends
from workbench.results.embedding import Embedding
from workbench.subjects.series import Series

if TYPE_CHECKING:
    from jaxtyping import Float

CONTROL_STEPS = 800
LONGEST = 1500  # steps that delay and dimension may need: the control holds (2 x 1500)² distances
TINY = 1e-20  # of the variance: what errs by less is exact
ROUNDING = 1e-12  # of the variance: a line that errs by less leaves nothing to predict better
EXACTLY = "a line through the past predicts it to rounding, so that nothing could predict it better"
NEIGHBOURS = 5  # whose futures are averaged into a prediction


@analysis(title="Takens embedding")
def takens(
    series: Series,
    *,
    time_delay: Annotated[
        int | None,
        Interval(ge=1, le=1000),
        Doc("Steps between coordinates. None: where mutual information is least."),
    ] = None,
    dimension: Annotated[
        int | None,
        Interval(ge=1, le=100),
        Doc("Coordinates a channel. None: where false nearest neighbours stop vanishing."),
    ] = None,
    stride: Annotated[int, Interval(ge=1, le=1000), Doc("Steps between points of the cloud.")] = 1,
    max_time_delay: Annotated[
        int, Interval(ge=1, le=1000), Doc("Longest delay tried where time_delay is None.")
    ] = 10,
    max_dimension: Annotated[
        int, Interval(ge=2, le=100), Doc("Highest dimension tried where dimension is None.")
    ] = 5,
    n_null: NullDraws = 39,
    random_state: Seed = 0,
) -> Embedding:
    """Unfold a series in delayed copies of itself, and ask whether its next step is more than linear.

    Delay and dimension are found by giotto-tda's heuristics in each channel, and the median is taken; where the
    delay is given, the dimension is sought on every so many steps. Channels stand side by side in the
    cloud. The statistic is the error of predicting the next step by the mean of what followed the 5 nearest
    earlier or later points (those that overlap in time left out), over that of the best linear prediction from the same
    coordinates: below 1 where the past says more than a line through it, about 1.1 for linear noise. Its null is a linear
    process of the series' spectrum and values: the error has to be less than in Fourier surrogates, which are exact where
    the ends meet, and than in runs of a fitted autoregression, which vary as short series of few swings do. Not tested is
    a series that may be a random walk or have a trend, nor one that a line predicts to rounding. All is taken on up to 800
    steps whose ends meet.

    Returns
    -------
    Embedding
        ``values`` (n, channels x dimension) float32, oldest coordinate first; ``ids`` are those of each
        point's last step.

    Raises
    ------
    DataError
        The series is too short for the delay and dimension, or a channel is constant.
    MissingError
        giotto-tda is not installed.

    References
    ----------
    Takens 1981, Detecting strange attractors in turbulence, Lecture Notes in Mathematics 898; Kennel, Brown
    and Abarbanel 1992, Phys. Rev. A 45 (false nearest neighbours); Theiler, Eubank, Longtin, Galdrikian and
    Farmer 1992, Testing for nonlinearity in time series: the method of surrogate data, Physica D 58; Schreiber and
    Schmitz 2000, Surrogate time series, Physica D 142.
    """
    gtda = giotto("time_series")
    x = series.values.astype(np.float64)
    still = np.flatnonzero(np.ptp(x, axis=0) == 0)
    if len(still):
        raise DataError(
            f"Channel {series.channels[still[0]]!r} of {series.name} is constant: there is nothing to unfold. Leave it out."
        )
    delay, size = time_delay, dimension
    if delay is None:
        found = [_search(gtda, c, series.name, max_time_delay, max_dimension) for c in x.T]
        delay, size = int(np.median([f[0] for f in found])), size or int(np.median([f[1] for f in found]))
    if size is None:
        size = int(np.median([_search(gtda, c[::delay], series.name, 1, max_dimension)[1] for c in x.T]))
    need = _require_steps(series, len(x), delay, size)
    embed = gtda.SingleTakensEmbedding(
        parameters_type="fixed", time_delay=delay, dimension=size, stride=stride, n_jobs=1
    )
    cloud = np.concatenate([embed.fit_transform(c) for c in x.T], axis=1)
    channels = [f"{'channel ' * c.isdigit()}{c}, " if x.shape[1] > 1 else "" for c in series.channels]
    return Embedding(
        values=cloud.astype(np.float32),
        ids=series.ids[len(x) - 1 - stride * np.arange(len(cloud))[::-1]],
        axes=tuple(
            f"{c}t - {(size - 1 - i) * delay}".removesuffix(" - 0") for c in channels for i in range(size)
        ),
        evidence=(_control(x[-max(CONTROL_STEPS, 2 * need) :], delay, size, n_null, random_state),),
        caveat=f"Delay {delay} ({_how(time_delay)}), dimension {size} ({_how(dimension)}).",
    )


def _how(given: int | None) -> str:
    return "found" if given is None else "given"


def _search(
    gtda: Any, channel: np.ndarray, name: str, max_time_delay: int, max_dimension: int
) -> tuple[int, int]:
    """giotto-tda's delay and dimension, with delays as long as the channel lets it try every dimension."""
    longest = (len(channel) - 3) // (
        2 * max_dimension + 3
    )  # it looks two dimensions further, and ahead by as much
    if longest < 1:
        raise DataError(
            f"{name} has too few steps to look for a delay and dimension ({len(channel)} of them for "
            f"max_dimension={max_dimension}). Give time_delay and dimension, lower max_dimension, or give more steps."
        )
    return gtda.takens_embedding_optimal_parameters(
        channel, min(max_time_delay, longest), max_dimension, n_jobs=1
    )


def _require_steps(series: Series, steps: int, delay: int, dimension: int) -> int:
    """How many steps the control takes at least, or a refusal."""
    # on the stretch whose ends meet, each point needs neighbours that don't overlap with it in time
    need = int(np.ceil(((3 * dimension - 1) * delay + NEIGHBOURS + 4) / 0.8))
    if need > min(steps, LONGEST):
        short = (
            f"{series.name} has {steps:,}"
            if steps < LONGEST
            else f"{LONGEST:,} are the most that are compared"
        )
        raise DataError(
            f"time_delay={delay} and dimension={dimension} take at least {need:,} steps; {short}. "
            f"Lower one of them{' or give more steps' if steps < LONGEST else ''}."
        )
    return need


def prediction_errors(x: Float[np.ndarray, "T c"], delay: int, dimension: int) -> Float[np.ndarray, " 2"]:
    """Mean squared errors of each step predicted from the delayed past, by near points and by a linear fit.

    In units of variance, channels averaged. The linear fit leaves out each step in turn, as the near points do.
    """
    from scipy.spatial.distance import cdist

    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), np.finfo(float).tiny)  # a stretch may stand still
    n = len(x) - (dimension - 1) * delay - 1
    past = np.concatenate([x[i * delay : i * delay + n] for i in range(dimension)], axis=1)
    future = x[(dimension - 1) * delay + 1 :]
    distance = cdist(past, past, "sqeuclidean")
    at = np.arange(n)
    distance[np.abs(at[:, None] - at) <= delay * dimension] = np.inf
    nearest = np.argpartition(distance, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    by_near = future[nearest].mean(axis=1) - future
    u, s, _ = np.linalg.svd(np.column_stack([np.ones(n), past]), full_matrices=False)
    u = u[:, s > s[0] * 1e-10]
    leverage = np.square(u).sum(axis=1)
    by_line = (future - u @ (u.T @ future)) / np.maximum(1 - leverage, 1 / n)[:, None]
    return np.array([np.square(by_near).mean(), np.square(by_line).mean()])


def _control(x: np.ndarray, delay: int, dimension: int, n_null: int, random_state: int) -> Evidence:
    x = x[meeting_ends(x)]

    def relative(values: np.ndarray) -> np.ndarray:
        near, line = prediction_errors(values, delay, dimension)
        return np.array([np.sqrt((near + TINY) / (line + TINY))])

    observed = relative(x)
    moves = bool(np.ptp(x, axis=0).all())
    if n_null and moves and prediction_errors(x, delay, dimension)[1] < ROUNDING:
        said = NULL.refused(EXACTLY, "less")
    else:
        (said,) = beside_linear(
            x, relative, observed, ("less",), n_null=n_null, random_state=random_state, what="takens"
        )
    return Evidence(
        question="Does the past determine the next step better than in a linear process of the same spectrum?",
        id="prediction_error",
        label="prediction error, relative to the best linear prediction",
        value=observed[0],
        n=len(x),
        unit="steps",
        **said,
    )
