// A view of many points: one module for both hosts, a widget in JupyterLab and a report without a kernel.
//
// The host gives a model (get, set, save_changes, on): `spec` says what is shown, `positions` and `columns` are
// binary, `picked` is the selection, one bit a row. Text is only ever set as text.

const TABLE_PAGE = 50;
const NEAR = 9; // pixels between the pointer and a point that still count as on it
const SLOW = 45; // milliseconds; a frame that takes longer is thinned out while something moves
const WHILE_MOVING = 120000; // points drawn then
const MOVE = 450; // milliseconds from one layout to the next
const LIVE = 6; // views that hold a WebGL context; browsers end the oldest of 16, and figures need some of these
const LOSSES = 2; // times that a view asks for another context, before it draws a plain picture
const OUTLYING = 3; // times as wide as the middle of the points: the view then begins with the middle
const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array, f4: Float32Array, f8: Float64Array };

// ---------------------------------------------------------------------------------------------- data

function array(block) {
  const view = block.data;
  const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength); // aligned by being copied
  return new ARRAYS[block.dtype](bytes);
}

function readColumn(block) {
  const values = array(block);
  const labels = block.labels || null;
  const text = (i) => {
    const v = values[i];
    if (labels) return labels[v];
    return Number.isInteger(v) ? String(v) : Number.isFinite(v) ? String(+v.toPrecision(5)) : "";
  };
  return { name: block.name, values, labels, text };
}

// Ids of rows as figures have them too: a number where JavaScript holds it exactly, else its text.
const idOf = (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : text);
const readIds = (column) => (column.labels ? Array.from(column.values, (v) => idOf(column.labels[v])) : column.values);

// One Float32Array of n * k numbers a layout.
function readFrames(block, n, k) {
  const raw = array(block);
  const frames = [];
  // frames holds the layouts that end before start; what is left of less than a layout is dropped
  for (let start = 0; start + n * k <= raw.length; start += n * k) {
    const part = raw.subarray(start, start + n * k);
    if (!block.low) { frames.push(part); continue; }
    const wide = new Float32Array(n * k);
    for (let i = 0; i < wide.length; i++) wide[i] = block.low[i % k] + part[i] * block.step[i % k];
    frames.push(wide);
  }
  return frames;
}

function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function ramp(stops) {
  const colours = stops.map(rgb);
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (colours.length - 1), low = Math.min(Math.floor(at), colours.length - 2);
    return colours[low].map((c, j) => Math.round(c + (at - low) * (colours[low + 1][j] - c)));
  });
}

// What colours a column: groups (few values, most frequent first) or a scale.
function paletteOf(column, spec) {
  const { values, labels } = column;
  const counts = new Map();
  if (labels) {
    const sums = new Uint32Array(labels.length);
    for (let i = 0; i < values.length; i++) sums[values[i]]++;
    sums.forEach((c, v) => c && counts.set(v, c));
  } else {
    for (let i = 0; i < values.length && counts.size <= spec.palette.length; i++) counts.set(values[i], 0);
    if (counts.size <= spec.palette.length) for (let i = 0; i < values.length; i++) counts.set(values[i], counts.get(values[i]) + 1);
  }
  if (labels || counts.size <= spec.palette.length) {
    const order = [...counts].sort((a, b) => b[1] - a[1]).slice(0, spec.palette.length);
    const groups = order.map(([value, count], i) => ({ value, count, hex: spec.palette[i], text: labels ? labels[value] : String(value) }));
    return { groups, more: counts.size - groups.length };
  }
  let low = Infinity, high = -Infinity; // of the finite values so far
  for (let i = 0; i < values.length; i++) if (Number.isFinite(values[i])) { low = Math.min(low, values[i]); high = Math.max(high, values[i]); }
  return { low, high };
}

// Four bytes a row, red first. Colours are few: each is made once, and a row only says which it has.
function paint(column, palette, spec, n, chosen, alpha) {
  const out = new Uint32Array(n), values = column && column.values;
  const colours = [rgb(spec.other)];
  let which;
  if (!column) { colours.push(rgb(spec.palette[0])); which = () => 1; }
  else if (palette.groups) {
    colours.push(...palette.groups.map((g) => rgb(g.hex)));
    if (column.labels) {
      const of = new Uint8Array(column.labels.length);
      palette.groups.forEach((g, j) => { of[g.value] = j + 1; });
      which = (i) => of[values[i]];
    } else {
      const of = new Map(palette.groups.map((g, j) => [g.value, j + 1]));
      which = (i) => of.get(values[i]) || 0;
    }
  } else {
    colours.push(...ramp(spec.scale));
    const { low, high } = palette, span = high - low || 1;
    which = (i) => (Number.isFinite(values[i]) ? 1 + Math.round((255 * (values[i] - low)) / span) : 0);
  }
  const inks = (opacity) => new Uint32Array(Uint8Array.from(colours.flatMap((c) => [...c, 255 * opacity])).buffer);
  const lit = inks(chosen ? 1 : alpha), dim = inks(0.17 * alpha + 0.02);
  for (let i = 0; i < n; i++) out[i] = (chosen && !chosen[i] ? dim : lit)[which(i)];
  return new Uint8Array(out.buffer);
}

// ------------------------------------------------------------------------------------------- painters

