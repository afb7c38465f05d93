// Where rows lie on the stage: the nearest to the pointer, those inside a shape, and how many are out of sight.

const NEAR = 9; // pixels between the pointer and a point that still count as on it

function makeGeometry(view) {
  const { ui, drawn } = view;

  // Pixels of the stage, (x, y) of one row.
  function project() {
    const { clientWidth: w, clientHeight: h } = ui.stage, { to } = view, [rx, ry] = view.camera.rows(ui.canvas.width, ui.canvas.height), k = view.spec.k;
    const at = (i, j) => (j < k ? to[k * i + j] : 0);
    const ax = 0.5 * w, ay = -0.5 * h;
    return {
      x: (i) => ax * (1 + rx[0] * at(i, 0) + rx[1] * at(i, 1) + rx[2] * at(i, 2) + rx[3]),
      y: (i) => ay * (-1 + ry[0] * at(i, 0) + ry[1] * at(i, 1) + ry[2] * at(i, 2) + ry[3]),
    };
  }
  function nearest(px, py) {
    const { x, y } = project();
    const m = drawn();
    let best = -1, least = NEAR * NEAR; // best is the nearest row so far, within reach, the last of equally near ones
    for (let i = 0; i < m; i++) {
      const dx = x(i) - px;
      if (dx > NEAR || dx < -NEAR) continue;
      const dy = y(i) - py, d = dx * dx + dy * dy;
      if (d <= least) { least = d; best = i; }
    }
    return best;
  }
  // The rows inside a shape: it is filled once, and each row looks its pixel up.
  function inside(path) {
    const { clientWidth: w, clientHeight: h } = ui.stage, mask = make("canvas", { width: w, height: h });
    const context = mask.getContext("2d", { willReadFrequently: true });
    context.beginPath();
    path.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.fill("evenodd");
    const filled = context.getImageData(0, 0, w, h).data, { x, y } = project();
    const m = drawn();
    return view.rowsWhere((i) => { if (i >= m) return false; const u = Math.floor(x(i)), v = Math.floor(y(i)); return u >= 0 && v >= 0 && u < w && v < h && filled[4 * (v * w + u) + 3] > 127; });
  }
  function outside() {
    const { clientWidth: w, clientHeight: h } = ui.stage, { x, y } = project(), m = drawn();
    let out = 0;
    if (w && ui.canvas.width) for (let i = 0; i < m; i++) { const u = x(i), v = y(i); if (u < 0 || v < 0 || u > w || v > h) out++; }
    return out;
  }
  return { project, nearest, inside, outside };
}
