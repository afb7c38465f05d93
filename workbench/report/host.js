
// The report as the host of `render` above: a model that holds what the page carries, and no kernel behind it.
{
  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new DataView(await new Response(stream).arrayBuffer());
  };
  const block = async (packed) => ({
    ...packed, data: await unpack(packed.data),
    ...(packed.labels ? { labels: JSON.parse(new TextDecoder().decode(await unpack(packed.labels))) } : {}),
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
    model.on("change:picked", () => {
      if (hearing || !space) return;
      const bits = model.get("picked"), chosen = [];
      if (bits.byteLength) for (let i = 0; i < n; i++) if (bits.getUint8(i >> 3) & (1 << (i & 7))) chosen.push(ids[i]);
      document.dispatchEvent(new CustomEvent("workbench:select", { detail: { space, ids: chosen.length ? chosen : null, by: model } }));
    });
    document.addEventListener("workbench:select", (event) => {
      const { space: other, ids: chosen, by } = event.detail;
      if (by === model || other !== space) return;
      const wanted = new Set(chosen || []), bits = new Uint8Array(chosen ? Math.ceil(n / 8) : 0);
      if (chosen) for (let i = 0; i < n; i++) if (wanted.has(ids[i])) bits[i >> 3] |= 1 << (i & 7);
      hearing = true;
      model.set("picked", new DataView(bits.buffer));
      hearing = false;
    });
  }

  for (const el of document.querySelectorAll(".point-view")) {
    try {
      const packed = JSON.parse(document.getElementById(el.dataset.figure).textContent);
      const [positions, picked, ...columns] = await Promise.all([block(packed.positions), unpack(packed.picked), ...packed.columns.map(block)]);
      const model = makeModel({ ...packed, positions, picked, columns });
      el.dataset.space = packed.spec.space || "";
      link(model);
      render({ model, el });
    } catch (error) {
      el.textContent = "These points could not be drawn here: " + error.message;
    }
  }
  document.documentElement.dataset.points = "yes";
}