const VERTEX = `#version 300 es
in vec3 a; in vec3 b; in vec4 ink;
uniform vec4 rx, ry, rz; uniform float mixed, size; out vec4 tint;
void main() {
  vec4 p = vec4(mix(a, b, mixed), 1.0);
  gl_Position = vec4(dot(rx, p), dot(ry, p), clamp(dot(rz, p), -1.0, 1.0), 1.0);
  gl_PointSize = size; tint = vec4(ink.rgb * ink.a, ink.a);
}`;
const FRAGMENT = `#version 300 es
precision highp float; in vec4 tint; uniform float size; out vec4 colour;
void main() {
  if (size < 3.0) { colour = tint; return; }
  float r = length(gl_PointCoord - 0.5) * size;
  colour = tint * clamp(0.5 * size - r + 0.5, 0.0, 1.0);
}`;

function glPainter(canvas) {
  const gl = canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true, premultipliedAlpha: true });
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
  gl.useProgram(program);
  const place = Object.fromEntries(["a", "b", "ink"].map((name) => [name, gl.getAttribLocation(program, name)]));
  const uniform = Object.fromEntries(["rx", "ry", "rz", "mixed", "size"].map((name) => [name, gl.getUniformLocation(program, name)]));
  const buffers = { a: gl.createBuffer(), b: gl.createBuffer(), ink: gl.createBuffer(), top: gl.createBuffer() };
  let n = 0, k = 2, tops = 0;
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  const fill = (name, data, target = gl.ARRAY_BUFFER) => { gl.bindBuffer(target, buffers[name]); gl.bufferData(target, data, gl.STATIC_DRAW); };
  // Every `step`-th point by widening the stride: thinning costs no copy.
  const point = (step) => {
    for (const name of ["a", "b", "ink"]) {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
      gl.enableVertexAttribArray(place[name]);
      if (name === "ink") gl.vertexAttribPointer(place.ink, 4, gl.UNSIGNED_BYTE, true, 4 * step, 0);
      else gl.vertexAttribPointer(place[name], k, gl.FLOAT, false, Math.min(4 * k * step, 255), 0);
    }
  };
  return {
    live: true,
    positions(from, to, dimensions) { k = dimensions; n = to.length / k; fill("a", from); fill("b", to); },
    colours(ink, top) { fill("ink", ink); tops = top.length; fill("top", top, gl.ELEMENT_ARRAY_BUFFER); },
    draw(rows, mixed, size, step) {
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      ["rx", "ry", "rz"].forEach((name, i) => gl.uniform4fv(uniform[name], rows[i]));
      gl.uniform1f(uniform.mixed, mixed);
      gl.uniform1f(uniform.size, size);
      const stride = Math.min(step, Math.floor(255 / (4 * k)));
      point(stride);
      gl.drawArrays(gl.POINTS, 0, Math.floor(n / stride));
      if (step === 1 || tops <= WHILE_MOVING) {
        if (stride > 1) point(1);
        gl.uniform1f(uniform.size, size + 1);
        gl.drawElements(gl.POINTS, tops, gl.UNSIGNED_INT, 0);
      }
    },
    finish() { gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); },
    end() { const lose = gl.getExtension("WEBGL_lose_context"); if (lose) lose.loseContext(); },
  };
}

// Views that hold a context, the one that drew longest ago first. Each widget's module is another copy of this one.
const holders = (globalThis[Symbol.for("workbench.points.holders")] ??= new Set());

// A view that rests leaves the holders, so that there is one fewer with each pass.
function makeRoom() {
  while (holders.size >= LIVE) {
    const all = [...holders];
    (all.find((view) => !view.onScreen()) || all[0]).rest();
  }
}

// What a view has whose context went to another: its picture stays as it was drawn last.
const RESTING = { live: true, positions() {}, colours() {}, draw() {}, finish() {}, end() {} };

// The same picture on the processor, for where WebGL is missing.
function plainPainter(canvas) {
  const context = canvas.getContext("2d");
  let from, to, k = 2, ink, top = [];
  return {
    live: false,
    positions(a, b, dimensions) { from = a; to = b; k = dimensions; },
    colours(colours, tops) { ink = new Uint32Array(colours.buffer); top = tops; },
    draw([rx, ry], mixed, size, step) {
      const { width, height } = canvas, image = context.createImageData(width, height);
      const pixels = new Uint32Array(image.data.buffer), side = Math.max(1, Math.round(size * 0.85));
      const dot = (i) => {
        const at = (j) => (j < k ? from[k * i + j] + mixed * (to[k * i + j] - from[k * i + j]) : 0);
        const x = at(0), y = at(1), z = at(2);
        const u = Math.round((0.5 + 0.5 * (rx[0] * x + rx[1] * y + rx[2] * z + rx[3])) * width - side / 2);
        const v = Math.round((0.5 - 0.5 * (ry[0] * x + ry[1] * y + ry[2] * z + ry[3])) * height - side / 2);
        if (u < 0 || v < 0 || u + side >= width || v + side >= height) return;
        for (let q = 0; q < side; q++) pixels.fill(ink[i], (v + q) * width + u, (v + q) * width + u + side);
      };
      for (let i = 0; i < to.length / k; i += step) dot(i);
      if (step === 1 || top.length <= WHILE_MOVING) top.forEach(dot);
      context.putImageData(image, 0, 0);
    },
    finish() {},
    end() {},
  };
}

// ---------------------------------------------------------------------------------------------- camera

