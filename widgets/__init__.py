"""Live views of the workbench for notebooks: control panels, linked figures and the catalogue.

>>> import widgets
>>> widgets.browse()
>>> widgets.panel("umap", acts)
>>> widgets.explore(acts)

Everything is made from the registry's declarations, so that a new method has a panel with no code of its
own. Shown where no kernel runs (an exported page), each gives a figure, table or sentence instead.
"""

from widgets.browse import Browser, browse
from widgets.explore import Explorer, explore
from widgets.panel import Panel, panel

__all__ = ["Browser", "Explorer", "Panel", "browse", "explore", "panel"]
