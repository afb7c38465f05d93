"""A package that isn't installed, which one part of the workbench needs and the others don't."""

from __future__ import annotations

from workbench.core.errors import MissingError, ViewError


class MissingExtra(MissingError, ViewError):
    """An optional package isn't there: a method can't be asked here, and whoever leaves such ones out goes on."""

    exit_code = MissingError.exit_code