// Rows of the projection from data to the canvas, -1 to 1 either way. Turned in three dimensions, never in perspective.
function makeCamera(k) {
  let centre = [0, 0, 0], half = 1, pan = [0, 0], zoom = 1, turn = k > 2 ? [0.5, -0.4] : [0, 0];
  const axes = () => {
    const [c, s, d, e] = [Math.cos(turn[0]), Math.sin(turn[0]), Math.cos(turn[1]), Math.sin(turn[1])];
    return [[c, 0, s], [s * -e, d, c * e], [-s * d, -e, c * d]];
  };
  return {
    fit(low, high) {
      centre = low.map((l, j) => (l + high[j]) / 2);
      const spread = high.map((h, j) => (h - low[j]) / 2);
      half = (k > 2 ? Math.hypot(...spread) * 0.8 : 1) || 1;
      this.spread = spread;
      pan = [0, 0]; zoom = 1;
    },
    rows(width, height) {
      const [sx, sy] = k > 2 ? [half, half] : this.spread;
      const unit = (0.94 * zoom) / (Math.max(sx / width, sy / height) || 1); // equal scales on both axes
      return axes().map((axis, r) => {
        const f = r === 2 ? -0.3 / (half * 2) : unit / [width, height][r];
        return [...axis.map((a) => a * f), -f * axis.reduce((sum, a, j) => sum + a * (centre[j] || 0), 0) + (r < 2 ? pan[r] : 0)];
      });
    },
    move(dx, dy) { pan[0] += dx; pan[1] += dy; },
    turnBy(dx, dy) { turn[0] += dx; turn[1] = Math.max(-1.5, Math.min(1.5, turn[1] + dy)); },
    zoomAt(factor, x, y) {
      const next = Math.max(0.2, Math.min(5000, zoom * factor)), by = next / zoom;
      pan = [x - (x - pan[0]) * by, y - (y - pan[1]) * by];
      zoom = next;
    },
  };
}

function bounds(frames, k) {
  const low = [0, 0, 0].fill(Infinity, 0, k), high = [0, 0, 0].fill(-Infinity, 0, k), far = { low: [...low], high: [...high] };
  const n = frames[0].length / k, step = Math.max(1, Math.floor((n * frames.length) / 20000));
  for (let j = 0; j < k; j++) {
    const seen = []; // every step-th value of this coordinate so far, for its quantiles; far has the extremes of all
    for (const frame of frames) for (let i = 0; i < n; i++) {
      const v = frame[k * i + j];
      if (v < far.low[j]) far.low[j] = v;
      if (v > far.high[j]) far.high[j] = v;
      if (i % step === 0) seen.push(v);
    }
    seen.sort((a, b) => a - b);
    const [a, b] = [seen[Math.floor(0.01 * seen.length)], seen[Math.ceil(0.99 * seen.length) - 1]];
    [low[j], high[j]] = [Math.max(far.low[j], a - (b - a) / 2), Math.min(far.high[j], b + (b - a) / 2)];
  }
  const outlying = n > 100 && high.some((h, j) => j < k && h > low[j] && far.high[j] - far.low[j] > OUTLYING * 0.5 * (h - low[j]));
  return { far, near: outlying ? { low, high } : far, outlying };
}

// ------------------------------------------------------------------------------------------- the view

