// What is chosen: the rows that were drawn around, searched or asked for, of those that every filter of a column lets pass.

const REMEMBERED = 50; // choices that can be undone
const REMEMBERED_BYTES = 6e7; // that they may take

// A filter is { name, low, high } (both included) or { name, values } (numbers, or a column's texts).
function passing(filter, columns, n) {
  const out = new Uint8Array(n), column = columns.find((c) => c.name === filter.name && !c.kind);
  if (!column) return out.fill(1);
  const { values, labels } = column;
  if (!filter.values) {
    const { low, high } = filter;
    for (let i = 0; i < n; i++) out[i] = values[i] >= low && values[i] <= high ? 1 : 0;
    return out;
  }
  const wanted = new Set(filter.values);
  if (!labels) { // classes are few: to compare with each is quicker than a set
    for (const value of wanted) for (let i = 0; i < n; i++) if (values[i] === value) out[i] = 1;
    return out;
  }
  const held = Uint8Array.from(labels, (label) => (wanted.has(label) ? 1 : 0));
  for (let i = 0; i < n; i++) out[i] = held[values[i]];
  return out;
}

function makeChoice(columns, n) {
  const past = [], future = [], most = Math.max(3, Math.min(REMEMBERED, Math.floor(REMEMBERED_BYTES / Math.max(1, n))));
  let state = { base: null, asked: "", filters: [] }, settled = state; // settled is what an undo goes back from
  let passes = new Map(); // by filter, as text: the rows that it lets pass
  let fails = null; // of each row how many of the conditions it fails; null while there is none
  let chosen = null, count = 0;
  const conditions = (of, each) => [...(of.base ? [of.base] : []), ...of.filters.map((f) => each.get(JSON.stringify(f)))];

  function enter(next) {
    const kept = new Map();
    for (const filter of next.filters) { const key = JSON.stringify(filter); kept.set(key, passes.get(key) || passing(filter, columns, n)); }
    const before = conditions(state, passes), after = conditions(next, kept);
    if (!fails) fails = new Uint8Array(n);
    // a condition that stays isn't counted anew, so that moving one filter costs the same however many there are
    for (const rows of before) if (!after.includes(rows)) for (let i = 0; i < n; i++) fails[i] -= 1 - rows[i];
    for (const rows of after) if (!before.includes(rows)) for (let i = 0; i < n; i++) fails[i] += 1 - rows[i];
    [state, passes] = [next, kept];
    chosen = after.length ? new Uint8Array(n) : null;
    count = 0;
    if (chosen) for (let i = 0; i < n; i++) if (!fails[i]) { chosen[i] = 1; count++; }
  }
  return {
    get chosen() { return chosen; },
    get count() { return count; },
    get state() { return state; },
    filter: (name) => state.filters.find((f) => f.name === name) || null,
    // `asked` is the query that base answers, where it was one; what is `moving` (a brush) can't be undone to
    change(part, { moving = false } = {}) {
      const next = { ...state, ...part };
      if ("base" in part && !("asked" in part)) next.asked = "";
      enter(next);
      if (moving) return;
      past.push(settled);
      if (past.length > most) past.shift();
      future.length = 0;
      settled = next;
    },
    setFilter(name, filter, how) {
      const others = state.filters.filter((f) => f.name !== name);
      this.change({ filters: filter ? [...others, { name, ...filter }] : others }, how);
    },
    undo() { if (past.length) { future.push(settled); enter((settled = past.pop())); } },
    redo() { if (future.length) { past.push(settled); enter((settled = future.pop())); } },
    get undoable() { return past.length > 0; },
    get redoable() { return future.length > 0; },
    begin(first) { enter(first); settled = state; past.length = future.length = 0; }, // what a view is opened with is no step of its own
    // Of each group how many rows meet every condition but the one of this column: what its own chart shows.
    counts(name, of, groups) {
      const out = new Uint32Array(groups + 1), own = this.filter(name), rows = own && passes.get(JSON.stringify(own));
      if (!chosen) return null;
      if (!rows) for (let i = 0; i < n; i++) out[of[i]] += chosen[i];
      else for (let i = 0; i < n; i++) if (fails[i] === 1 - rows[i]) out[of[i]]++;
      return out;
    },
  };
}
