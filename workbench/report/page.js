// Draws the figures and holds one selection across all that speak of the same rows.
"use strict";
(() => {
  const plots = [...document.querySelectorAll(".plot")];
  const status = document.getElementById("selection");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const options = { responsive: true, displaylogo: false, scrollZoom: false, modeBarButtonsToRemove: ["toImage"] };
  let applying = false;

  const idsOf = (mark) => (Array.isArray(mark) ? mark : mark === null || mark === undefined ? [] : [mark]);
  const space = (plot) => plot.layout && plot.layout.meta && plot.layout.meta.space;

  // plotly.js decodes typed arrays ({dtype, bdata}) only into its own copy of the data.
  const column = (plot, index, name) => {
    const full = plot._fullData[index];
    const values = full && full[name];
    return values === undefined || values === null ? [] : values;
  };

  // what an axis has that its figure says nothing of: plotly's own lines are white, and black through zero
  const GREY = "rgba(128,134,144,0.6)";
  const LINES = { gridcolor: "rgba(128,134,144,0.18)", zeroline: false, zerolinecolor: GREY, linecolor: GREY, tickcolor: GREY };

  function inks() {
    const style = getComputedStyle(document.documentElement);
    return Object.fromEntries(["ink", "soft", "paper"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }

  function dress(layout) {
    const { ink, soft, paper } = inks();
    layout.font = { ...layout.font, color: ink };
    layout.hoverlabel = { ...layout.hoverlabel, bgcolor: paper, font: { ...(layout.hoverlabel || {}).font, color: ink } };
    layout.modebar = { ...layout.modebar, bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: ink };
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) layout[name] = { ...LINES, ...layout[name] };
    return layout;
  }

  // Views of points (host.js) hear of a selection, and tell of theirs, by an event on the document.
  const tell = (from, chosen) => {
    document.dispatchEvent(new CustomEvent("workbench:select", { detail: { space: from, ids: chosen, by: "page" } }));
    select(from, chosen);
  };
  document.addEventListener("workbench:select", (event) => { if (event.detail.by !== "page") select(event.detail.space, event.detail.ids); });

  function select(from, chosen) {
    applying = true;
    const wanted = chosen && new Set(chosen);
    const work = plots.filter((p) => p._fullData && space(p) === from).map((plot) => {
      const which = [], points = [];
      plot._fullData.forEach((trace, i) => {
        const marks = column(plot, i, "customdata");
        if (!marks.length || trace.type === "scatter3d" || trace.mode === "lines") return;
        which.push(i);
        if (!wanted) return points.push(null);
        const hit = [];
        for (let j = 0; j < marks.length; j++) if (idsOf(marks[j]).some((id) => wanted.has(id))) hit.push(j);
        points.push(hit);
      });
      return which.length ? Plotly.restyle(plot, { selectedpoints: points }, which) : null;
    });
    status.hidden = !wanted;
    status.firstElementChild.textContent = wanted ? `${wanted.size.toLocaleString()} rows selected` : "";
    Promise.all(work).finally(() => { applying = false; });
  }

  function listen(plot) {
    if (!space(plot)) return; // a figure of something else: its marks are no row ids
    const rows = (event) => event.points.flatMap((p) => idsOf(p.customdata));
    plot.on("plotly_selected", (event) => { if (!applying && event && event.points.length) tell(space(plot), rows(event)); });
    plot.on("plotly_deselect", () => { if (!applying) tell(space(plot), null); });
    plot.on("plotly_click", (event) => { const ids = rows(event); if (ids.length > 1) tell(space(plot), ids); });
  }

  async function draw() {
    for (const plot of plots) {
      try {
        const figure = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
        await Plotly.newPlot(plot, figure.data, dress(figure.layout), options);
        listen(plot);
      } catch (error) {
        plot.textContent = "This figure could not be drawn here: " + error.message;
      }
      await new Promise((next) => setTimeout(next));
    }
    document.documentElement.dataset.drawn = "yes";
  }

  const spaces = new Set();
  function clear() {
    plots.forEach((plot) => spaces.add(space(plot)));
    spaces.forEach((each) => each && tell(each, null));
  }
  document.addEventListener("workbench:select", (event) => spaces.add(event.detail.space));
  status.querySelector("button").addEventListener("click", clear);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
  dark.addEventListener("change", () => plots.forEach((plot) => plot.layout && Plotly.relayout(plot, dress({ ...plot.layout }))));
  window.addEventListener("beforeprint", () => plots.forEach((plot) => plot.layout && Plotly.Plots.resize(plot)));
  draw();
})();
