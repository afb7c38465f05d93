// A view of many points: the same for both hosts, a widget in JupyterLab and a report without a kernel. What it needs lies in
// view/*.js, which stands before it (`script` in points.py).
//
// The host gives a model (get, set, save_changes, on, and send where a kernel listens): `spec` says what is shown, `positions` and
// `columns` are binary, `picked` is the selection, one bit a row, `look` what a person has made of the view. Text is only ever set as text.

const TABLE_PAGE = 50;
const SLOW = 45; // milliseconds; a frame that takes longer is thinned out while something moves
const MOVE = 450; // milliseconds from one layout to the next
const LOSSES = 2; // times that a view asks for another context, before it draws a plain picture
const CHARTS_FROM = 700; // pixels of width from which on the columns are beside the points at first

// Numbers of views, for ids that labels refer to. Each widget's module is another copy of this one.
const views = (globalThis[Symbol.for("workbench.points.views")] ??= { made: 0 });

function render({ model, el }) {
  const id = `points-${++views.made}`;
  const state = { tool: "lasso", step: 1, slow: false, mixed: 1, ring: -1, gesture: null, sort: null, shown: TABLE_PAGE, found: null };
  const ui = build(el, id);
  let spec, columns, pictures, given, ids, rowViews, frames, placed, camera, limits, from, to, palette, choice, read, painter;
  let waiting = 0, moving = 0, idle = 0, looking = 0, stale = false, whole = false;
  const n = () => spec.n, drawn = () => (to ? to.length / spec.k : 0); // rows, and those of them that have a place, which come first
  // A picture's points don't add up where they overlap, so that each is to be seen alone.
  const alpha = () => Math.max(painter.live ? 0.25 : 0.65, Math.min(0.85, 60 / Math.sqrt(drawn())));
  const size = () => Math.max(1.6, Math.min(8, 110 / Math.sqrt(drawn()))) * devicePixelRatio;
  const colour = () => columns.find((c) => c.name === model.get("color")) || null;
  const palettes = new Map(), paletteFor = (column) => { if (!palettes.has(column)) palettes.set(column, paletteOf(column, spec)); return palettes.get(column); };
  const facets = makeFacets(ui.facets, id, {
    filtered: (name) => choice.filter(name),
    filter: (name, filter, how = {}) => timed("filtering", () => { choice.setFilter(name, filter, how); if (how.moving) show(); else chose(); }),
    colour: (name) => { setColour(model.get("color") === name ? "" : name); },
  });

  const view = {
    el, ui, state, n, drawn, colour, alpha, size, rowsWhere, looked, pick, showRow, hint, zoom, fit, clear,
    get spec() { return spec; }, get columns() { return columns; }, get ids() { return ids; }, get to() { return to; },
    get camera() { return camera; }, get choice() { return choice; }, get palette() { return palette; },
  };
  const geometry = makeGeometry(view), { project, outside } = geometry, overlay = makeOverlay(view, geometry);
  const { searched, listing } = makeListing(view), sheet = makeSheet(view);
  let visible = true, losses = 0, closed = false;
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
    if (visible) charted();
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
    const anew = given !== model.get("columns");
    if (anew) {
      given = model.get("columns");
      const all = given.map(readColumn);
      [columns, pictures] = [all.filter((c) => !c.kind), all.filter((c) => c.kind)];
      ids = readIds(columns[0]);
      rowViews = makeRowViews(columns, pictures, ids);
      palettes.clear();
    }
    if (placed !== model.get("positions")) {
      placed = model.get("positions");
      frames = readFrames(placed, spec.placed ?? spec.n, spec.k);
      limits = bounds(frames, spec.k);
      camera = makeCamera(spec.k);
      from = to = frames[frameAt()];
      const seen = (!before && look().camera) || null;
      whole = Boolean(seen && seen.whole);
      camera.fit(...(whole ? [limits.far.low, limits.far.high] : [limits.near.low, limits.near.high]));
      if (seen) camera.restore(seen);
      if (before && before.length === to.length) { from = before; glide(); }
    }
    if (anew) state.ring = -1;
    ui.describe(spec, frameAt());
    ui.colours(columns, model.get("color"));
    ui.parquet.hidden = !model.send;
    ui.code.hidden = !spec.code;
    if (anew) {
      const kept = look().filters || [];
      choice = makeChoice(columns, n());
      readPicked(kept, !kept.length || look().drawn);
    }
    if (anew) state.found = searched(ui.search.value);
    ui.steps(choice);
    const asks = columns.slice(1).find((c) => !c.labels);
    ui.where.placeholder = asks && /^[A-Za-z_]\w*$/.test(asks.name) ? `${asks.name} > 2` : "kind == 'a'";
    resize(); upload(); recolour(); tabulate();
    if (state.charts !== undefined) showCharts();
    rested();
  }
  const look = () => model.get("look") || {};
  // Whether the columns stand beside the points is decided when the width is known, and after the first frame: charts can wait.
  function showCharts() {
    if (state.charts === undefined) state.charts = look().charts ?? ui.root.clientWidth >= CHARTS_FROM;
    if (state.charts) facets.build(columns, paletteFor, n());
    ui.charts.hidden = state.charts && !facets.there;
    ui.facets.hidden = !state.charts || !facets.there;
    ui.charts.setAttribute("aria-pressed", String(!ui.facets.hidden));
    drawCharts();
  }
  // The colour of a value of the column that colours the points.
  function hexOf() {
    if (!palette) return null;
    if (palette.groups) { const hexes = new Map(palette.groups.map((g) => [colour().labels ? g.text : g.value, g.hex])); return (key) => hexes.get(key); }
    const colours = ramp(spec.scale), { low, high } = palette;
    return (v) => `rgb(${colours[Math.max(0, Math.min(255, Math.round((255 * (v - low)) / (high - low || 1))))].join(",")})`;
  }
  function drawCharts() {
    ui.key.classList.toggle("wbp-doubled", !ui.facets.hidden && facets.draw(choice, model.get("color"), hexOf()));
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
    const { chosen } = choice, m = drawn(), top = new Uint32Array(choice.count);
    let tops = 0; // chosen rows so far that have a place
    if (chosen) for (let i = 0; i < m; i++) if (chosen[i]) top[tops++] = i;
    painter.colours(paint(colour(), palette, spec, m, chosen, alpha()), top.subarray(0, tops));
  }
  function recolour() {
    const column = colour();
    palette = column && paletteFor(column);
    ink();
    ui.legend(column, palette, spec, (group) => pick(rowsWhere((i) => column.values[i] === group.value)));
    busy(); // a change of a million points is first seen in some of them
  }
  function setColour(name) { model.set("color", name); model.save_changes(); }
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
    if (state.slow) state.step = Math.max(1, Math.ceil(drawn() / WHILE_MOVING));
    clearTimeout(idle);
    if (state.step > 1) idle = setTimeout(() => { state.step = 1; draw(); }, 160);
    draw();
  }
  function looked() { // somebody moved the view: once it rests, what is outside is counted and the view kept
    clearTimeout(looking);
    looking = setTimeout(() => { rested(); keepLook(); model.save_changes(); }, 250);
    busy();
  }
  function rested() {
    state.outside = outside();
    el.dataset.outside = String(state.outside);
    notes();
  }
  function notes() {
    ui.notes(state.outside ? `${state.outside.toLocaleString()} ${state.outside === 1 ? "point" : "points"} outside: 0 or Fit shows all.` : "", spec.note || "", model.get("unkept") || "");
  }
  function keepLook() {
    const near = (v) => +v.toPrecision(5), { pan, zoom, turn } = camera.state(), { filters, base } = choice.state;
    const seen = { pan: pan.map(near), zoom: near(zoom), turn: turn.map(near), whole };
    model.set("look", { ...look(), camera: seen, filters, drawn: Boolean(base) });
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
    if (visible) charted();
  }
  function charted() {
    if (spec && state.charts === undefined && !state.soon) state.soon = setTimeout(() => { state.soon = 0; if (!closed && visible) { showCharts(); rested(); } }, 30);
  }
  function resize() {
    const { clientWidth: w, clientHeight: h } = ui.stage;
    for (const canvas of painter === RESTING ? [ui.over] : [ui.canvas, ui.over]) { canvas.width = Math.round(w * devicePixelRatio); canvas.height = Math.round(h * devicePixelRatio); }
    draw();
  }
  const watch = new ResizeObserver(() => { if (spec && ui.stage.clientWidth) { resize(); drawCharts(); } });
  watch.observe(ui.stage);

  // ---- selection

  // Take over the selection as the model has it: with these filters, and what was drawn around within them.
  function readPicked(filters = [], around = true) {
    const view = (read = model.get("picked")), bits = view && new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    let base = null;
    if (around && bits && bits.length) {
      base = new Uint8Array(n());
      // bit i & 7 of byte i >> 3 is row i
      for (let i = 0; i < base.length; i++) base[i] = (bits[i >> 3] >> (i & 7)) & 1;
    }
    choice.begin({ base, asked: "", filters });
    el.dataset.selected = String(choice.count);
    if (filters.length && !around) tell();
  }
  function pick(rows, { add = false, asked = "" } = {}) {
    const { base } = choice.state;
    if (rows && add && base) for (let i = 0; i < rows.length; i++) rows[i] |= base[i];
    if (!rows && !choice.state.base) return;
    timed("selecting", () => { choice.change({ base: rows, asked }); chose(); });
  }
  function timed(name, act) {
    const began = performance.now();
    act();
    el.dataset[name] = (performance.now() - began).toFixed(1);
  }
  function chose() { // a choice was made here: every other view is told
    tell();
    state.shown = TABLE_PAGE;
    show();
    tabulate();
  }
  function show() {
    el.dataset.selected = String(choice.count);
    const asked = choice.state.asked ? choice.state.asked.text : "";
    if (document.activeElement !== ui.where || asked) ui.where.value = asked;
    ui.steps(choice);
    if (palette || !colour()) { ink(); busy(); } else recolour();
    drawCharts();
    say();
    if (!ui.python.hidden) ui.showCode(code());
  }
  function tell() {
    const { chosen, count } = choice, bits = new Uint8Array(count ? Math.ceil(n() / 8) : 0);
    // bits has a bit for every chosen row before i
    if (count) for (let i = 0; i < chosen.length; i++) if (chosen[i]) bits[i >> 3] |= 1 << (i & 7);
    read = new DataView(bits.buffer);
    model.set("picked", read);
    keepLook();
    model.save_changes();
  }
  function selectionChanged() { // somebody else's choice; it can be undone here too
    const view = (read = model.get("picked")), bits = view && new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    const base = bits && bits.length ? rowsWhere((i) => (bits[i >> 3] >> (i & 7)) & 1) : null, { chosen } = choice;
    if (base ? chosen && base.every((v, i) => v === chosen[i]) : !chosen) return; // said twice
    choice.change({ base, asked: "", filters: [] });
    keepLook();
    state.shown = TABLE_PAGE;
    show();
    tabulate();
  }
  const stepped = (act) => () => { unring(); act(); chose(); };
  function where(text) {
    ui.refuse("");
    if (!text.trim()) return choice.state.asked ? pick(null) : undefined;
    try {
      const { rows, used } = matching(text, columns, n());
      pick(rows, { asked: { text: text.trim(), used } });
    } catch (error) { ui.refuse(`This can't be answered: ${error.message}. ${QUERY_HELP}`); }
  }

  // ---- search and table

  function search(text) {
    state.shown = TABLE_PAGE;
    state.found = searched(text);
    tabulate();
  }
  function say() {
    let found = 0;
    if (state.found) for (let i = 0; i < state.found.length; i++) found += state.found[i];
    ui.say(state.found ? found : choice.count, n(), Boolean(state.found), choice.count, Boolean(choice.chosen));
  }
  function tabulate() {
    say();
    ui.table(listing(), state, {
      sort: (column) => { state.sort = { column, down: Boolean(state.sort && state.sort.column === column && !state.sort.down) }; tabulate(); },
      more: () => { state.shown += 4 * TABLE_PAGE; tabulate(); },
      ring: (i) => { showRow(i); ring(i); },
    }, rowViews);
  }
  // A row of a table is shown where it lies in every open view of the same rows, also in those of other hosts.
  function showRow(i) {
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
    if (i >= drawn()) { draw(); return hint(i); }
    const { x, y } = project(), { clientWidth: w, clientHeight: h } = ui.stage, px = x(i), py = y(i);
    if (px < 0 || py < 0 || px > w || py > h) { camera.move(1 - (2 * px) / w, (2 * py) / h - 1); looked(); }
    draw();
    hint(i);
  }
  function unring() { if (state.ring >= 0) showRow(-1); state.ring = -1; ui.tip.hidden = true; }
  function hint(i) {
    if (i < 0) { ui.tip.hidden = true; return; }
    const { x, y } = project(), here = i < drawn();
    ui.hint(here ? rowViews.tip(i) : [make("i", { textContent: "not among the points that are drawn" }), ...rowViews.tip(i)], here ? x(i) : 0, here ? y(i) : 0);
  }

  function zoom(factor, x = 0, y = 0) { camera.zoomAt(factor, x, y); ui.tip.hidden = true; looked(); }
  function fit() { camera.fit(limits.far.low, limits.far.high); whole = true; looked(); }

  // ---- controls

  ui.on({
    tool: (name) => { state.tool = name; ui.over.dataset.tool = name; },
    zoom, fit,
    clear, where, colour: setColour,
    undo: stepped(() => choice.undo()), redo: stepped(() => choice.redo()),
    charts: () => { model.set("look", { ...look(), charts: !state.charts }); model.save_changes(); state.charts = !state.charts; showCharts(); },
    png: async () => save(".png", await pngOf(sheet())), svg: () => save(".svg", svgOf(sheet())),
    csv: () => save(".csv", csvOf(columns, to, spec, saved())),
    parquet: () => { if (model.send) model.send({ ask: "parquet" }); },
    code: () => ui.showCode(ui.python.hidden ? code() : ""),
    frame: (at) => { model.set("frame", at); model.save_changes(); },
    search,
    choose: () => { const found = state.found; ui.search.value = ""; state.found = null; pick(found); },
    frames: () => frames.length,
  });
  function clear() {
    unring();
    ui.refuse("");
    if (choice.chosen) { choice.change({ base: null, asked: "", filters: [] }); chose(); }
  }
  const saved = () => { const listed = listing(); return state.found || choice.chosen ? listed : Array.from({ length: n() }, (_, i) => i); };
  const save = (ending, blob) => { download(fileName(spec.title, ending), blob); el.dataset.saved = ending; };
  const code = () => codeOf(spec.code, { ids, columns, color: model.get("color"), choice, listed: choice.chosen ? [...choice.chosen.keys()].filter((i) => choice.chosen[i]) : [] });
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
    "change:color": () => { ui.colours(columns, model.get("color")); recolour(); drawCharts(); },
    "change:unkept": () => notes(),
    "msg:custom": (message, buffers) => { if (message.save && buffers && buffers.length) save(message.save, new Blob([buffers[0]])); if (message.wrong) ui.refuse(message.wrong); },
    "change:frame": () => { if (to !== frames[frameAt()]) moveTo(); },
  };
  let queued = false; // several traits of one message are one change
  for (const [name, act] of Object.entries(heard)) {
    if (act !== load) { model.on(name, act); continue; }
    heard[name] = () => { if (!queued) { queued = true; queueMicrotask(() => { queued = false; load(); }); } };
    model.on(name, heard[name]);
  }
  listenToHand(view, geometry, overlay);
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
    clearTimeout(looking);
    painter.end();
  };
}

export default { render };