function make(tag, properties = {}, ...children) {
  const { role, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  if (role) node.setAttribute("role", role);
  node.append(...children);
  return node;
}

let views = 0; // for ids that labels refer to

function render({ model, el }) {
  const id = `points-${++views}`;
  const state = { tool: "lasso", step: 1, slow: false, mixed: 1, ring: -1, sort: null, shown: TABLE_PAGE, found: null };
  const ui = build(el, id);
  let spec, columns, ids, frames, placed, camera, limits, from, to, palette, chosen = null, count = 0, read, painter;
  let waiting = 0, moving = 0, idle = 0, stale = false;
  const n = () => spec.n;
  // A picture's points don't add up where they overlap, so that each is to be seen alone.
  const alpha = () => Math.max(painter.live ? 0.25 : 0.65, Math.min(0.85, 60 / Math.sqrt(n())));
  const size = () => Math.max(1.6, Math.min(8, 110 / Math.sqrt(n()))) * devicePixelRatio;
  const colour = () => columns.find((c) => c.name === model.get("color")) || null;

  let visible = true, losses = 0;
  const self = { onScreen: () => visible, rest };
  function wake() {
    makeRoom();
    painter = glPainter(replaceCanvas()) || plainPainter(replaceCanvas());
    if (painter.live) holders.add(self);
    ui.note.hidden = painter.live;
    el.dataset.painter = painter.live ? "webgl" : "picture";
    if (spec) { resize(); upload(); ink(); }
  }
  function rest() {
    if (waiting || state.step > 1) { state.step = 1; drawNow(); }
    const drawn = ui.canvas;
    holders.delete(self);
    replaceCanvas();
    [ui.canvas.width, ui.canvas.height] = [drawn.width, drawn.height];
    if (drawn.width && drawn.height) ui.canvas.getContext("2d").drawImage(drawn, 0, 0);
    painter.end();
    painter = RESTING;
    el.dataset.painter = "resting";
  }
  const screen = new IntersectionObserver((entries) => {
    visible = entries[entries.length - 1].isIntersecting;
    if (visible && stale) draw();
  }, { rootMargin: "200px" });
  screen.observe(ui.stage);
  const printing = () => { if (stale) { visible = true; drawNow(); } };
  window.addEventListener("beforeprint", printing);
  function replaceCanvas() {
    const fresh = make("canvas", { className: "wbp-points" });
    ui.canvas.replaceWith(fresh);
    return (ui.canvas = fresh);
  }
  ui.stage.addEventListener("webglcontextlost", (event) => {
    if (event.target !== ui.canvas || closed) return;
    holders.delete(self);
    painter = RESTING;
    if (losses++ < LOSSES) { stale = true; return draw(); } // taken for another page's, or for a figure
    painter = plainPainter(replaceCanvas());
    ui.note.hidden = false;
    el.dataset.painter = "picture";
    resize(); upload(); recolour();
  }, true);

  function load() {
    const before = to;
    spec = model.get("spec");
    columns = model.get("columns").map(readColumn);
    ids = readIds(columns[0]);
    if (placed !== model.get("positions")) {
      placed = model.get("positions");
      frames = readFrames(placed, spec.n, spec.k);
      limits = bounds(frames, spec.k);
      camera = makeCamera(spec.k);
      camera.fit(limits.near.low, limits.near.high);
      from = to = frames[frameAt()];
      if (before && before.length === to.length) { from = before; glide(); }
    }
    state.ring = -1;
    ui.describe(spec, limits.outlying, frameAt());
    ui.colours(columns, model.get("color"));
    readPicked();
    state.found = null;
    resize(); upload(); recolour(); tabulate();
  }
  const frameAt = () => Math.max(0, Math.min(frames.length - 1, model.get("frame")));
  function upload() { painter.positions(from, to, spec.k); state.timed = false; }

  function glide() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const began = performance.now();
    cancelAnimationFrame(moving);
    const step = (now) => {
      const t = Math.min(1, Math.max(0, (now - began) / MOVE));
      state.mixed = t * t * (3 - 2 * t);
      busy();
      if (t < 1) moving = requestAnimationFrame(step);
    };
    // Each frame asks for the next until t is 1, so that it ends after MOVE and leaves mixed at 1, all points at `to`;
    // another glide takes its place.
    state.mixed = 0;
    moving = requestAnimationFrame(step);
  }

  function ink() {
    if (painter === RESTING) return;
    const top = new Uint32Array(count);
    if (count) for (let i = 0, j = 0; i < n(); i++) if (chosen[i]) top[j++] = i;
    painter.colours(paint(colour(), palette, spec, n(), chosen, alpha()), top);
  }
  function recolour() {
    const column = colour();
    palette = column && paletteOf(column, spec);
    ink();
    ui.legend(column, palette, spec, (group) => pick(rowsWhere((i) => column.values[i] === group.value)));
    busy(); // a change of a million points is first seen in some of them
  }
  function rowsWhere(test) {
    const out = new Uint8Array(n());
    for (let i = 0; i < out.length; i++) out[i] = test(i) ? 1 : 0;
    return out;
  }

  // However much changes before the screen is next painted, it is drawn once: waiting is the frame that was asked for, and
  // drawNow, which alone draws, clears it first. So what is set before draw() is seen after it; where the view rests
  // out of sight, or has no width yet, once it is seen at all.
  function draw() { if (!waiting) waiting = requestAnimationFrame(drawNow); }
  function busy() { // something changes: thin out if frames are slow, and draw all once it rests
    if (state.slow) state.step = Math.max(1, Math.ceil(n() / WHILE_MOVING));
    clearTimeout(idle);
    if (state.step > 1) idle = setTimeout(() => { state.step = 1; draw(); }, 160);
    draw();
  }
  function drawNow() {
    cancelAnimationFrame(waiting);
    waiting = 0;
    if (!to) return;
    if (painter === RESTING) {
      stale = !visible;
      if (stale) return overlay();
      wake();
    }
    if (!ui.canvas.width) return;
    if (holders.delete(self)) holders.add(self); // now the last that drew
    const began = performance.now();
    painter.draw(camera.rows(ui.canvas.width, ui.canvas.height), state.mixed, size(), state.step);
    if (state.step === 1 && !state.timed) { // waiting for a frame stalls it, so only one is
      painter.finish();
      state.timed = true;
      state.slow = performance.now() - began > SLOW;
      el.dataset.frame = (performance.now() - began).toFixed(1);
    }
    overlay();
    el.dataset.drawn = String(1 + Number(el.dataset.drawn || 0));
  }
  function resize() {
    const { clientWidth: w, clientHeight: h } = ui.stage;
    for (const canvas of painter === RESTING ? [ui.over] : [ui.canvas, ui.over]) { canvas.width = Math.round(w * devicePixelRatio); canvas.height = Math.round(h * devicePixelRatio); }
    draw();
  }
  const watch = new ResizeObserver(() => spec && ui.stage.clientWidth && resize());
  watch.observe(ui.stage);

  // Pixels of the stage, (x, y) of one row.
  function project() {
    const { clientWidth: w, clientHeight: h } = ui.stage, [rx, ry] = camera.rows(ui.canvas.width, ui.canvas.height), k = spec.k;
    const at = (i, j) => (j < k ? to[k * i + j] : 0);
    const ax = 0.5 * w, ay = -0.5 * h;
    return {
      x: (i) => ax * (1 + rx[0] * at(i, 0) + rx[1] * at(i, 1) + rx[2] * at(i, 2) + rx[3]),
      y: (i) => ay * (-1 + ry[0] * at(i, 0) + ry[1] * at(i, 1) + ry[2] * at(i, 2) + ry[3]),
    };
  }
  function nearest(px, py) {
    const { x, y } = project();
    let best = -1, least = NEAR * NEAR; // best is the nearest row so far, within reach, the last of equally near ones
    for (let i = 0; i < n(); i++) {
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
    return rowsWhere((i) => { const u = Math.floor(x(i)), v = Math.floor(y(i)); return u >= 0 && v >= 0 && u < w && v < h && filled[4 * (v * w + u) + 3] > 127; });
  }

  function overlay() {
    const context = ui.over.getContext("2d"), scale = devicePixelRatio;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, ui.over.width, ui.over.height);
    context.strokeStyle = context.fillStyle = getComputedStyle(ui.root).getPropertyValue("--wbp-ink").trim() || "#888";
    if (gesture && gesture.path.length > 1 && state.tool !== "pan") {
      context.beginPath();
      outline().forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.closePath();
      context.setLineDash([5, 4]);
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 0.08;
      context.fill();
      context.globalAlpha = 1;
    }
    if (state.ring >= 0) {
      const { x, y } = project();
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x(state.ring), y(state.ring), 9, 0, 7);
      context.stroke();
    }
  }

  // ---- selection

  function readPicked() {
    const view = (read = model.get("picked")), bits = view && new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    count = 0;
    chosen = null;
    el.dataset.selected = "0";
    if (!bits || !bits.length) return;
    chosen = new Uint8Array(n());
    // bit i & 7 of byte i >> 3 is row i; chosen and count are of the rows before i
    for (let i = 0; i < chosen.length; i++) if (bits[i >> 3] & (1 << (i & 7))) { chosen[i] = 1; count++; }
    if (!count) chosen = null;
    el.dataset.selected = String(count);
  }
  function pick(rows, { add = false } = {}) {
    const bits = new Uint8Array(Math.ceil(n() / 8));
    let any = false;
    for (let i = 0; rows && i < rows.length; i++) if (rows[i] || (add && chosen && chosen[i])) { bits[i >> 3] |= 1 << (i & 7); any = true; }
    model.set("picked", new DataView((any ? bits : new Uint8Array()).buffer));
    model.save_changes();
    selectionChanged();
  }
  function selectionChanged() {
    const began = performance.now();
    readPicked();
    state.shown = TABLE_PAGE;
    recolour();
    tabulate();
    el.dataset.selecting = (performance.now() - began).toFixed(1);
  }

  // ---- search and table

  function search(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    state.shown = TABLE_PAGE;
    if (!words.length) { state.found = null; return tabulate(); }
    const every = new Uint8Array(n()).fill(1);
    for (const word of words) {
      const rows = rowsWith(word);
      for (let i = 0; i < rows.length; i++) every[i] &= rows[i];
    }
    state.found = every;
    tabulate();
  }
  // The rows that have a word in one of their texts, or as their number: each label is looked at once, however many rows have it.
  function rowsWith(word) {
    const rows = new Uint8Array(n()), at = ids.indexOf(idOf(word));
    for (const { labels, values } of columns) {
      if (!labels) continue;
      const match = Uint8Array.from(labels, (l) => (l.toLowerCase().includes(word) ? 1 : 0));
      for (let i = 0; i < rows.length; i++) rows[i] |= match[values[i]];
    }
    if (at >= 0 && String(ids[at]) === word) rows[at] = 1;
    return rows;
  }
  function tabulate() {
    const rows = state.found || chosen, listed = [];
    if (rows) for (let i = 0; i < rows.length; i++) if (rows[i]) listed.push(i);
    if (state.sort) {
      const { column, down } = state.sort, by = columns[column];
      const rank = by && by.labels && Float64Array.from(by.labels.map((l, i) => [l, i]).sort((a, b) => (a[0] < b[0] ? -1 : 1)).reduce((r, [, i], at) => { r[i] = at; return r; }, []));
      const key = (i) => (rank ? rank[by.values[i]] : by.values[i]);
      if (by) listed.sort((a, b) => (down ? key(b) - key(a) : key(a) - key(b)) || a - b);
    }
    ui.say(state.found ? listed.length : count, n(), Boolean(state.found), count);
    ui.table(listed, columns, state, {
      sort: (column) => { state.sort = { column, down: Boolean(state.sort && state.sort.column === column && !state.sort.down) }; tabulate(); },
      more: () => { state.shown += 4 * TABLE_PAGE; tabulate(); },
      ring: (i) => { show(i); ring(i); },
    });
  }
  // A row of a table is shown where it lies in every open view of the same rows, also in those of other hosts.
  function show(i) {
    const id = i < 0 ? null : ids[i];
    document.dispatchEvent(new CustomEvent("workbench:show", { detail: { space: spec.space, id, by: el } }));
  }
  function shown(event) {
    const { space, id, by } = event.detail;
    if (by === el || !spec || !space || space !== spec.space) return;
    const at = id === null ? -1 : ids.indexOf(id);
    if (at >= 0) return ring(at);
    state.ring = -1;
    hint(-1);
    draw();
  }
  document.addEventListener("workbench:show", shown);
  function ring(i) {
    state.ring = i;
    const { x, y } = project(), { clientWidth: w, clientHeight: h } = ui.stage, px = x(i), py = y(i);
    if (px < 0 || py < 0 || px > w || py > h) { camera.move(1 - (2 * px) / w, (2 * py) / h - 1); busy(); }
    draw();
    hint(i);
  }
  function unring() { if (state.ring >= 0) show(-1); state.ring = -1; ui.tip.hidden = true; }
  function hint(i) {
    if (i < 0) { ui.tip.hidden = true; return; }
    const { x, y } = project();
    ui.hint(columns, i, x(i), y(i));
  }

  // ---- pointer and keys

  let gesture = null, closed = false;
  const spot = (event) => { const box = ui.stage.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const outline = () => {
    const path = gesture.path;
    if (state.tool !== "box") return path;
    const [[x, y], [u, v]] = [path[0], path[path.length - 1]];
    return [[x, y], [u, y], [u, v], [x, v]];
  };
  ui.over.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    ui.over.setPointerCapture(event.pointerId);
    gesture = { path: [spot(event)], last: spot(event), add: event.shiftKey };
    ui.tip.hidden = true;
  });
  ui.over.addEventListener("pointermove", (event) => {
    const at = spot(event);
    if (!gesture) return hoverLater(at);
    if (state.tool === "pan") {
      const dx = at[0] - gesture.last[0], dy = at[1] - gesture.last[1];
      if (spec.k > 2 && !event.shiftKey) camera.turnBy(dx / 150, dy / 150);
      else camera.move((2 * dx) / ui.stage.clientWidth, (-2 * dy) / ui.stage.clientHeight);
      busy();
    }
    gesture.last = at;
    gesture.path.push(at);
    if (state.tool !== "pan") overlay();
  });
  ui.over.addEventListener("pointerup", (event) => {
    if (!gesture) return;
    const { path, add } = gesture, shape = outline();
    const drawn = path.some(([x, y]) => Math.hypot(x - path[0][0], y - path[0][1]) > 4);
    gesture = null;
    overlay();
    if (drawn && state.tool !== "pan") { const began = performance.now(); pick(inside(shape), { add }); el.dataset.lasso = (performance.now() - began).toFixed(1); }
    else if (!drawn) { const at = nearest(...path[0]); state.ring = at; show(at); pick(at < 0 ? null : rowsWhere((i) => i === at), { add }); }
  });
  ui.over.addEventListener("pointercancel", () => { gesture = null; overlay(); });
  ui.over.addEventListener("pointerleave", () => { clearTimeout(hovering); if (state.ring < 0) ui.tip.hidden = true; else hint(-1); });
  let hovering = 0;
  function hoverLater(at) { clearTimeout(hovering); hovering = setTimeout(() => to && hint(nearest(...at)), n() > 200000 ? 60 : 10); }
  // A page scrolls past a view that isn't in use; one that has the focus zooms.
  ui.over.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== ui.over) return;
    event.preventDefault();
    const [x, y] = spot(event);
    zoom(Math.exp(-event.deltaY / 300), (2 * x) / ui.stage.clientWidth - 1, 1 - (2 * y) / ui.stage.clientHeight);
  }, { passive: false });
  function zoom(factor, x = 0, y = 0) { camera.zoomAt(factor, x, y); ui.tip.hidden = true; busy(); }
  function fit() { camera.fit(limits.far.low, limits.far.high); busy(); }
  const keys = {
    ArrowLeft: () => camera.move(0.1, 0), ArrowRight: () => camera.move(-0.1, 0), ArrowUp: () => camera.move(0, -0.1), ArrowDown: () => camera.move(0, 0.1),
    "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: fit,
  };
  ui.over.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { gesture = null; unring(); pick(null); }
    else if (keys[event.key] && !event.ctrlKey && !event.metaKey) { keys[event.key](); busy(); event.preventDefault(); event.stopPropagation(); }
  });

  // ---- controls

  ui.on({
    tool: (name) => { state.tool = name; ui.over.dataset.tool = name; },
    zoom, fit,
    clear: () => { unring(); pick(null); },
    colour: (name) => { model.set("color", name); model.save_changes(); },
    frame: (at) => { model.set("frame", at); model.save_changes(); },
    search,
    choose: () => { const found = state.found; ui.search.value = ""; state.found = null; pick(found); },
    frames: () => frames.length,
  });
  function moveTo() {
    from = to; to = frames[frameAt()];
    upload();
    glide();
    ui.frame(spec, frameAt());
    busy();
  }

  const heard = {
    "change:spec": load, "change:positions": load, "change:columns": load,
    "change:picked": () => { if (model.get("picked") !== read) selectionChanged(); },
    "change:color": () => { ui.colours(columns, model.get("color")); recolour(); },
    "change:frame": () => { if (to !== frames[frameAt()]) moveTo(); },
  };
  let queued = false; // several traits of one message are one change
  for (const [name, act] of Object.entries(heard)) {
    if (act !== load) { model.on(name, act); continue; }
    heard[name] = () => { if (!queued) { queued = true; queueMicrotask(() => { queued = false; load(); }); } };
    model.on(name, heard[name]);
  }
  wake();
  load();
  return () => {
    closed = true;
    for (const [name, act] of Object.entries(heard)) model.off && model.off(name, act);
    watch.disconnect();
    screen.disconnect();
    holders.delete(self);
    window.removeEventListener("beforeprint", printing);
    document.removeEventListener("workbench:show", shown);
    ui.stop();
    cancelAnimationFrame(moving);
    cancelAnimationFrame(waiting);
    painter.end();
  };
}

