// Columns beside the points: a histogram or the most frequent values of each, which filter every view; bright is what is chosen.

const BINS = 28, VALUES = 8, CLASSES = 12, FACETS = 24; // values that are listed: all where they are no more than classes have colours, else the most frequent
const LONG_LABEL = 60; // characters; a column of longer texts has no chart: each stands for itself

// A column as a few groups: `of` says for each row in which it is (the last is for what is in none), `all` how many are in each.
function facetOf(column, palette, n) {
  const { values, labels, name } = column;
  let groups, of = new Uint8Array(n), more = 0, low = 0, high = 0, whole = false;
  if (labels) {
    const counts = [...tally(column)].sort((a, b) => b[1] - a[1]), top = counts.slice(0, counts.length > CLASSES ? VALUES : CLASSES);
    const length = top.reduce((sum, [v]) => sum + labels[v].length, 0) / Math.max(1, top.length);
    if (length > LONG_LABEL || (counts.length > CLASSES && counts[0][1] === 1)) return null;
    const place = new Uint8Array(labels.length).fill(top.length);
    top.forEach(([v], g) => { place[v] = g; });
    for (let i = 0; i < n; i++) of[i] = place[values[i]];
    groups = top.map(([v]) => ({ key: labels[v], text: labels[v] || "(empty)" }));
    more = counts.length - top.length;
  } else if (palette.groups) {
    const place = new Map(palette.groups.map((g, j) => [g.value, j]));
    for (let i = 0; i < n; i++) of[i] = place.get(values[i]);
    groups = palette.groups.map((g) => ({ key: g.value, text: g.text || "(empty)" }));
  } else {
    ({ low, high } = palette);
    if (!(high > low)) return null;
    whole = values instanceof Int32Array;
    const bins = whole && high - low < 2 * BINS ? high - low + 1 : BINS, scale = bins / (whole ? high - low + 1 : high - low);
    for (let i = 0; i < n; i++) { const v = values[i]; of[i] = v >= low && v <= high ? Math.min(bins - 1, Math.floor((v - low) * scale)) : bins; }
    groups = Array.from({ length: bins }, (_, g) => ({ from: low + g / scale, to: low + (g + 1) / scale }));
  }
  const all = new Uint32Array(groups.length + 1);
  for (let i = 0; i < n; i++) all[of[i]]++;
  return { name, of, groups, all, more, low, high, whole, numeric: !labels && !palette.groups };
}

// The bounds of a brush, no finer than a thousandth of what there is.
function rounded(facet, low, high) {
  if (facet.whole) return { low: Math.max(facet.low, Math.floor(low)), high: Math.min(facet.high, Math.max(Math.floor(low), Math.ceil(high) - 1)) };
  const step = 10 ** Math.floor(Math.log10((facet.high - facet.low) / 1000)), near = (v) => +(Math.round(v / step) * step).toPrecision(12);
  return { low: low <= facet.low ? facet.low : near(low), high: high >= facet.high ? facet.high : near(high) };
}

