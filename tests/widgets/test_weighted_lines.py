"""The picture of tethers, live: a clicked line lights its samples, a selection lights the lines that stand for it."""

from __future__ import annotations

import numpy as np

import widgets
import workbench as wb


def test_a_clicked_line_and_the_map_of_images_hold_one_selection() -> None:
    both = wb.digits_siblings(models=2, width=8, depth=1, steps=20)
    images = wb.PointCloud(both.probe.x, name="images", table=both.table, space=both.space)
    picture = wb.tether_compatibility(both, sources=("magnitude", "fisher"), n_null=19, steps=2)
    explorer = widgets.explore(images, method=wb.pca(images, n_null=9, n_boot=9))
    explorer.add(picture)
    drawn = explorer.beside.children[0]
    at = next(
        i
        for i, t in enumerate(drawn.plotted.data)
        if t.mode == "lines" and t.customdata is not None and t.visible
    )
    drawn.state._handle_custom_msg({"clicked": [[at, 3]]}, [])
    rows = np.unique(drawn.plotted.data[at].customdata[3])
    assert len(rows) > 1 and np.array_equal(explorer.selection, rows)
    marks = [i for i, t in enumerate(drawn.plotted.data) if t.mode == "markers" and t.customdata is not None]
    assert len(marks) == 2  # one a moment
    lit = [drawn.state.selected[i] for i in marks]
    assert all(points is not None for points in lit) and any(map(len, lit))
    explorer.selection = []
    assert all(drawn.state.selected[i] is None for i in marks)