// ------------------------------------------------------------------------------------- what one touches

function build(el, id) {
  const button = (text, title) => make("button", { type: "button", textContent: text, title });
  const tools = [["lasso", "Lasso", "Draw around rows to select them; with Shift they are added"], ["box", "Box", "Select rows in a rectangle; with Shift they are added"],
    ["pan", "Move", "Drag the view; a cloud in three dimensions turns"]].map(([name, text, title]) => Object.assign(button(text, title), { value: name }));
  const ui = {
    tools, plus: button("+", "Zoom in"), minus: button("−", "Zoom out"), fitted: button("Fit", "Show all points"),
    select: make("select", { id: `${id}-colour` }), search: make("input", { type: "search", id: `${id}-search`, placeholder: "words or a row's number" }),
    choose: button("Select found", "Make the rows that were found the selection"), clear: button("Clear", "Select nothing"),
    said: make("span", { role: "status" }), canvas: make("canvas", { className: "wbp-points" }), over: make("canvas", { className: "wbp-over", tabIndex: 0, role: "application" }),
    tip: make("div", { className: "wbp-tip", hidden: true }), key: make("div", { className: "wbp-key" }), heading: make("div", { className: "wbp-title" }),
    across: make("div", { className: "wbp-across" }), upward: make("div", { className: "wbp-upward" }), rows: make("div", { className: "wbp-table", tabIndex: -1 }),
    note: make("p", { className: "wbp-note", hidden: true, textContent: "WebGL is missing here, so that the points are drawn as a plain picture. All that can be done with them is as it was." }),
    also: make("p", { className: "wbp-note", hidden: true }), play: button("Play", "Go through the layouts"),
    slider: make("input", { type: "range", min: 0, step: 1, id: `${id}-frame` }), at: make("output", {}),
  };
  const label = (target, text) => make("label", { htmlFor: target.id, textContent: text });
  ui.over.setAttribute("aria-label", "Points. Arrow keys move, plus and minus zoom, 0 shows all, Escape clears the selection.");
  ui.over.dataset.tool = "lasso";
  ui.stage = make("div", { className: "wbp-stage" }, ui.canvas, ui.over, ui.upward, ui.across, ui.tip);
  ui.sliding = make("div", { className: "wbp-bar wbp-sliding", hidden: true }, ui.play, label(ui.slider, "layout"), ui.slider, ui.at);
  const group = (...nodes) => make("span", { className: "wbp-group" }, ...nodes);
  ui.root = make("div", { className: "wbp" }, ui.heading,
    make("div", { className: "wbp-bar" }, group(...tools), group(ui.plus, ui.minus, ui.fitted), group(label(ui.select, "colour"), ui.select), group(label(ui.search, "search"), ui.search)),
    make("div", { className: "wbp-both" }, ui.stage, ui.key), ui.sliding, ui.note, ui.also,
    make("div", { className: "wbp-bar" }, ui.said, ui.choose, ui.clear), ui.rows);
  // JupyterLab's own keys (d d deletes a cell) mean something else here; it looks at what has the focus first.
  ui.root.addEventListener("focusin", (event) => { event.target.dataset.lmSuppressShortcuts = "true"; });
  el.replaceChildren(ui.root);
  return Object.assign(ui, { ...told(ui), ...wired(ui) });
}

