"""What is in memory already, as what the same thing in a file is opened as: tables, arrays, tensors, modules."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError, ParameterError, ViewError
from workbench.core.subject import Subject, as_subject
from workbench.io.files import shown
from workbench.io.series import holds_texts, is_series, series, series_of, time_column
from workbench.subjects.coordinates import named
from workbench.subjects.corpus import Corpus
from workbench.subjects.network import Network
from workbench.subjects.points import PointCloud
from workbench.subjects.series import TimeSeries

if TYPE_CHECKING:
    import pandas as pd

LABEL = "label"  # what the column of labels without a name of their own is called


def subject_of(
    what: Any,
    *,
    name: str | None = None,
    kind: str | None = None,
    columns: Sequence[str] | None = None,
    labels: Any = None,
    id: str | None = None,
) -> Subject:
    """Return a subject for a table, Series, array, tensor, torch module, or another subject.

    Parameters
    ----------
    labels : of a table, names of columns; of any, one value a row, or a table (or dictionary) of several such columns.

    Raises
    ------
    ParameterError
        It is none of these, or what is to be chosen isn't there to choose from.
    DataError
        There are more or fewer labels than rows.
    """
    is_table = hasattr(what, "select_dtypes")
    names = labels is None or (is_table and isinstance(labels, list | tuple | str))
    if not is_table and (chosen := [n for n, v in (("columns", columns), ("id", id)) if v is not None]):
        raise ParameterError(
            f"open: {' and '.join(chosen)} choose columns of a table; {type(what).__name__} has none. Leave them out."
        )
    if kind not in (None, "points", "series"):
        raise ParameterError(f"open: kind={kind!r} is of files. In memory it can be: 'points', 'series'.")
    if is_table:
        listed = (
            [labels] if isinstance(labels, str) else list(labels) if names and labels is not None else None
        )
        chosen_so = {n: v for n, v in (("columns", columns), ("labels", listed), ("id", id)) if v is not None}
        made = _table(what, name or "table", kind, chosen_so)
    elif isinstance(what, np.ndarray) or hasattr(what, "detach"):
        made = PointCloud(what, name=name or "points")
    elif is_series(what):
        made = _series(what, name, kind)
    else:
        made = copy.copy(_known(what))
    if not names:
        made = _labelled(made, labels)
    if kind == "series" and not isinstance(made, TimeSeries):
        if not isinstance(made, PointCloud):
            raise ParameterError(
                f"open: kind='series' is of arrays and tables; {made.called} is {made.holds}."
            )
        made = TimeSeries(made.values, name=made.name, table=made.table)
    made.name = name or made.name
    return made


def _known(what: Any) -> Subject:
    try:
        return as_subject(what)
    except ViewError:
        raise ParameterError(
            "open takes a path or a name, or what is in memory: a table, a Series, an array or tensor of rows, a torch module; not "
            f"{shown(what)} ({type(what).__name__})."
        ) from None


def _series(given: pd.Series, name: str | None, kind: str | None) -> Subject:
    """A sequence in time, of texts a corpus."""
    if holds_texts(given):
        if kind is not None:
            raise ParameterError(f"open: kind={kind!r} is of numbers; this Series holds texts. Leave it out.")
        return Corpus.from_texts(given.dropna(), name=name or "texts")
    made = series_of(given, name)
    return PointCloud(made.values, name=made.name, table=made.table) if kind == "points" else made


def _table(table: pd.DataFrame, name: str, kind: str | None, chosen: dict[str, Any]) -> Subject:
    """A series where the first column (or the index) holds times, as in a file; else rows."""
    rows = named(table, name)
    times = time_column(rows) if len(rows) and rows.shape[1] else None
    if kind == "series" or (kind is None and not chosen and times is not None and times.is_unique):
        return series(rows, name, name, **chosen)
    return PointCloud.from_table(table, name=name, **chosen)


def _labelled(made: Subject, labels: Any) -> Subject:
    """The rows with columns of labels beside those that they have."""
    if isinstance(made, Network) or not isinstance(made, PointCloud):
        raise ParameterError(
            f"open: labels are one value a row; {made.called} is {made.holds}. Leave them out, or give them to "
            "workbench.capture with what it is run on."
        )
    columns = label_columns(labels, len(made))
    table = made.table
    for column, values in columns.items():
        table[column] = values
    return PointCloud(
        made.shaped, name=made.name, table=table, columns=made.columns, note=made.note, folder=made.folder
    )


def label_columns(labels: Any, n: int) -> dict[str, np.ndarray]:
    """Labels of rows as named columns.

    Parameters
    ----------
    labels : (n,) values in an array, tensor, list or pandas Series; or a table or dictionary of such columns.

    Raises
    ------
    DataError
        There aren't ``n`` of them.
    """
    if isinstance(labels, Mapping) or hasattr(labels, "select_dtypes"):
        several = {str(k): _values(labels[k]) for k in labels}
    else:
        name = getattr(labels, "name", None)
        several = {str(name) if name is not None else LABEL: _values(labels)}
    for name, values in several.items():
        if values.shape != (n,):
            raise DataError(
                f"The labels {name!r} have the shape {values.shape}; {n:,} rows take one value each, ({n},)."
            )
    return several


def _values(labels: pd.Series | Any) -> np.ndarray:
    if hasattr(labels, "detach"):  # a torch tensor
        labels = labels.detach().cpu()
    return np.asarray(labels)
