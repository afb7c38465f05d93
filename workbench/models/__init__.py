"""Networks that are trained here, each a descent or siblings that a method makes, and `fine_tune`."""

from workbench.models._fine_tuning import fine_tune

__all__ = ["fine_tune"]
