// Draws a sweep's small multiples along one parameter and sorts its table.
"use strict";
(() => {
  const { tools } = figuresBy(Plotly), SAVED = 440; // pixels that a picture is high
  const data = JSON.parse(document.getElementById("data").textContent);
  const { parameters, runs, columns, labels, colours, symbols } = data;
  const plots = [...document.querySelectorAll(".small")];
  const along = document.getElementById("along"), legend = document.getElementById("legend");
  const GREY = "rgba(128,134,144,0.6)";
  const PRINTED = 306; // pixels: two beside each other on A4 or Letter, as index.css sets them
  let printing = false;
  const inert = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;"); // plotly reads tags in its labels
  const pale = (colour) => `rgba(${[1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)).join()},0.3)`;
  const distinct = (values) => [...new Set(values)];
  const numeric = (p) => runs.every((run) => typeof run[p] === "number");

  // Lines are what the other parameters set apart.
  function groups(p) {
    const found = new Map();
    runs.forEach((run, i) => {
      const name = parameters.filter((_, k) => k !== p).map((n) => `${n}=${run[parameters.indexOf(n)]}`).join(" ");
      if (!found.has(name)) found.set(name, []);
      found.get(name).push(i);
    });
    return [...found].map(([name, rows]) => [name, numeric(p) ? rows.sort((a, b) => runs[a][p] - runs[b][p]) : rows]);
  }

  function traces(column, p, lines) {
    const drawn = [], plain = lines.length > colours.length;
    lines.forEach(([name, all], k) => {
      const rows = all.filter((i) => column.cells[i] && column.cells[i][0] !== null), cells = rows.map((i) => column.cells[i]);
      if (!rows.length) return;
      const colour = plain ? colours[0] : colours[k], x = rows.map((i) => (numeric(p) ? runs[i][p] : inert(runs[i][p])));
      const nulls = cells.map((c) => c[2]);
      if (nulls.some(Boolean)) drawn.push({
        x, y: nulls.map((n) => (n ? (n[0] + n[1]) / 2 : null)), mode: "markers", marker: { size: 1, color: GREY }, hoverinfo: "skip", showlegend: false, offsetgroup: String(k),
        error_y: { array: nulls.map((n) => (n ? (n[1] - n[0]) / 2 : 0)), color: plain ? "rgba(128,134,144,0.45)" : pale(colour), thickness: 7, width: 0 },
      });
      const y = cells.map((c) => c[0]), has = cells.some((c) => c[1]);
      drawn.push({
        x, y, mode: numeric(p) && !plain ? "lines+markers" : "markers", name: inert(name), customdata: rows, showlegend: false, offsetgroup: String(k),
        marker: { color: colour, size: 7, symbol: plain ? "circle" : symbols[k], opacity: plain ? 0.7 : 1 }, line: { color: colour, width: 1.5 },
        text: rows.map((i) => inert(labels[i])), hovertemplate: "%{text}<br>%{y:.4g}<extra></extra>",
        ...(has ? { error_y: { symmetric: false, array: cells.map((c, j) => (c[1] ? c[1][1] - y[j] : 0)), arrayminus: cells.map((c, j) => (c[1] ? y[j] - c[1][0] : 0)), color: colour, thickness: 1.2, width: 3 } } : {}),
      });
    });
    return drawn;
  }

  // As grouped marks would have it, every axis began at 0.
  function range(column) {
    const all = column.cells.filter(Boolean).flat(2).filter((v) => v !== null);
    const low = Math.min(...all), high = Math.max(...all), room = (high - low) * 0.06 || Math.abs(low) * 0.1 || 1;
    return [low - room, high + room];
  }

  function layout(p, column) {
    const style = getComputedStyle(document.documentElement), ink = printing ? "#23272f" : style.getPropertyValue("--ink").trim(), paper = style.getPropertyValue("--paper").trim();
    const line = { gridcolor: "rgba(128,134,144,0.18)", zeroline: false, linecolor: GREY, showline: true, automargin: true };
    const ticks = distinct(runs.map((run) => run[p]));
    const few = numeric(p) ? (ticks.length <= 8 ? { tickvals: ticks } : {}) : { type: "category" };
    return {
      ...(printing ? { width: PRINTED } : {}),
      margin: { l: 46, r: 10, t: 8, b: 40 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
      scattermode: "group", scattergap: 0.8, // beside each other where they would hide one another
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink }, hoverlabel: { bgcolor: paper, font: { color: ink } },
      xaxis: { ...line, ...few, title: { text: inert(parameters[p]), standoff: 6 } }, yaxis: { ...line, range: range(column) }, modebar: { bgcolor: "rgba(0,0,0,0)" },
    };
  }

  function explain(lines) {
    legend.textContent = "";
    const done = (rows) => rows.some((i) => columns.some((c) => c.cells[i]));
    if (lines.length < 2 || lines.length > colours.length) {
      if (lines.length > 1) legend.textContent = `${lines.length} combinations of the other parameters, in one colour`;
      return;
    }
    lines.forEach(([name, rows], k) => {
      if (!done(rows)) return;
      const entry = document.createElement("span"), dot = document.createElement("i");
      dot.style.background = colours[k];
      entry.append(dot, name);
      legend.append(entry);
    });
  }

  function show(index) {
    document.querySelectorAll("tr.shown").forEach((row) => row.classList.remove("shown"));
    const row = document.getElementById(`run-${index}`);
    row.classList.add("shown");
    row.scrollIntoView({ block: "center" });
  }

  async function draw() {
    const p = Number(along.value), lines = groups(p);
    explain(lines);
    for (const plot of plots) {
      const fresh = !plot.layout;
      const column = columns[Number(plot.dataset.column)];
      await Plotly.react(plot, traces(column, p, lines), layout(p, column), { responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "", displayModeBar: false });
      if (!fresh) continue;
      plot.on("plotly_click", (event) => show(event.points[0].customdata));
      plot.after(tools(() => ({ data: plot.data, layout: { ...plot.layout, title: { text: inert(column.label) }, margin: { ...plot.layout.margin, t: 44 }, height: SAVED } })));
    }
    document.documentElement.dataset.drawn = "yes";
  }

  function sortable(table) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, k) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[k].dataset.sort;
        const order = (a, b) => {
          if (!a || !b) return !a - !b; // what isn't there comes last either way
          const x = Number(a), y = Number(b), by = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
          return down ? -by : by;
        };
        body.append(...[...body.rows].sort((r, s) => order(key(r), key(s))));
      });
    });
  }

  // What tells the runs apart stays in sight while the numbers are scrolled past, where it leaves room for them.
  function pin(table) {
    const rows = [...table.rows], kept = parameters.length + 1;
    let left = 0;
    const places = [...rows[0].cells].slice(0, kept).map((cell) => { const at = left; left += cell.getBoundingClientRect().width; return at; });
    const fits = left < table.parentElement.clientWidth / 2;
    for (const row of rows) places.forEach((at, k) => {
      row.cells[k].classList.toggle("pinned", fits);
      row.cells[k].style.left = fits ? `${at}px` : "";
    });
  }

  const table = document.getElementById("table");
  sortable(table);
  pin(table);
  window.addEventListener("resize", () => pin(table));
  if (plots.length && parameters.length) {
    parameters.forEach((name, k) => along.add(new Option(name, k)));
    // the numeric parameter with the most values tells most along an axis
    const most = parameters.map((_, k) => [distinct(runs.map((run) => run[k])).length + (numeric(k) ? 10000 : 0), k]).sort((a, b) => b[0] - a[0])[0][1];
    along.value = String(most);
    along.closest("p").hidden = false;
    along.addEventListener("change", draw);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    for (const [name, on] of [["beforeprint", true], ["afterprint", false]]) window.addEventListener(name, () => { printing = on; draw(); });
    draw();
  } else document.documentElement.dataset.drawn = "yes";
})();
