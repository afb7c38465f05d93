// Which rows a search finds, and which the table lists in which order.

function makeListing(view) {
  const { state } = view;
  function searched(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return null;
    const every = new Uint8Array(view.n()).fill(1);
    for (const word of words) {
      const rows = rowsWith(word);
      for (let i = 0; i < rows.length; i++) every[i] &= rows[i];
    }
    return every;
  }
  // The rows that have a word in one of their texts, or as their number: each label is looked at once, however many rows have it.
  function rowsWith(word) {
    const rows = new Uint8Array(view.n()), at = view.ids.indexOf(idOf(word));
    for (const { labels, values } of view.columns) {
      if (!labels) continue;
      const match = Uint8Array.from(labels, (l) => (l.toLowerCase().includes(word) ? 1 : 0));
      for (let i = 0; i < rows.length; i++) rows[i] |= match[values[i]];
    }
    if (at >= 0 && String(view.ids[at]) === word) rows[at] = 1;
    return rows;
  }
  function listing() {
    const rows = state.found || view.choice.chosen, listed = [];
    if (rows) for (let i = 0; i < rows.length; i++) if (rows[i]) listed.push(i);
    if (state.sort) {
      const { column, down } = state.sort, by = view.columns[column];
      const rank = by && by.labels && Float64Array.from(by.labels.map((l, i) => [l, i]).sort((a, b) => (a[0] < b[0] ? -1 : 1)).reduce((r, [, i], at) => { r[i] = at; return r; }, []));
      const key = (i) => (rank ? rank[by.values[i]] : by.values[i]);
      if (by) listed.sort((a, b) => (down ? key(b) - key(a) : key(a) - key(b)) || a - b);
    }
    return listed;
  }
  return { searched, listing };
}
