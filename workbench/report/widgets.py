"""What widgets hold, as outputs of a cell: a page has no kernel that could show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import nbformat

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
REFERENCE = "IPY_MODEL_"  # before the id of a child
DEEPEST = 20  # boxes inside boxes; a box may hold itself


def states(executed: nbformat.NotebookNode) -> dict[str, Any]:
    """The state of every widget of an executed notebook, by the id of its model."""
    return executed.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})


def held(output: Any, models: dict[str, Any]) -> list[Any]:
    """What a widget shows that an output displays: what was printed or displayed into it, its text, and what its boxes hold.

    Empty where that is nothing, as with a slider.
    """
    return _held(_shown(output), models, set(), DEEPEST)


def _held(id: str, models: dict[str, Any], seen: set[str], deepest: int) -> list[Any]:
    """As `held`, of one model; each is shown once, at its first place."""
    from nbformat import from_dict
    from nbformat.v4 import new_output

    if id in seen or not deepest:
        return []
    seen.add(id)
    model = models.get(id, {})
    name, state = model.get("model_name", ""), model.get("state", {})
    if name == "OutputModel":
        inside = [from_dict(o) for o in state.get("outputs", ())]
        return [o for each in inside for o in (_held(_shown(each), models, seen, deepest - 1) or [each])]
    if name in ("HTMLModel", "HTMLMathModel"):
        return [new_output("display_data", {"text/html": str(state.get("value", ""))})]
    if name == "LabelModel":
        return [new_output("display_data", {"text/plain": str(state.get("value", ""))})]
    children = [c for c in state.get("children", ()) if isinstance(c, str)]
    return [o for c in children for o in _held(c.removeprefix(REFERENCE), models, seen, deepest - 1)]


def _shown(output: Any) -> str:
    """The id of the model that an output displays, or ""."""
    return str(output.get("data", {}).get(WIDGET_VIEW, {}).get("model_id", ""))
