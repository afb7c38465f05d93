// What a hand does on the stage, by pointer and by keys, and what is drawn over the points meanwhile: the lasso, a ring.

// The shape that is being drawn.
function outlineOf(state) {
  const { path } = state.gesture;
  if (state.tool !== "box") return path;
  const [[x, y], [u, v]] = [path[0], path[path.length - 1]];
  return [[x, y], [u, y], [u, v], [x, v]];
}

function makeOverlay(view, { project }) {
  const { ui, state, drawn } = view;
  function overlay() {
    const context = ui.over.getContext("2d"), scale = devicePixelRatio;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, ui.over.width, ui.over.height);
    context.strokeStyle = context.fillStyle = getComputedStyle(ui.root).getPropertyValue("--wbp-ink").trim() || "#888";
    if (state.gesture && state.gesture.path.length > 1 && state.tool !== "pan") {
      context.beginPath();
      outlineOf(state).forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.closePath();
      context.setLineDash([5, 4]);
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 0.08;
      context.fill();
      context.globalAlpha = 1;
    }
    if (state.ring >= 0 && state.ring < drawn()) {
      const { x, y } = project();
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x(state.ring), y(state.ring), 9, 0, 7);
      context.stroke();
    }
  }
  return overlay;
}

function listenToHand(view, { nearest, inside }, overlay) {
  const { ui, state, drawn } = view;
  const spot = (event) => { const box = ui.stage.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  ui.over.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    ui.over.setPointerCapture(event.pointerId);
    state.gesture = { path: [spot(event)], last: spot(event), add: event.shiftKey };
    ui.tip.hidden = true;
  });
  ui.over.addEventListener("pointermove", (event) => {
    const at = spot(event);
    if (!state.gesture) return hoverLater(at);
    if (state.tool === "pan") {
      const dx = at[0] - state.gesture.last[0], dy = at[1] - state.gesture.last[1];
      if (view.spec.k > 2 && !event.shiftKey) view.camera.turnBy(dx / 150, dy / 150);
      else view.camera.move((2 * dx) / ui.stage.clientWidth, (-2 * dy) / ui.stage.clientHeight);
      view.looked();
    }
    state.gesture.last = at;
    state.gesture.path.push(at);
    if (state.tool !== "pan") overlay();
  });
  ui.over.addEventListener("pointerup", (event) => {
    if (!state.gesture) return;
    const { path, add } = state.gesture, shape = outlineOf(state);
    const drawn = path.some(([x, y]) => Math.hypot(x - path[0][0], y - path[0][1]) > 4);
    state.gesture = null;
    overlay();
    if (drawn && state.tool !== "pan") { const began = performance.now(); view.pick(inside(shape), { add }); view.el.dataset.lasso = (performance.now() - began).toFixed(1); }
    else if (!drawn) { const at = nearest(...path[0]); state.ring = at; view.showRow(at); view.pick(at < 0 ? null : view.rowsWhere((i) => i === at), { add }); }
  });
  ui.over.addEventListener("pointercancel", () => { state.gesture = null; overlay(); });
  ui.over.addEventListener("pointerleave", () => { clearTimeout(hovering); if (state.ring < 0) ui.tip.hidden = true; else view.hint(-1); });
  let hovering = 0;
  function hoverLater(at) { clearTimeout(hovering); hovering = setTimeout(() => view.to && view.hint(nearest(...at)), drawn() > 200000 ? 60 : 10); }
  // A page scrolls past a view that isn't in use; one that has the focus zooms.
  ui.over.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== ui.over) return;
    event.preventDefault();
    const [x, y] = spot(event);
    view.zoom(Math.exp(-event.deltaY / 300), (2 * x) / ui.stage.clientWidth - 1, 1 - (2 * y) / ui.stage.clientHeight);
  }, { passive: false });
  const keys = {
    ArrowLeft: () => view.camera.move(0.1, 0), ArrowRight: () => view.camera.move(-0.1, 0), ArrowUp: () => view.camera.move(0, -0.1), ArrowDown: () => view.camera.move(0, 0.1),
    "+": () => view.zoom(1.3), "=": () => view.zoom(1.3), "-": () => view.zoom(1 / 1.3), 0: view.fit,
  };
  ui.over.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { state.gesture = null; view.clear(); }
    else if (keys[event.key] && !event.ctrlKey && !event.metaKey) { keys[event.key](); view.looked(); event.preventDefault(); event.stopPropagation(); }
  });
}
