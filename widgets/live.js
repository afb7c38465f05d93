// A figure that stays connected to the kernel. This module is small, since anywidget gives one 2 s to start; plotly comes once
// for the page, by a model of its own (`library`), and what is drawn by another (`drawing`): the models that ipywidgets itself
// has start however busy the machine is.
const page = (globalThis[Symbol.for("workbench.figures")] ??= { loading: new Map() });

function plotlyOf(library) {
  const version = library.get("version");
  if (!page.loading.has(version)) page.loading.set(version, load(library.get("source")).catch((error) => { page.loading.delete(version); throw error; }));
  return page.loading.get(version);
}

// As a script and not as a module: browsers read one this long beside the page's own work.
async function load(packed) {
  if (!packed || !packed.byteLength) throw new Error("plotly is not in this notebook; run the cell again");
  const source = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
  const wrapped = new Blob(["(function () { const module = { exports: {} };\n", source, "\n;globalThis[Symbol.for('workbench.plotly')] = module.exports; })();"], { type: "text/javascript" });
  const script = document.createElement("script"), url = URL.createObjectURL(wrapped);
  try {
    await new Promise((resolve, reject) => {
      script.onload = resolve;
      script.onerror = () => reject(new Error("plotly could not be read"));
      script.src = url;
      document.head.append(script);
    });
  } finally {
    script.remove();
    URL.revokeObjectURL(url);
  }
  const plotly = globalThis[Symbol.for("workbench.plotly")];
  if (!plotly) throw new Error("plotly could not be read");
  return plotly;
}

function render({ model, el }) {
  const frame = document.createElement("div"), plot = document.createElement("div");
  frame.className = "wbf-figure";
  plot.className = "wbf-plot";
  frame.style.maxWidth = `${model.get("width")}px`;
  frame.append(plot);
  el.append(frame);
  const words = figuresBy(null); // what needs no plotly
  words.say(plot, "Drawing …");

  let drawing = null, figures = null, applying = false, gone = false, asked = Promise.resolve();
  const isDrawn = () => Boolean(plot._fullLayout);
  const shown = () => (isDrawn() ? { data: plot.data, layout: plot.layout } : drawing && JSON.parse(drawing.get("figure")));
  const inks = () => {
    const style = getComputedStyle(el), of = (name, usual) => style.getPropertyValue(name).trim() || usual;
    return { ink: of("--jp-ui-font-color1", "#23272f"), soft: of("--jp-ui-font-color2", "#5b6472"), paper: of("--jp-layout-color0", "#ffffff") };
  };

  async function start() {
    try {
      const [held, library] = await Promise.all(["drawing", "library"].map((name) => model.widget_manager.get_model(model.get(name))));
      if (gone) return;
      if (drawing !== held) {
        drawing = held;
        drawing.on("change:figure", ask, frame);
        drawing.on("change:selected", light, frame);
      }
      figures = figuresBy(await plotlyOf(library));
      frame.querySelector(".wbf-tools")?.remove();
      frame.append(figures.tools(shown));
      await ask();
    } catch (error) {
      if (!gone) words.fail(plot, error, () => { words.say(plot, "Drawing …"); start(); });
    }
  }

  // One drawing after another; of those that wait, the last alone.
  let waiting = false;
  function ask() {
    if (waiting) return asked;
    waiting = true;
    asked = asked.then(() => { waiting = false; return draw(); });
    return asked;
  }

  async function draw() {
    if (gone || !figures || !frame.clientWidth) return; // drawn when it is seen: `widths`
    try {
      if (!isDrawn()) plot.replaceChildren();
      const view = drawing.get("view"); // what was zoomed or turned; the kernel empties it for another answer
      await figures.draw(plot, JSON.parse(drawing.get("figure")), inks(), { width: Math.floor(frame.clientWidth), bare: true });
      if (Object.keys(view).length) await figures.look(plot, view);
      listen();
      await light();
      plot.dataset.live = "yes";
    } catch (error) {
      figures.clear(plot);
      words.fail(plot, error, () => { words.say(plot, "Drawing …"); ask(); });
    }
  }

  async function light() {
    if (!isDrawn()) return;
    const points = drawing.get("selected"), which = points.map((_, i) => i).filter((i) => points[i] !== false);
    if (!which.length) return;
    applying = true;
    try { await figures.mark(plot, which.map((i) => points[i]), which); } finally { applying = false; }
  }

  const marks = (event) => event.points.map((p) => [p.curveNumber, ...(p.pointNumbers || [p.pointNumber ?? p.pointNumbers])]);
  function listen() {
    plot.on("plotly_selected", (event) => { if (!applying && event && event.points.length) drawing.send({ picked: marks(event) }); });
    plot.on("plotly_deselect", () => { if (!applying) drawing.send({ cleared: true }); });
    plot.on("plotly_click", (event) => { if (event.points.length) drawing.send({ clicked: marks(event) }); });
    plot.on("plotly_relayout", (event) => {
      const view = figures.looked(plot, event, drawing.get("view"));
      if (!view) return;
      drawing.set("view", view);
      drawing.save_changes();
    });
  }

  const widths = new ResizeObserver(() => {
    if (!figures || !frame.clientWidth) return;
    if (!isDrawn()) ask();
    else if (Math.abs(frame.clientWidth - plot._fullLayout.width) > 1) figures.refit(plot, inks(), Math.floor(frame.clientWidth));
  });
  widths.observe(frame);
  const theme = new MutationObserver(() => { if (isDrawn()) figures.refit(plot, inks(), plot._fullLayout.width); });
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
  start();
  return () => {
    gone = true;
    widths.disconnect();
    theme.disconnect();
    if (drawing) drawing.off(null, null, frame);
    if (figures) figures.clear(plot);
  };
}

export default { render };
