// Draws the figures and holds one selection across all that speak of the same rows.
"use strict";
(() => {
  const plots = [...document.querySelectorAll(".plot")];
  const status = document.getElementById("selection");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const { PAPER, PRINTED, draw: drawFigure, refit, mark, say, fail, tools } = figuresBy(Plotly);
  const LIVE = 4; // figures with WebGL contexts, of two each: browsers end the oldest of 16, and views of points need some
  const selections = new Map(); // by space, for a figure that is drawn later
  const figures = new Map(); // of each plot: what it draws, and of whose rows
  const live = new Set(); // plots that hold contexts, the one that was drawn longest ago first
  let applying = false, printing = false;

  const idsOf = (mark) => (Array.isArray(mark) ? mark : mark === null || mark === undefined ? [] : [mark]);
  const space = (plot) => { const figure = figures.get(plot); return figure && figure.layout.meta && figure.layout.meta.space; };

  // plotly.js decodes typed arrays ({dtype, bdata}) only into its own copy of the data.
  const column = (plot, index, name) => {
    const full = plot._fullData[index];
    const values = full && full[name];
    return values === undefined || values === null ? [] : values;
  };

  function inks() {
    if (printing) return PAPER;
    const style = getComputedStyle(document.documentElement);
    return Object.fromEntries(["ink", "soft", "paper"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }

  // Views of points (host.js) hear of a selection, and tell of theirs, by an event on the document.
  const tell = (from, chosen) => {
    document.dispatchEvent(new CustomEvent("workbench:select", { detail: { space: from, ids: chosen, by: "page" } }));
    select(from, chosen);
  };
  document.addEventListener("workbench:select", (event) => { if (event.detail.by !== "page") select(event.detail.space, event.detail.ids); });

  function light(plot, wanted) {
    if (!plot._fullData) return null; // it is lit when it is drawn
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
    return mark(plot, points, which);
  }

  function select(from, chosen) {
    applying = true;
    const wanted = chosen && new Set(chosen);
    if (wanted) selections.set(from, wanted); else selections.delete(from);
    const work = plots.filter((plot) => space(plot) === from).map((plot) => light(plot, wanted));
    status.hidden = !wanted;
    status.firstElementChild.textContent = wanted ? `${wanted.size.toLocaleString()} rows selected` : "";
    markRows(from);
    Promise.all(work).finally(() => { applying = false; });
  }

  // One row is shown where it lies, in every figure of its rows and every view of points (points.js).
  const show = (from, id) => document.dispatchEvent(new CustomEvent("workbench:show", { detail: { space: from, id, by: "page" } }));
  document.addEventListener("workbench:show", (event) => {
    const { space: from, id } = event.detail;
    plots.filter((plot) => plot._fullData && space(plot) === from).forEach((plot) => point(plot, id));
  });
  function point(plot, id) {
    const others = (plot.layout.annotations || []).filter((note) => note.name !== "workbench:shown");
    const before = (plot.layout.annotations || []).length - others.length;
    const here = id === null ? null : place(plot, id);
    if (here || before) Plotly.relayout(plot, { annotations: here ? [...others, here] : others });
  }
  function place(plot, id) {
    for (let i = 0; i < plot._fullData.length; i++) {
      const trace = plot._fullData[i];
      if (!trace.xaxis || trace.visible !== true || trace.mode === "lines") continue;
      const marks = column(plot, i, "customdata"), x = column(plot, i, "x"), y = column(plot, i, "y");
      for (let j = 0; j < marks.length; j++) if (idsOf(marks[j]).includes(id) && x[j] !== undefined && y[j] !== undefined) {
        const { ink, paper } = inks();
        return { name: "workbench:shown", x: x[j], y: y[j], xref: trace.xaxis, yref: trace.yaxis, text: `row ${id}`, showarrow: true, arrowhead: 6,
          arrowsize: 1.4, arrowcolor: ink, ax: 24, ay: -28, font: { color: ink }, bgcolor: paper, bordercolor: ink };
      }
    }
    return null;
  }

  function listen(plot) {
    if (!space(plot)) return; // a figure of something else: its marks are no row ids
    const rows = (event) => event.points.flatMap((p) => idsOf(p.customdata));
    plot.on("plotly_selected", (event) => { if (!applying && event && event.points.length) tell(space(plot), rows(event)); });
    plot.on("plotly_deselect", () => { if (!applying) tell(space(plot), null); });
    plot.on("plotly_click", (event) => { const ids = rows(event); if (ids.length > 1) tell(space(plot), ids); });
  }

  const heavy = (figure) => figure.data.some((trace) => /gl$|3d$/.test(trace.type || ""));
  const near = (plot) => { const { top, bottom } = plot.getBoundingClientRect(); return bottom > -200 && top < innerHeight + 200; };

  async function drawOne(plot) {
    const figure = figures.get(plot);
    if (heavy(figure)) {
      while (live.size >= LIVE) rest([...live].find((other) => !near(other)) || [...live][0]);
      live.add(plot);
    }
    plot.replaceChildren();
    await drawFigure(plot, figure, inks());
    listen(plot);
    if (selections.has(space(plot))) await light(plot, selections.get(space(plot)));
  }

  // Give a figure's contexts back; what it shows stays as a picture until it is looked at again.
  function rest(plot) {
    const still = plot.firstElementChild.cloneNode(true), drawn = plot.querySelectorAll("canvas");
    still.querySelectorAll("canvas").forEach((copy, i) => {
      [copy.width, copy.height] = [drawn[i].width, drawn[i].height];
      if (copy.width && copy.height) copy.getContext("2d").drawImage(drawn[i], 0, 0);
    });
    const { height } = plot.getBoundingClientRect(), contexts = [...drawn].map((canvas) => canvas.getContext("webgl") || canvas.getContext("webgl2"));
    figures.set(plot, { data: plot.data, layout: plot.layout });
    Plotly.purge(plot);
    contexts.forEach((gl) => gl && gl.getExtension("WEBGL_lose_context")?.loseContext());
    plot.replaceChildren(still);
    plot.style.minHeight = `${height}px`;
    plot.dataset.resting = "yes";
    live.delete(plot);
    looks.observe(plot);
  }
  const looks = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target: plot }) => {
    looks.unobserve(plot);
    if (!plot.dataset.resting) return;
    delete plot.dataset.resting;
    tryDrawing(plot);
  }), { rootMargin: "200px" });

  async function tryDrawing(plot) {
    try {
      if (!figures.has(plot)) figures.set(plot, JSON.parse(document.getElementById(plot.dataset.figure).textContent));
      await drawOne(plot);
    } catch (error) {
      live.delete(plot);
      fail(plot, error, () => tryDrawing(plot));
    }
  }

  const widths = new ResizeObserver((entries) => entries.forEach(({ target: plot, contentRect: { width } }) => {
    if (!printing && plot._fullLayout && width && Math.abs(width - plot._fullLayout.width) > 1) refit(plot, inks());
  }));

  async function draw() {
    for (const plot of plots) say(plot, "Drawing …");
    for (const plot of plots) {
      plot.after(tools(() => (plot.data ? plot : figures.get(plot))));
      await tryDrawing(plot);
      widths.observe(plot);
      await new Promise((next) => setTimeout(next));
    }
    document.documentElement.dataset.drawn = "yes";
  }

  // ---- tables

  // Text that begins with a number is sorted by it, but only where all of a column does.
  const number = (text) => { const found = /^[−+-]?(\d[\d,]*\.?\d*|\.\d+)(e[+-]?\d+)?/i.exec(text.trim()); return found ? Number(found[0].replace(/,/g, "").replace("−", "-")) : /^[+-]?inf/i.test(text.trim()) ? Infinity * (text.trim()[0] === "-" ? -1 : 1) : NaN; };
  const empty = (text) => /^\s*(nan|none|<na>|nat)?\s*$/i.test(text);

  function sortable(table) {
    const body = table.tBodies[0], head = table.tHead && table.tHead.rows[0];
    if (!body || body.rows.length < 2 || !head || [...table.querySelectorAll("tbody [rowspan], tbody [colspan], thead [colspan]")].some((c) => c.rowSpan > 1 || c.colSpan > 1)) return;
    const under = table.tHead.rows[1]; // pandas says the index's name there
    [...head.cells].forEach((cell, j) => {
      const name = cell.textContent.trim() || (under && under.cells[j] && under.cells[j].textContent.trim()) || "row";
      const turn = document.createElement("button");
      turn.type = "button";
      turn.title = `Sort by ${name}`;
      turn.textContent = name;
      cell.replaceChildren(turn);
      cell.setAttribute("scope", "col");
      cell.setAttribute("aria-sort", "none");
      turn.addEventListener("click", () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        for (const other of head.cells) other.setAttribute("aria-sort", "none");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(body, j, down);
      });
    });
    if (under) under.remove();
    table.dataset.sortable = "yes";
    linkRows(table, head.cells[0].textContent);
  }
  function sort(body, j, down) {
    const rows = [...body.rows].map((row, at) => ({ row, at, text: row.cells[j] ? row.cells[j].textContent.trim() : "" }));
    const said = rows.filter((r) => !empty(r.text)), numeric = said.every((r) => !Number.isNaN(number(r.text)));
    const order = (a, b) => (numeric ? number(a.text) - number(b.text) || 0 : a.text.localeCompare(b.text, "en", { numeric: true }));
    said.sort((a, b) => (down ? order(b, a) : order(a, b)) || a.at - b.at);
    body.append(...said.map((r) => r.row), ...rows.filter((r) => empty(r.text)).map((r) => r.row)); // what says nothing stays last
  }

  // A table whose first column is called "row" speaks of the rows that the page's figures draw, if they draw one set of rows.
  const linked = [], idOf = (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : text); // as in points.js
  function linkRows(table, first) {
    if (first !== "row") return;
    for (const row of table.tBodies[0].rows) {
      const text = row.cells[0].textContent.trim(), id = idOf(text);
      if (!/^-?\d+$/.test(text)) return;
      row.dataset.row = id;
      row.tabIndex = 0;
      row.title = "Show where it lies";
      const act = () => { const from = only(); if (from) show(from, id); };
      row.addEventListener("click", act);
      row.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { act(); event.preventDefault(); } });
    }
    linked.push(table);
  }
  const only = () => {
    const all = new Set([...plots.map(space), ...[...document.querySelectorAll(".point-view")].map((view) => view.dataset.space)].filter(Boolean));
    return all.size === 1 ? [...all][0] : null;
  };
  function markRows(from) {
    if (from !== only()) return;
    const wanted = selections.get(from);
    for (const table of linked) for (const row of table.tBodies[0].rows) row.classList.toggle("selected", Boolean(wanted && wanted.has(idOf(row.dataset.row))));
  }

  // ---- printing

  const opened = [];
  function toPaper() {
    printing = true;
    for (const fold of document.querySelectorAll("details.how:not([open]), details.fold:not([open]), details.facts:not([open]), details.about:not([open])")) { fold.open = true; opened.push(fold); }
    for (const plot of plots) refit(plot, inks(), PRINTED);
  }
  function fromPaper() {
    printing = false;
    opened.splice(0).forEach((fold) => { fold.open = false; });
    for (const plot of plots) refit(plot, inks());
  }
  window.addEventListener("beforeprint", toPaper);
  window.addEventListener("afterprint", fromPaper);

  const spaces = new Set();
  function clear() {
    plots.forEach((plot) => spaces.add(space(plot)));
    spaces.forEach((each) => { if (each) { tell(each, null); show(each, null); } });
  }
  document.addEventListener("workbench:select", (event) => spaces.add(event.detail.space));
  status.querySelector("button").addEventListener("click", clear);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
  dark.addEventListener("change", () => plots.forEach((plot) => refit(plot, inks(), (plot._fullLayout || {}).width)));
  // what was drawn in a closed fold had no width to fill
  document.addEventListener("toggle", ({ target }) => target.querySelectorAll(".plot").forEach((plot) => refit(plot, inks())), true);
  document.querySelectorAll(".table table").forEach(sortable);
  if (window.matchMedia("(max-width: 900px)").matches) document.querySelector("nav details").open = false; // where it would stand before the report
  if (window.matchMedia("(max-width: 600px)").matches) for (const about of document.querySelectorAll("details.about")) about.open = false;
  draw();
})();
