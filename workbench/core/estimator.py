"""Any analysis as a scikit-learn estimator, for those that have none of their own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.core.inputs import Input
from workbench.core.view import Giving

if TYPE_CHECKING:
    from workbench.core.result import Result


@functools.cache
def estimator_class(ask: Any) -> type:
    """Return the class of a method's estimators: ``fit`` asks it and keeps the answer as ``result_``.

    Its parameters are the method's, by name and default, so that `get_params`, `set_params` and `clone` know them. Of the
    inputs the first is fit's ``X``, the second its ``y``, the rest follow.
    """
    from sklearn.base import BaseEstimator

    defaults = {name: p.default for name, p in ask.parameters.items()}
    inputs: Sequence[Input] = ask.inputs

    class MethodEstimator(BaseEstimator):
        result_: Result

        def __init__(self, **parameters: Any):
            unknown = [name for name in parameters if name not in defaults]
            if unknown:
                raise TypeError(
                    f"{type(self).__name__} has no parameter {unknown[0]!r}; it has {', '.join(defaults)}."
                )
            for name, value in {**defaults, **parameters}.items():
                setattr(self, name, value)

        def fit(self, X: Any, y: Any = None, *others: Any) -> MethodEstimator:
            """Ask the method; scikit-learn's ``y`` is left out where the method has one input."""
            if inputs[0].in_columns and not isinstance(X, Giving):
                from sklearn.utils.validation import validate_data

                X = validate_data(self, X, ensure_min_samples=2)
            self.result_ = ask(*(X, y, *others)[: len(inputs)], **self.get_params())
            return self

        def __reduce__(self) -> tuple[Any, ...]:
            return _again, (ask,), self.__getstate__()

    words = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=d) for name, d in defaults.items()
    ]
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    MethodEstimator.__init__.__signature__ = inspect.Signature([itself, *words])  # type: ignore[attr-defined]
    MethodEstimator.__name__ = MethodEstimator.__qualname__ = f"{ask.name.title().replace('_', '')}Estimator"
    return MethodEstimator


def _again(ask: Any) -> Any:
    """An estimator with default parameters, for pickle, which sets its state then."""
    return estimator_class(ask)()