function told(ui) {
  return {
    describe(spec, outlying, frame) {
      ui.heading.textContent = spec.title;
      ui.across.textContent = spec.k > 2 ? spec.axes.join(", ") : spec.axes[0] || "";
      ui.upward.textContent = spec.k === 2 ? spec.axes[1] || "" : "";
      ui.also.textContent = [outlying ? "Some rows lie far outside: Fit shows them." : "", spec.note || ""].filter(Boolean).join(" ");
      ui.also.hidden = !ui.also.textContent;
      ui.sliding.hidden = spec.frames.length < 2;
      ui.slider.max = Math.max(0, spec.frames.length - 1);
      ui.frame(spec, frame);
    },
    frame(spec, at) {
      ui.slider.value = at;
      ui.at.textContent = spec.frames[at] || "";
      ui.slider.setAttribute("aria-valuetext", ui.at.textContent);
    },
    colours(columns, chosen) {
      const names = ["", ...columns.map((c) => c.name)];
      ui.select.replaceChildren(...names.map((value) => make("option", { value, textContent: value || "(one colour)", selected: value === chosen })));
    },
    legend(column, palette, spec, choose) {
      ui.key.replaceChildren();
      ui.key.hidden = !column;
      if (!column) return;
      ui.key.append(make("b", { textContent: column.name }));
      if (palette.groups) {
        for (const group of palette.groups) {
          const dot = make("i", {});
          dot.style.background = group.hex;
          const entry = make("button", { type: "button", title: `${group.text || "(empty)"}: select its ${group.count.toLocaleString()} rows` }, dot, make("span", { textContent: group.text || "(empty)" }));
          entry.addEventListener("click", () => choose(group));
          ui.key.append(entry);
        }
        if (palette.more > 0) ui.key.append(make("span", { textContent: `${palette.more.toLocaleString()} more, grey` }));
        return;
      }
      const bar = make("div", { className: "wbp-scale" }), number = (v) => String(+v.toPrecision(4));
      bar.style.background = `linear-gradient(to top, ${spec.scale.join(",")})`;
      ui.key.append(make("div", { className: "wbp-ramp" }, bar, make("div", {}, make("span", { textContent: number(palette.high) }), make("span", { textContent: number(palette.low) }))));
    },
    say(listed, n, searching, count) {
      ui.choose.hidden = !searching || !listed;
      ui.clear.hidden = !count;
      if (searching) ui.said.textContent = `${listed.toLocaleString()} of ${n.toLocaleString()} rows found${count ? `, ${count.toLocaleString()} selected` : ""}`;
      else ui.said.textContent = count ? `${count.toLocaleString()} of ${n.toLocaleString()} rows selected` : `${n.toLocaleString()} rows. Draw around some to select them.`;
    },
    hint(columns, i, x, y) {
      const at = Object.fromEntries(columns.map((c) => [c.name, c.text(i)]));
      ui.tip.replaceChildren(...columns.map((c) => {
        const value = c.name === "text" ? inContext(at.text, at.token) : [at[c.name].slice(0, 240)];
        return make("div", {}, make("b", { textContent: c.name }), " ", ...value);
      }));
      ui.tip.hidden = false;
      const { clientWidth: w, clientHeight: h } = ui.stage;
      ui.tip.style.left = `${Math.max(0, x > w / 2 ? x - ui.tip.offsetWidth - 12 : x + 12)}px`;
      ui.tip.style.top = `${Math.max(0, Math.min(y + 12, h - ui.tip.offsetHeight))}px`;
    },
    table(listed, columns, state, act) {
      ui.rows.hidden = !listed.length;
      const head = columns.map((c, j) => {
        const sorted = state.sort && state.sort.column === j, turn = make("button", { type: "button", title: "Sort", textContent: c.name + (sorted ? (state.sort.down ? " ↓" : " ↑") : "") });
        turn.addEventListener("click", () => act.sort(j));
        const cell = make("th", { scope: "col" }, turn);
        cell.setAttribute("aria-sort", sorted ? (state.sort.down ? "descending" : "ascending") : "none");
        return cell;
      });
      const body = listed.slice(0, state.shown).map((i) => {
        const row = make("tr", { tabIndex: 0, title: "Show where it lies" }, ...columns.map((c) => {
          const text = c.text(i).slice(0, 160);
          return make("td", { textContent: text, className: text.length > 40 ? "wbp-long" : "" });
        }));
        row.addEventListener("click", () => act.ring(i));
        row.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { act.ring(i); event.preventDefault(); } });
        return row;
      });
      const nodes = listed.length ? [make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body))] : [];
      if (listed.length > state.shown) {
        const more = make("button", { type: "button", textContent: `Show more of ${listed.length.toLocaleString()}` });
        more.addEventListener("click", act.more);
        nodes.push(more);
      }
      ui.rows.replaceChildren(...nodes);
    },
  };
}