// `act` filters (name, filter or null, how) and colours (name).
function makeFacets(root, id, act) {
  let shown = [];
  function histogram(facet) {
    const canvas = make("canvas", { className: "wbp-histogram", role: "img" });
    canvas.setAttribute("aria-label", `${facet.name}: how its values are spread; drag to filter`);
    const ends = ["from", "to"].map((end) => {
      const input = make("input", { type: "text", inputMode: "decimal", id: `${id}-${facet.name}-${end}`.replace(/[^\w-]/g, "_"), autocomplete: "off" });
      input.addEventListener("change", typed);
      input.addEventListener("keydown", (event) => { event.stopPropagation(); if (event.key === "Enter") typed(); });
      return [make("label", { htmlFor: input.id, className: "wbp-hidden", textContent: `${facet.name} ${end}` }), input];
    });
    function typed() {
      const [low, high] = ends.map(([, input], j) => (input.value.trim() === "" ? NaN : Number(input.value)));
      const range = { low: Number.isNaN(low) ? facet.low : low, high: Number.isNaN(high) ? facet.high : high };
      act.filter(facet.name, range.low <= facet.low && range.high >= facet.high ? null : range);
    }
    let start = null, waiting = 0;
    const at = (event) => { const box = canvas.getBoundingClientRect(); return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)); };
    const range = (a, b) => { const top = facet.high + (facet.whole ? 1 : 0), value = (u) => facet.low + u * (top - facet.low); return rounded(facet, value(Math.min(a, b)), value(Math.max(a, b))); };
    canvas.addEventListener("pointerdown", (event) => { if (!event.button) { start = at(event); canvas.setPointerCapture(event.pointerId); } });
    canvas.addEventListener("pointermove", (event) => {
      if (start === null) return;
      const now = at(event);
      cancelAnimationFrame(waiting);
      if (Math.abs(now - start) > 0.01) waiting = requestAnimationFrame(() => act.filter(facet.name, range(start ?? now, now), { moving: true }));
    });
    canvas.addEventListener("pointerup", (event) => {
      if (start === null) return;
      const from = start, now = at(event), bins = facet.groups.length, bin = Math.min(bins - 1, Math.floor(now * bins));
      start = null;
      cancelAnimationFrame(waiting);
      act.filter(facet.name, Math.abs(now - from) > 0.01 ? range(from, now) : range(bin / bins, (bin + 1) / bins));
    });
    canvas.addEventListener("pointercancel", () => { start = null; });
    return { nodes: [canvas, make("div", { className: "wbp-range" }, ...ends.flat())], canvas, inputs: ends.map(([, input]) => input) };
  }
  function categories(facet) {
    const bars = facet.groups.map((group) => {
      const all = make("i", { className: "wbp-all" }), some = make("i", { className: "wbp-some" }), dot = make("b", { className: "wbp-dot" }), count = make("span", { className: "wbp-count" });
      const button = make("button", { type: "button", title: group.text }, all, some, dot, make("span", { className: "wbp-name", textContent: group.text }), count);
      button.addEventListener("click", () => {
        const filter = act.filtered(facet.name), values = new Set(filter ? filter.values : []);
        if (!values.delete(group.key)) values.add(group.key);
        act.filter(facet.name, values.size ? { values: [...values] } : null);
      });
      return { button, all, some, dot, count };
    });
    const nodes = bars.map((b) => b.button);
    if (facet.more > 0) nodes.push(make("div", { className: "wbp-more", textContent: `${facet.more.toLocaleString()} more values` }));
    return { nodes, bars };
  }
  function drawHistogram({ facet, canvas }, some, filter, colour) {
    const width = Math.max(1, canvas.clientWidth), height = Math.max(1, canvas.clientHeight), scale = devicePixelRatio, context = canvas.getContext("2d");
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    context.setTransform(scale, 0, 0, scale, 0, 0);
    const style = getComputedStyle(canvas), bins = facet.groups.length, each = width / bins, top = Math.max(1, ...facet.all.subarray(0, bins));
    const bars = (counts, ink) => {
      for (let g = 0; g < bins; g++) {
        context.fillStyle = ink(g);
        const tall = counts[g] ? Math.max(1, (height * counts[g]) / top) : 0;
        context.fillRect(g * each, height - tall, Math.max(1, each - 1), tall);
      }
    };
    const pale = style.getPropertyValue("--wbp-line").trim(), accent = style.getPropertyValue("--wbp-accent").trim();
    const lit = (g) => (colour && colour((facet.groups[g].from + facet.groups[g].to) / 2)) || accent;
    bars(facet.all, some ? () => pale : lit);
    if (some) bars(some, lit);
    if (!filter) return;
    const span = facet.high + (facet.whole ? 1 : 0) - facet.low, x = (v) => ((v - facet.low) / span) * width, right = x(filter.high + (facet.whole ? 1 : 0));
    context.fillStyle = style.getPropertyValue("--wbp-ink").trim();
    context.globalAlpha = 0.09;
    context.fillRect(x(filter.low), 0, right - x(filter.low), height);
    context.globalAlpha = 1;
    context.fillRect(x(filter.low) - 0.75, 0, 1.5, height);
    context.fillRect(right - 0.75, 0, 1.5, height);
  }
  return {
    build(columns, palettes, n) {
      const able = columns.filter((c, j) => j && !c.kind).map((c) => facetOf(c, palettes(c), n)).filter(Boolean);
      shown = able.slice(0, FACETS).map((facet) => {
        const parts = facet.numeric ? histogram(facet) : categories(facet), title = make("button", { type: "button", title: `Colour by ${facet.name}`, textContent: facet.name });
        const clear = make("button", { type: "button", className: "wbp-lift", textContent: "×", hidden: true });
        clear.setAttribute("aria-label", `Lift the filter on ${facet.name}`);
        title.addEventListener("click", () => act.colour(facet.name));
        clear.addEventListener("click", () => act.filter(facet.name, null));
        const node = make("section", { className: "wbp-facet" }, make("div", { className: "wbp-facet-head" }, title, clear), ...parts.nodes);
        node.dataset.column = facet.name;
        return { facet, node, clear, ...parts };
      });
      const left = able.length - shown.length;
      root.replaceChildren(...shown.map((s) => s.node), ...(left > 0 ? [make("p", { className: "wbp-note", textContent: `${left} more columns: colour by one, or ask for its values above.` })] : []));
    },
    // `hex` gives the colour of a value of the column that colours the points. Returns whether its chart shows what colours mean.
    draw(choice, coloured, hex) {
      let told = false;
      for (const each of shown) {
        const { facet } = each, mine = facet.name === coloured, filter = choice.filter(facet.name), some = choice.counts(facet.name, facet.of, facet.groups.length);
        each.clear.hidden = !filter;
        each.node.style.order = mine ? -1 : 0;
        told ||= mine;
        if (facet.numeric) {
          drawHistogram(each, some, filter, mine ? hex : null);
          each.inputs.forEach((input, j) => { if (document.activeElement !== input) input.value = +(filter ? [filter.low, filter.high] : [facet.low, facet.high])[j].toPrecision(4); });
          continue;
        }
        const top = Math.max(1, ...facet.all.subarray(0, facet.groups.length));
        each.bars.forEach(({ button, all, some: part, dot, count }, g) => {
          const chosen = some ? some[g] : facet.all[g];
          button.setAttribute("aria-pressed", String(Boolean(filter && filter.values.includes(facet.groups[g].key))));
          all.style.width = `${(100 * facet.all[g]) / top}%`;
          part.style.width = `${(100 * chosen) / top}%`;
          part.style.background = dot.style.background = mine ? hex(facet.groups[g].key) || "" : "";
          dot.hidden = !mine;
          count.textContent = some ? `${chosen.toLocaleString()} of ${facet.all[g].toLocaleString()}` : facet.all[g].toLocaleString();
        });
      }
      return told;
    },
    get there() { return shown.length > 0; },
  };
}
