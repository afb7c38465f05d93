// Rows as people see them: a text with its token marked, pictures, lines; the table, and a gallery of pictures.

const GALLERY = 48; // pictures that are shown before one asks for more
const EXCERPT = 110; // characters on either side of a token
const TOLD = 12; // columns that are told of a row under the pointer; the table has all

// The text around its token, which stands at the character `at`; where that isn't known (-1) it is marked if it occurs only once and
// so can't be mistaken.
function inContext(text, token, at) {
  const bare = (token || "").replace(/^(##|[Ġ▁\s])+/, "").trim();
  let from = at;
  if (from < 0 && bare) {
    const lower = text.toLowerCase(), sought = bare.toLowerCase();
    from = lower.indexOf(sought);
    if (from >= 0 && lower.indexOf(sought, from + 1) >= 0) from = -1;
  }
  if (!bare || from < 0) return [text.length > 2 * EXCERPT ? text.slice(0, 2 * EXCERPT - 1) + "…" : text];
  const to = from + bare.length, low = Math.max(0, from - EXCERPT), high = Math.min(text.length, to + EXCERPT);
  return [(low ? "…" : "") + text.slice(low, from), make("mark", { textContent: text.slice(from, to) }), text.slice(to, high) + (high < text.length ? "…" : "")];
}

// Where tokens stand in their texts, found when a row is first looked at. The tokens of a text are sought one after the other,
// each behind the one before, so that one that comes twice is the right one; that holds where all of a text's tokens are here.
function makeMarks(columns) {
  const by = (name) => columns.find((c) => c.name === name && !c.kind), [text, token, position] = ["text", "token", "position"].map(by);
  const owner = by("text_id") || text, known = new Map(), rowsOf = new Map();
  if (!text || !text.labels || !token || !token.labels || !position || position.labels) return () => -1;
  function group() {
    for (let i = 0; i < owner.values.length; i++) { const v = owner.values[i], rows = rowsOf.get(v); if (rows) rows.push(i); else rowsOf.set(v, [i]); }
  }
  function place(rows) {
    const order = [...rows].sort((a, b) => position.values[a] - position.values[b]), whole = position.values[order[order.length - 1]] - position.values[order[0]] + 1;
    if (whole !== order.length || position.values[order[0]] > 1) return; // some are missing, and what they were isn't known
    const lower = text.labels[text.values[order[0]]].toLowerCase();
    if (lower.length !== text.labels[text.values[order[0]]].length) return;
    let after = 0; // the first character behind the token before
    for (const i of order) {
      const bare = token.labels[token.values[i]].replace(/^(##|[Ġ▁\s])+/, "").trim().toLowerCase(), at = bare ? lower.indexOf(bare, after) : -1;
      if (at < 0) continue;
      known.set(i, at);
      after = at + bare.length;
    }
  }
  return (i) => {
    if (!rowsOf.size) group();
    if (!known.has(i)) { const rows = rowsOf.get(owner.values[i]) || [i]; for (const j of rows) known.set(j, -1); place(rows); }
    return known.get(i);
  };
}

// A row's picture as a canvas, null where it has none: an image's pixels, or a series as a line.
function picture(cell, i, { wide = false } = {}) {
  const at = cell.which ? cell.which[i] : i;
  if (at < 0) return null;
  if (cell.kind === "series") return sparkline(cell, at, wide);
  const [height, width, channels] = cell.shape, size = height * width * channels, from = at * size;
  const canvas = make("canvas", { width, height, className: "wbp-image", role: "img" }), image = new ImageData(width, height), { values } = cell;
  for (let p = 0; p < height * width; p++) {
    for (let c = 0; c < 3; c++) image.data[4 * p + c] = values[from + p * channels + (channels < 3 ? 0 : c)];
    image.data[4 * p + 3] = channels === 2 || channels === 4 ? values[from + p * channels + channels - 1] : 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function sparkline(cell, at, wide) {
  const [steps] = cell.shape, width = wide ? 200 : 96, height = wide ? 44 : 26, ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg"), path = document.createElementNS(ns, "path");
  let d = "", down = false; // down: the line goes on from the step before
  for (let t = 0; t < steps; t++) {
    const v = cell.values[at * steps + t];
    if (v === 255) { down = false; continue; } // missing
    d += `${down ? "L" : "M"}${((t / Math.max(1, steps - 1)) * (width - 4) + 2).toFixed(1)} ${(height - 2 - (v / 254) * (height - 4)).toFixed(1)}`;
    down = true;
  }
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height, class: "wbp-line", role: "img" })) svg.setAttribute(name, value);
  path.setAttribute("d", d);
  svg.append(path);
  return svg;
}

function named(node, text) {
  if (node) node.setAttribute("aria-label", text);
  return node;
}

function makeRowViews(columns, pictures, ids) {
  const mark = makeMarks(columns), by = Object.fromEntries(columns.map((c) => [c.name, c]));
  const words = (c, i, most) => {
    const text = c.text(i);
    return c.name === "text" && by.token ? inContext(text, by.token.text(i), mark(i)) : [text.length > most ? text.slice(0, most - 1) + "…" : text];
  };
  const seen = (cell, i, how) => named(picture(cell, i, how), `${cell.name} of row ${ids[i]}`);
  const called = (i) => [by.token || by.label || by.kind, by.row].filter(Boolean).map((c) => c.text(i)).filter(Boolean).join(", row ");
  const told = columns.length <= TOLD ? columns : [...columns.filter((c) => c.labels || c.name === "row"), ...columns.filter((c) => !c.labels && c.name !== "row")].slice(0, TOLD);
  return {
    tip: (i) => [
      ...pictures.map((cell) => seen(cell, i, { wide: true })).filter(Boolean),
      ...told.map((c) => make("div", {}, make("b", { textContent: c.name }), " ", ...words(c, i, 240))),
      ...(told.length < columns.length ? [make("i", { textContent: `and ${columns.length - told.length} more columns, in the table` })] : []),
    ],
    table(listed, state, act) {
      const head = [...pictures.map((p) => make("th", { scope: "col", textContent: p.name })), ...columns.map((c, j) => {
        const sorted = state.sort && state.sort.column === j, turn = make("button", { type: "button", title: "Sort", textContent: c.name + (sorted ? (state.sort.down ? " ↓" : " ↑") : "") });
        turn.addEventListener("click", () => act.sort(j));
        const cell = make("th", { scope: "col" }, turn);
        cell.setAttribute("aria-sort", sorted ? (state.sort.down ? "descending" : "ascending") : "none");
        return cell;
      })];
      const body = listed.slice(0, state.shown).map((i) => {
        const row = make("tr", { tabIndex: 0, title: "Show where it lies" }, ...pictures.map((p) => make("td", {}, seen(p, i) || "")), ...columns.map((c) => {
          const shown = words(c, i, 160);
          return make("td", { className: c.text(i).length > 40 ? "wbp-long" : "" }, ...shown);
        }));
        row.addEventListener("click", () => act.ring(i));
        row.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { act.ring(i); event.preventDefault(); } });
        return row;
      });
      return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
    },
    gallery(listed, state, act) {
      const cell = pictures[0];
      if (!cell) return [];
      return listed.slice(0, Math.max(GALLERY, state.shown)).map((i) => {
        const shown = picture(cell, i);
        if (!shown) return null;
        shown.setAttribute("aria-hidden", "true");
        const button = make("button", { type: "button", title: called(i) || `row ${ids[i]}` }, shown);
        button.setAttribute("aria-label", `Row ${ids[i]}: show where it lies`);
        button.addEventListener("click", () => act.ring(i));
        return button;
      }).filter(Boolean);
    },
  };
}
