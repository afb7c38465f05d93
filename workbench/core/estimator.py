"""Any analysis as a scikit-learn estimator, for those that have none of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.core.result import Result


def estimator_of(name: str, ask: Any, n_inputs: int, parameters: dict[str, Any]) -> Any:
    """Return an estimator whose ``fit`` asks a method and keeps the answer as ``result_``.

    Parameters
    ----------
    ask : the method. n_inputs : of them the first is fit's ``X``, the second its ``y``, the rest follow.
    parameters : every parameter's value, which `get_params`, `set_params` and `clone` know by name.
    """
    from sklearn.base import BaseEstimator

    class MethodEstimator(BaseEstimator):
        result_: Result

        def __init__(self, **given: Any):
            for key, value in {**parameters, **given}.items():
                setattr(self, key, value)

        @classmethod
        def _get_param_names(cls) -> list[str]:
            return sorted(parameters)

        def fit(self, X: Any, y: Any = None, *others: Any) -> MethodEstimator:
            """Ask the method; scikit-learn's ``y`` is left out where the method has one input."""
            self.result_ = ask(*(X, y, *others)[:n_inputs], **self.get_params())
            return self

    MethodEstimator.__name__ = MethodEstimator.__qualname__ = f"{name.title().replace('_', '')}Estimator"
    return MethodEstimator()