// The text around its token, the token marked where it occurs only once and so can't be mistaken.
function inContext(text, token) {
  const bare = (token || "").replace(/^(##|[Ġ▁\s])+/, "").trim(), lower = text.toLowerCase(), at = bare ? lower.indexOf(bare.toLowerCase()) : -1;
  if (at < 0 || lower.indexOf(bare.toLowerCase(), at + 1) >= 0) return [text.length > 240 ? text.slice(0, 239) + "…" : text];
  const low = Math.max(0, at - 110), high = Math.min(text.length, at + bare.length + 110);
  return [(low ? "…" : "") + text.slice(low, at), make("mark", { textContent: text.slice(at, at + bare.length) }), text.slice(at + bare.length, high) + (high < text.length ? "…" : "")];
}

function wired(ui) {
  let playing = 0, typing = 0;
  return {
    on(act) {
      const press = (name) => ui.tools.forEach((t) => t.setAttribute("aria-pressed", String(t.value === name)));
      press("lasso");
      for (const tool of ui.tools) tool.addEventListener("click", () => { press(tool.value); act.tool(tool.value); });
      ui.plus.addEventListener("click", () => act.zoom(1.5));
      ui.minus.addEventListener("click", () => act.zoom(1 / 1.5));
      ui.fitted.addEventListener("click", act.fit);
      ui.clear.addEventListener("click", act.clear);
      ui.choose.addEventListener("click", act.choose);
      ui.select.addEventListener("change", () => act.colour(ui.select.value));
      ui.slider.addEventListener("input", () => act.frame(Number(ui.slider.value)));
      ui.search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => act.search(ui.search.value), 150); });
      ui.search.addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        clearTimeout(typing);
        act.search(ui.search.value);
        if (!ui.choose.hidden) act.choose();
      });
      ui.play.addEventListener("click", () => {
        if (playing) return ui.stop();
        ui.play.textContent = "Stop";
        playing = setInterval(() => act.frame((Number(ui.slider.value) + 1) % act.frames()), 1100);
      });
      // A host's own keys (JupyterLab's commands) must not act on what is typed here.
      for (const node of [ui.search, ui.select, ui.slider]) node.addEventListener("keydown", (event) => event.stopPropagation());
    },
    stop() { clearInterval(playing); playing = 0; ui.play.textContent = "Play"; },
  };
}

export default { render };
