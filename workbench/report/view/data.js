// What a view is given, as binary blocks: columns, row ids and layouts; and what colours a column.

const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array, f4: Float32Array, f8: Float64Array };

function array(block) {
  const view = block.data;
  const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength); // aligned by being copied
  return new ARRAYS[block.dtype](bytes);
}

// A column of one number or text a row, or of a picture each: `kind` is then "image" or "series".
function readColumn(block) {
  const values = array(block);
  if (block.kind) return { ...block, values, which: block.which ? array(block.which) : null, text: () => "" };
  const labels = block.labels || null;
  const text = (i) => {
    const v = values[i];
    if (labels) return labels[v];
    return Number.isInteger(v) ? String(v) : Number.isFinite(v) ? String(+v.toPrecision(5)) : "";
  };
  return { name: block.name, values, labels, text, type: block.type || "", missing: block.missing ?? -1, marks: block.marks };
}

// Ids of rows as figures have them too: a number where JavaScript holds it exactly, else its text.
const idOf = (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : text);
const readIds = (column) => (column.labels ? Array.from(column.values, (v) => idOf(column.labels[v])) : column.values);

// One Float32Array of n * k numbers a layout.
function readFrames(block, n, k) {
  const raw = array(block);
  const frames = [];
  // frames holds the layouts that end before start; what is left of less than a layout is dropped
  for (let start = 0; start + n * k <= raw.length; start += n * k) {
    const part = raw.subarray(start, start + n * k);
    if (!block.low) { frames.push(part); continue; }
    const wide = new Float32Array(n * k);
    for (let i = 0; i < wide.length; i++) wide[i] = block.low[i % k] + part[i] * block.step[i % k];
    frames.push(wide);
  }
  return frames;
}

// A number of 32 bits as it was written: with no more digits than tell it from its neighbours.
function exactly(value, single) {
  if (!single || Number.isInteger(value)) return String(value);
  for (let digits = 6; digits < 9; digits++) { const short = +value.toPrecision(digits); if (Math.fround(short) === value) return String(short); }
  return String(+value.toPrecision(9));
}

function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function ramp(stops) {
  const colours = stops.map(rgb);
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (colours.length - 1), low = Math.min(Math.floor(at), colours.length - 2);
    return colours[low].map((c, j) => Math.round(c + (at - low) * (colours[low + 1][j] - c)));
  });
}

// The least and the largest of the finite values.
function extremes(values) {
  let low = Infinity, high = -Infinity; // of the values so far
  for (let i = 0; i < values.length; i++) if (Number.isFinite(values[i])) { if (values[i] < low) low = values[i]; if (values[i] > high) high = values[i]; }
  return { low, high };
}

// How often each value is there; of numbers null as soon as there are more than `most` of them.
function tally({ values, labels }, most) {
  const counts = new Map();
  if (labels) {
    const sums = new Uint32Array(labels.length);
    for (let i = 0; i < values.length; i++) sums[values[i]]++;
    sums.forEach((c, v) => c && counts.set(v, c));
    return counts;
  }
  for (let i = 0; i < values.length; i++) {
    const before = counts.get(values[i]);
    if (before === undefined && counts.size === most) return null;
    counts.set(values[i], (before || 0) + 1);
  }
  return counts;
}

// What colours a column: classes (texts, the most frequent first, or few distinct numbers in their order) or a scale.
function paletteOf(column, spec) {
  const most = spec.palette.length, counts = tally(column, most);
  if (!counts || (!column.labels && measured(counts, column.values.length))) return extremes(column.values);
  const order = [...counts].sort(column.labels ? (a, b) => b[1] - a[1] : (a, b) => a[0] - b[0]).slice(0, most);
  const groups = order.map(([value, count], i) => ({ value, count, hex: spec.palette[i], text: column.labels ? column.labels[value] : exactly(value, true) }));
  return { groups, more: counts.size - groups.length };
}

// Whether numbers are measured, not classes: they have fractions, and hardly one of them comes again.
const measured = (counts, n) => 2 * counts.size > n && [...counts.keys()].some((value) => Number.isFinite(value) && !Number.isInteger(value));

// Four bytes a row, red first. Colours are few: each is made once, and a row only says which it has.
function paint(column, palette, spec, n, chosen, alpha) {
  const out = new Uint32Array(n), values = column && column.values;
  const colours = [rgb(spec.other)];
  let which;
  if (!column) { colours.push(rgb(spec.palette[0])); which = () => 1; }
  else if (palette.groups) {
    colours.push(...palette.groups.map((g) => rgb(g.hex)));
    if (column.labels) {
      const of = new Uint8Array(column.labels.length);
      palette.groups.forEach((g, j) => { of[g.value] = j + 1; });
      which = (i) => of[values[i]];
    } else {
      const of = new Map(palette.groups.map((g, j) => [g.value, j + 1]));
      which = (i) => of.get(values[i]) || 0;
    }
  } else {
    colours.push(...ramp(spec.scale));
    const { low, high } = palette, span = high - low || 1;
    which = (i) => (Number.isFinite(values[i]) ? 1 + Math.round((255 * (values[i] - low)) / span) : 0);
  }
  const inks = (opacity) => new Uint32Array(Uint8Array.from(colours.flatMap((c) => [...c, 255 * opacity])).buffer);
  const lit = inks(chosen ? 1 : alpha), dim = inks(0.17 * alpha + 0.02);
  for (let i = 0; i < n; i++) out[i] = (chosen && !chosen[i] ? dim : lit)[which(i)];
  return new Uint8Array(out.buffer);
}
