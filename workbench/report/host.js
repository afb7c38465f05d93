// The report as the host of `render` above: a model that holds what the page carries, and no kernel behind it.
{
  const KEPT = ["color", "frame", "look"]; // what the page's address keeps of a view, and of its selection so much:
  const LONGEST = 8000; // characters
  const MARK = "#view";

  const through = async (bytes, stream) => new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer();
  const unpack = async (text) => new DataView(await through(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), new DecompressionStream("gzip")));
  const pack = async (bytes) => btoa(Array.from(new Uint8Array(await through(bytes, new CompressionStream("gzip"))), (c) => String.fromCharCode(c)).join(""));
  const block = async (packed) => ({
    ...packed, data: await unpack(packed.data),
    ...(packed.labels ? { labels: JSON.parse(new TextDecoder().decode(await unpack(packed.labels))) } : {}),
    ...(packed.which ? { which: { ...packed.which, data: await unpack(packed.which.data) } } : {}),
  });

  function makeModel(values) {
    const heard = {};
    return {
      get: (name) => values[name],
      set(name, value) {
        if (values[name] === value) return;
        values[name] = value;
        (heard[`change:${name}`] || []).forEach((act) => act());
      },
      save_changes() {},
      on: (name, act) => (heard[name] = heard[name] || []).push(act),
    };
  }

  // Rows travel between figures as ids, within a view as one bit each.
  function link(model) {
    const { n, space } = model.get("spec"), ids = readIds(readColumn(model.get("columns")[0]));
    let hearing = false;
    const tell = () => {
      if (hearing || !space) return;
      const bits = model.get("picked"), chosen = [];
      if (bits.byteLength) for (let i = 0; i < n; i++) if (bits.getUint8(i >> 3) & (1 << (i & 7))) chosen.push(ids[i]);
      document.dispatchEvent(new CustomEvent("workbench:select", { detail: { space, ids: chosen.length ? chosen : null, by: model } }));
    };
    model.on("change:picked", tell);
    document.addEventListener("workbench:select", (event) => {
      const { space: other, ids: chosen, by } = event.detail;
      if (by === model || other !== space) return;
      const wanted = new Set(chosen || []), bits = new Uint8Array(chosen ? Math.ceil(n / 8) : 0);
      if (chosen) for (let i = 0; i < n; i++) if (wanted.has(ids[i])) bits[i >> 3] |= 1 << (i & 7);
      hearing = model.told = true;
      model.set("picked", new DataView(bits.buffer));
      hearing = model.told = false;
    });
    return tell;
  }

  // The address as `#view/<figure>/<state>/...`, each state as JSON in base64; what can't be read is as if it weren't there.
  function addressed() {
    const parts = location.hash.startsWith(`${MARK}/`) ? location.hash.slice(MARK.length + 1).split("/") : [], out = {};
    for (let i = 0; i + 1 < parts.length; i += 2) {
      try {
        const bytes = Uint8Array.from(atob(parts[i + 1].replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
        out[decodeURIComponent(parts[i])] = JSON.parse(new TextDecoder().decode(bytes));
      } catch { /* an address that was cut, or one of somebody's own */ }
    }
    return out;
  }
  const numbers = (list, most) => Array.isArray(list) && list.length <= most && list.every(Number.isFinite);
  // An address may come from anybody: only what a view could have written is taken over.
  function sound(kept, columns, frames) {
    const out = {}, names = columns.map((c) => c.name), { look } = kept;
    if (kept.color === "" || names.includes(kept.color)) out.color = kept.color;
    if (Number.isInteger(kept.frame) && kept.frame >= 0 && kept.frame < Math.max(1, frames)) out.frame = kept.frame;
    if (!look || typeof look !== "object") return out;
    const filters = (Array.isArray(look.filters) ? look.filters : []).filter((f) => f && names.includes(f.name) && (numbers([f.low, f.high], 2)
      || (Array.isArray(f.values) && f.values.every((v) => typeof v === "string" || Number.isFinite(v)))));
    const { camera } = look, seen = camera && numbers(camera.pan, 2) && numbers(camera.turn, 2) && Number.isFinite(camera.zoom) && camera.zoom > 0;
    out.look = { filters, drawn: Boolean(look.drawn), ...(seen ? { camera } : {}), ...(typeof look.charts === "boolean" ? { charts: look.charts } : {}) };
    return out;
  }

  const kept = {}; // by figure: what its view is now, as the address keeps it
  let writing = 0;
  function write() {
    const parts = Object.entries(kept).map(([id, state]) => {
      const text = btoa(Array.from(new TextEncoder().encode(JSON.stringify(state)), (c) => String.fromCharCode(c)).join(""));
      return `${encodeURIComponent(id)}/${text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
    });
    try { history.replaceState(null, "", parts.length ? `${MARK}/${parts.join("/")}` : location.pathname + location.search); } catch { /* a page inside another may not */ }
  }
  function keepInAddress(id, model) {
    let latest = 0;
    const keep = async () => {
      if (model.told && !kept[id]) return; // whose choice it is keeps it
      const told = model.told, mine = ++latest, state = Object.fromEntries(KEPT.map((name) => [name, model.get(name)])), bits = model.get("picked");
      let unkept = "";
      if (told && state.look) state.look = { ...state.look, filters: [], drawn: false };
      else if (bits.byteLength && (state.look || {}).drawn) {
        const text = await pack(bits);
        if (text.length <= LONGEST) state.picked = text;
        else {
          state.look = { ...state.look, drawn: false };
          unkept = "The page's address keeps this view, but not a selection as large as this: CSV does.";
        }
      }
      if (mine !== latest) return;
      model.set("unkept", unkept);
      kept[id] = state;
      clearTimeout(writing);
      writing = setTimeout(write, 300);
    };
    for (const name of [...KEPT, "picked"]) model.on(`change:${name}`, keep);
  }

  const opened = addressed();
  const again = []; // tells of a selection that the address speaks of, once every view is there to hear of it
  for (const el of document.querySelectorAll(".point-view")) {
    try {
      const packed = JSON.parse(document.getElementById(el.dataset.figure).textContent), mine = opened[el.id];
      const [positions, picked, ...columns] = await Promise.all([block(packed.positions), unpack(packed.picked), ...packed.columns.map(block)]);
      const values = { look: {}, ...packed, positions, picked, columns };
      if (mine) {
        Object.assign(values, sound(mine, packed.columns, packed.spec.frames.length), { picked: new DataView(new ArrayBuffer(0)) });
        try { if (typeof mine.picked === "string") values.picked = await unpack(mine.picked); } catch { /* as if there were none */ }
        if (values.picked.byteLength !== Math.ceil(packed.spec.n / 8)) values.picked = new DataView(new ArrayBuffer(0));
        kept[el.id] = mine;
      }
      const model = makeModel(values);
      el.dataset.space = packed.spec.space || "";
      const tell = link(model);
      render({ model, el });
      keepInAddress(el.id, model);
      if (mine) again.push({ el, tell });
    } catch (error) {
      el.textContent = "These points could not be drawn here: " + error.message;
    }
  }
  for (const { tell } of again) tell();
  document.documentElement.dataset.points = "yes";
  if (again.length) again[0].el.scrollIntoView({ block: "center", behavior: "instant" });
  addEventListener("hashchange", () => { if (location.hash.startsWith(`${MARK}/`)) location.reload(); }); // somebody pasted another address
}
