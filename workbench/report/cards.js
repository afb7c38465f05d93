"use strict";
// What a figure shows of a cell that is clicked: `layout.meta.cards` holds a card a cell of the first trace, row by row from below.
// A card has a title, lines, a value, the band of its control (`band`, on `axis`) and lists of words with their shares.
function cardsBy(Plotly) {
  const MARK = "workbench:card";
  const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] };
  const SIGNS = { ArrowLeft: ["←", "left"], ArrowRight: ["→", "right"], ArrowUp: ["↑", "above"], ArrowDown: ["↓", "below"] };
  const SVG = "http://www.w3.org/2000/svg";

  function made(name, className, text) {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function drawn(name, values) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    return element;
  }

  // The value beside its control, on an axis that all cards share.
  function strip({ value, band }, [low, high]) {
    const at = (x) => 2 + (96 * (x - low)) / (high - low || 1);
    const svg = drawn("svg", { width: "100%", height: 22, "aria-hidden": "true" });
    svg.append(drawn("line", { class: "wbf-axis", x1: "2%", x2: "98%", y1: 11, y2: 11 }));
    if (low < 0 && high > 0) svg.append(drawn("line", { class: "wbf-axis", x1: `${at(0)}%`, x2: `${at(0)}%`, y1: 3, y2: 19 }));
    if (band) svg.append(drawn("rect", { class: "wbf-band", x: `${at(band[0])}%`, width: `${Math.max(at(band[1]) - at(band[0]), 0.6)}%`, y: 5, height: 12 }));
    svg.append(drawn("circle", { class: "wbf-value", cx: `${at(value)}%`, cy: 11, r: 5.5 }));
    return svg;
  }

  function list([title, rows]) {
    const block = made("div", "wbf-list"), table = made("table");
    for (const [word, share] of rows) {
      const row = made("tr"), cell = made("td"), bar = made("span", "wbf-bar");
      bar.style.width = `${Math.round(100 * Math.min(Math.max(share, 0), 1))}%`;
      cell.append(bar);
      row.append(made("th", "", word.trim() === "" ? "␣" : word), cell, made("td", "wbf-share", share >= 0.001 ? share.toPrecision(2) : "< 0.001"));
      row.firstChild.setAttribute("scope", "row");
      table.append(row);
    }
    block.append(made("div", "wbf-head", title), table);
    return block;
  }

  // The card of a cell, beside the outline of that cell in the figure.
  function show(plot, panel, at) {
    const { cards } = panel, card = cards.cells[at], body = panel.querySelector(".wbf-body");
    panel.chosen = at;
    panel.dataset.cell = at;
    panel.querySelector("strong").textContent = card.title;
    const lines = made("div");
    for (const line of card.lines) lines.append(made("p", "", line));
    const lists = made("div", "wbf-lists");
    for (const each of card.lists || []) lists.append(list(each));
    body.replaceChildren(strip(card, cards.axis), lines, lists);
    const trace = plot._fullData && plot._fullData[0], row = Math.floor(at / cards.columns), column = at % cards.columns;
    if (!trace) return null;
    const x = Number(trace.x[column]), y = Number(trace.y[row]), others = (plot.layout.shapes || []).filter((shape) => shape.name !== MARK);
    return Plotly.relayout(plot, { shapes: [...others, { name: MARK, type: "rect", x0: x - 0.5, x1: x + 0.5, y0: y - 0.5, y1: y + 0.5, line: { color: "#d55e00", width: 3 } }] });
  }

  function panelOf(plot, cards) {
    const panel = made("section", "wbf-card"), head = made("div", "wbf-tools"), body = made("div", "wbf-body");
    panel.setAttribute("aria-label", `${cards.what} that is chosen: click a cell of the figure, or go on with the arrow keys`);
    body.setAttribute("aria-live", "polite");
    const move = (key) => {
      const rows = cards.cells.length / cards.columns, row = Math.floor(panel.chosen / cards.columns) + ARROWS[key][0], column = (panel.chosen % cards.columns) + ARROWS[key][1];
      if (row >= 0 && row < rows && column >= 0 && column < cards.columns) show(plot, panel, row * cards.columns + column);
    };
    head.append(made("strong"));
    for (const [key, [sign, where]] of Object.entries(SIGNS)) {
      const button = made("button", "", sign);
      Object.assign(button, { type: "button", title: `${cards.what} ${where === "left" || where === "right" ? `to the ${where}` : where}` });
      button.addEventListener("click", () => move(key));
      head.append(button);
    }
    panel.addEventListener("keydown", (event) => {
      if (!ARROWS[event.key]) return;
      event.preventDefault();
      event.stopPropagation(); // a notebook's own keys move between cells
      move(event.key);
    });
    panel.append(head, body);
    panel.cards = cards;
    return panel;
  }

  // Put the card of the cell that was chosen under a figure that has cards; take away that of an earlier figure.
  return function attach(plot) {
    const cards = (plot.layout.meta || {}).cards, next = plot.nextElementSibling;
    const before = next && next.classList.contains("wbf-card") ? next : null;
    if (!cards) return before && before.remove();
    const panel = before && before.cards === cards ? before : panelOf(plot, cards);
    if (before && before !== panel) before.replaceWith(panel);
    else if (!before) plot.after(panel);
    plot.on("plotly_click", ({ points: [point] }) => {
      if (point.curveNumber === 0 && Array.isArray(point.pointNumber)) show(plot, panel, point.pointNumber[0] * cards.columns + point.pointNumber[1]);
    });
    return show(plot, panel, panel.chosen ?? cards.first);
  };
}
