"use strict";
// What a figure shows of a cell or mark that is clicked: `layout.meta.cards` holds a card a cell of the first trace, row by row from
// below (`columns` of them), or without `columns` a card a mark. A card has a title, lines, a value, the band of its control (`band`,
// on `axis`), lists of words with their shares, and a spectrum.
function cardsBy(Plotly) {
  const MARK = "workbench:card";
  const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] };
  const SIGNS = { ArrowLeft: ["←", "left"], ArrowRight: ["→", "right"], ArrowUp: ["↑", "above"], ArrowDown: ["↓", "below"] };
  const DEEP = 100; // times less than the largest value: what is smaller lies at the foot
  const RING = 15; // pixels, around the largest mark
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

  // Values by rank, beside the band of their control where there is one, both scales logarithmic.
  function spectrum({ ranks, values, low, high }, what) {
    const WIDE = 600, HIGH = 150, most = Math.max(...values, ...high), least = Math.max(Math.min(...[...values, ...low].filter((v) => v > 0)), most / DEEP);
    const across = (rank) => 4 + ((WIDE - 8) * Math.log(rank)) / (Math.log(ranks.at(-1)) || 1);
    const up = (v) => HIGH - 4 - ((HIGH - 8) * Math.log(Math.max(v, least) / least)) / (Math.log(most / least) || 1);
    const line = (list) => list.map((v, i) => `${across(ranks[i]).toFixed(1)},${up(v).toFixed(1)}`);
    const block = made("div", "wbf-spectrum"), svg = drawn("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", width: "100%", height: HIGH, role: "img" });
    svg.setAttribute("aria-label", `${what}: from ${values[0].toPrecision(3)} at rank 1 to ${values.at(-1).toPrecision(3)} at rank ${ranks.at(-1).toLocaleString()}`);
    if (low.length) svg.append(drawn("polygon", { class: "wbf-band", points: [...line(high), ...line(low).reverse()].join(" ") }));
    svg.append(drawn("polyline", { class: "wbf-line", points: line(values).join(" ") }));
    const ends = made("div", "wbf-ends");
    ends.append(made("span", "", "rank 1"), made("span", "", `rank ${ranks.at(-1).toLocaleString()}`));
    block.append(made("div", "wbf-head", what), made("div", "wbf-head", most.toPrecision(3)), svg, made("div", "wbf-head", `${Math.min(...values) < least ? "at most " : ""}${least.toPrecision(3)}`), ends);
    return block;
  }

  // Where a cell or mark lies, and which lies next to it in a direction: of marks the nearest that lies more there than aside.
  function placed(plot, { columns }, at) {
    const trace = plot._fullData && plot._fullData[0];
    return trace && { x: Number(trace.x[columns ? at % columns : at]), y: Number(trace.y[columns ? Math.floor(at / columns) : at]) };
  }

  function beside(plot, cards, at, [up, right]) {
    if (cards.columns) {
      const rows = cards.cells.length / cards.columns, row = Math.floor(at / cards.columns) + up, column = (at % cards.columns) + right;
      return row >= 0 && row < rows && column >= 0 && column < cards.columns ? row * cards.columns + column : at;
    }
    const here = placed(plot, cards, at), turned = plot._fullLayout.yaxis.range[0] > plot._fullLayout.yaxis.range[1] ? -1 : 1;
    let next = at, least = Infinity;
    for (let other = 0; here && other < cards.cells.length; other++) {
      const there = placed(plot, cards, other), x = there.x - here.x, y = turned * (there.y - here.y);
      const along = right * x + up * y, aside = Math.abs(right ? y : x), far = along + 2 * aside;
      if (along > 1e-9 && along >= aside && far < least) [next, least] = [other, far];
    }
    return next;
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
    const first = "value" in card ? strip(card, cards.axis) : card.spectrum ? spectrum(card.spectrum, card.what) : "";
    body.classList.toggle("wbf-pair", Boolean(card.spectrum));
    body.replaceChildren(first, lines, lists);
    const where = Plotly && placed(plot, cards, at);
    if (!where) return null;
    const { x, y } = where, line = { color: "#d55e00", width: 3 }, others = (plot.layout.shapes || []).filter((shape) => shape.name !== MARK);
    const cell = { type: "rect", x0: x - 0.5, x1: x + 0.5, y0: y - 0.5, y1: y + 0.5 };
    const ring = { type: "circle", xsizemode: "pixel", ysizemode: "pixel", xanchor: x, yanchor: y, x0: -RING, x1: RING, y0: -RING, y1: RING };
    return Plotly.relayout(plot, { shapes: [...others, { name: MARK, line, ...(cards.columns ? cell : ring) }] });
  }

  function panelOf(plot, cards) {
    const panel = made("section", "wbf-card"), head = made("div", "wbf-tools"), body = made("div", "wbf-body");
    panel.setAttribute("aria-label", `${cards.what} that is chosen: click one in the figure, or go on with the arrow keys`);
    body.setAttribute("aria-live", "polite");
    const move = (key) => {
      const next = beside(plot, cards, panel.chosen, ARROWS[key]);
      if (next !== panel.chosen) show(plot, panel, next);
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

  // Put the card of the cell that was chosen under a figure that has cards, or under `above`; take away that of an earlier figure.
  return function attach(plot, above = plot) {
    const cards = (plot.layout.meta || {}).cards, next = above.nextElementSibling;
    const before = next && next.classList.contains("wbf-card") ? next : null;
    if (!cards) return before && before.remove();
    const panel = before && before.cards === cards ? before : panelOf(plot, cards);
    if (before && before !== panel) before.replaceWith(panel);
    else if (!before) above.after(panel);
    plot.on("plotly_click", ({ points: [point] }) => {
      const { curveNumber, pointNumber: at } = point;
      if (curveNumber === 0) show(plot, panel, Array.isArray(at) ? at[0] * cards.columns + at[1] : at);
    });
    return show(plot, panel, panel.chosen ?? cards.first);
  };
}
