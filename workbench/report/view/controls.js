// What one touches and reads around the points.

function make(tag, properties = {}, ...children) {
  const { role, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  if (role) node.setAttribute("role", role);
  node.append(...children);
  return node;
}

function build(el, id) {
  const button = (text, title) => make("button", { type: "button", textContent: text, title });
  const tools = [["lasso", "Lasso", "Draw around rows to select them; with Shift they are added"], ["box", "Box", "Select rows in a rectangle; with Shift they are added"],
    ["pan", "Move", "Drag the view; a cloud in three dimensions turns"]].map(([name, text, title]) => Object.assign(button(text, title), { value: name }));
  const ui = {
    tools, plus: button("+", "Zoom in"), minus: button("−", "Zoom out"), fitted: button("Fit", "Show all points"),
    select: make("select", { id: `${id}-colour` }), search: make("input", { type: "search", id: `${id}-search`, placeholder: "words or a row's number" }),
    where: make("input", { type: "search", id: `${id}-where`, placeholder: "position > 2 and kind == 'a'", spellcheck: false, autocomplete: "off" }),
    undo: button("Undo", "Go back to the choice before (Ctrl Z)"), redo: button("Redo", "Take back the last undo (Ctrl Shift Z)"),
    charts: button("Columns", "Show how the columns are spread, and filter by them"), full: button("Full screen", "Fill the screen; Escape leaves it"),
    choose: button("Select found", "Select the rows that were found"), clear: button("Clear", "Select nothing"),
    said: make("span", { role: "status" }), canvas: make("canvas", { className: "wbp-points" }), over: make("canvas", { className: "wbp-over", tabIndex: 0, role: "application" }),
    tip: make("div", { className: "wbp-tip", hidden: true }), key: make("div", { className: "wbp-key" }), heading: make("div", { className: "wbp-title" }),
    across: make("div", { className: "wbp-across" }), upward: make("div", { className: "wbp-upward" }), rows: make("div", { className: "wbp-table", tabIndex: -1 }),
    note: make("p", { className: "wbp-note", hidden: true, textContent: "WebGL is missing here, so the points are drawn as a plain picture. Everything else works as usual." }),
    also: make("p", { className: "wbp-note", hidden: true }), wrong: make("p", { className: "wbp-wrong", role: "alert", hidden: true }), play: button("Play", "Go through the layouts"),
    slider: make("input", { type: "range", min: 0, step: 1, id: `${id}-frame` }), at: make("output", {}),
    facets: make("div", { className: "wbp-facets", role: "group", hidden: true }), gallery: make("div", { className: "wbp-gallery", role: "group", hidden: true }),
    png: button("PNG", "Save the points as a picture, 300 dots per inch"), svg: button("SVG", "Save the points as a drawing"), csv: button("CSV", "Save the selected rows, or all if none are selected"),
    parquet: button("Parquet", "Save the selected rows, or all if none are selected"), code: button("Code", "The Python that makes this view and this selection"),
    python: make("pre", { className: "wbp-code", tabIndex: 0, hidden: true }), copy: Object.assign(button("Copy", "Copy the code"), { hidden: true }),
  };
  const label = (target, text) => make("label", { htmlFor: target.id, textContent: text });
  ui.over.setAttribute("aria-label", "Points. Arrow keys move, plus and minus zoom, 0 shows all, Escape clears the selection.");
  ui.facets.setAttribute("aria-label", "Columns");
  ui.gallery.setAttribute("aria-label", "Pictures of the rows");
  ui.over.dataset.tool = "lasso";
  ui.stage = make("div", { className: "wbp-stage" }, ui.canvas, ui.over, ui.upward, ui.across, ui.tip);
  ui.sliding = make("div", { className: "wbp-bar wbp-sliding", hidden: true }, ui.play, label(ui.slider, "layout"), ui.slider, ui.at);
  const group = (...nodes) => make("span", { className: "wbp-group" }, ...nodes);
  ui.root = make("div", { className: "wbp" }, ui.heading,
    make("div", { className: "wbp-bar" }, group(...tools), group(ui.plus, ui.minus, ui.fitted), group(label(ui.select, "colour"), ui.select), group(label(ui.search, "search"), ui.search),
      group(label(ui.where, "where"), ui.where), group(ui.undo, ui.redo), group(ui.charts, ui.full)),
    ui.wrong, make("div", { className: "wbp-both" }, ui.stage, make("div", { className: "wbp-side" }, ui.key, ui.facets)), ui.sliding, ui.note, ui.also,
    make("div", { className: "wbp-bar wbp-chosen" }, ui.said, ui.choose, ui.clear, make("span", { className: "wbp-group wbp-save" }, ui.png, ui.svg, ui.csv, ui.parquet, ui.code, ui.copy)),
    ui.python, ui.gallery, ui.rows);
  // JupyterLab's own keys (d d deletes a cell) mean something else here; it looks at what has the focus first.
  ui.root.addEventListener("focusin", (event) => { event.target.dataset.lmSuppressShortcuts = "true"; });
  ui.full.hidden = !document.fullscreenEnabled;
  el.replaceChildren(ui.root);
  return Object.assign(ui, { ...told(ui), ...wired(ui) });
}

function told(ui) {
  return {
    describe(spec, frame) {
      ui.heading.textContent = spec.title;
      ui.across.textContent = spec.k > 2 ? spec.axes.join(", ") : spec.axes[0] || "";
      ui.upward.textContent = spec.k === 2 ? spec.axes[1] || "" : "";
      ui.sliding.hidden = spec.frames.length < 2;
      ui.slider.max = Math.max(0, spec.frames.length - 1);
      ui.frame(spec, frame);
    },
    notes(...said) {
      ui.also.textContent = said.filter(Boolean).join(" ");
      ui.also.hidden = !ui.also.textContent;
    },
    steps(choice) { // not disabled: a button that is would lose the focus, and with it the keys
      ui.undo.setAttribute("aria-disabled", String(!choice.undoable));
      ui.redo.setAttribute("aria-disabled", String(!choice.redoable));
    },
    refuse(why) {
      ui.wrong.textContent = why;
      ui.wrong.hidden = !why;
      ui.where.setAttribute("aria-invalid", String(Boolean(why)));
    },
    frame(spec, at) {
      ui.slider.value = at;
      ui.at.textContent = spec.frames[at] || "";
      ui.slider.setAttribute("aria-valuetext", ui.at.textContent);
    },
    colours(columns, chosen) {
      const names = ["", ...columns.map((c) => c.name)];
      ui.select.replaceChildren(...names.map((value) => make("option", { value, textContent: value || "(one colour)", selected: value === chosen })));
    },
    legend(column, palette, spec, choose) {
      ui.key.replaceChildren();
      ui.key.hidden = !column;
      if (!column) return;
      ui.key.append(make("b", { textContent: column.name }));
      if (palette.groups) {
        for (const group of palette.groups) {
          const dot = make("i", {});
          dot.style.background = group.hex;
          const entry = make("button", { type: "button", title: `${group.text || "(empty)"}: select its ${group.count.toLocaleString()} rows` }, dot, make("span", { textContent: group.text || "(empty)" }));
          entry.addEventListener("click", () => choose(group));
          ui.key.append(entry);
        }
        if (palette.more > 0) ui.key.append(make("span", { textContent: `${palette.more.toLocaleString()} more, grey` }));
        return;
      }
      const bar = make("div", { className: "wbp-scale" }), number = (v) => String(+v.toPrecision(4));
      bar.style.background = `linear-gradient(to top, ${spec.scale.join(",")})`;
      ui.key.append(make("div", { className: "wbp-ramp" }, bar, make("div", {}, make("span", { textContent: number(palette.high) }), make("span", { textContent: number(palette.low) }))));
    },
    say(listed, n, searching, count, active) {
      ui.choose.hidden = !searching || !listed;
      ui.clear.hidden = !active;
      if (searching) ui.said.textContent = `${listed.toLocaleString()} of ${n.toLocaleString()} rows found${count ? `, ${count.toLocaleString()} selected` : ""}`;
      else ui.said.textContent = active ? `${count.toLocaleString()} of ${n.toLocaleString()} rows selected` : `${n.toLocaleString()} rows. Draw around some to select them.`;
    },
    hint(nodes, x, y) {
      ui.tip.replaceChildren(...nodes);
      ui.tip.hidden = false;
      const { clientWidth: w, clientHeight: h } = ui.stage;
      ui.tip.style.left = `${Math.max(0, x > w / 2 ? x - ui.tip.offsetWidth - 12 : x + 12)}px`;
      ui.tip.style.top = `${Math.max(0, Math.min(y + 12, h - ui.tip.offsetHeight))}px`;
    },
    table(listed, state, act, views) {
      ui.rows.hidden = !listed.length;
      const pictures = views.gallery(listed, state, act), nodes = listed.length ? [views.table(listed, state, act)] : [];
      ui.gallery.hidden = !pictures.length;
      ui.gallery.replaceChildren(...pictures);
      if (listed.length > state.shown) {
        const more = make("button", { type: "button", textContent: `Show more of ${listed.length.toLocaleString()}` });
        more.addEventListener("click", act.more);
        nodes.push(more);
      }
      ui.rows.replaceChildren(...nodes);
    },
    showCode(text) {
      ui.python.textContent = text;
      ui.python.hidden = ui.copy.hidden = !text;
      ui.code.setAttribute("aria-pressed", String(Boolean(text)));
    },
  };
}

function wired(ui) {
  let playing = 0, typing = 0;
  return {
    on(act) {
      const press = (name) => ui.tools.forEach((t) => t.setAttribute("aria-pressed", String(t.value === name)));
      press("lasso");
      for (const tool of ui.tools) tool.addEventListener("click", () => { press(tool.value); act.tool(tool.value); });
      ui.plus.addEventListener("click", () => act.zoom(1.5));
      ui.minus.addEventListener("click", () => act.zoom(1 / 1.5));
      for (const [name, run] of [["fitted", act.fit], ["clear", act.clear], ["choose", act.choose], ["undo", act.undo], ["redo", act.redo], ["charts", act.charts], ["png", act.png], ["svg", act.svg],
        ["csv", act.csv], ["parquet", act.parquet], ["code", act.code]]) ui[name].addEventListener("click", () => run());
      ui.full.addEventListener("click", () => (document.fullscreenElement === ui.root ? document.exitFullscreen() : ui.root.requestFullscreen()));
      ui.root.addEventListener("fullscreenchange", () => { ui.full.textContent = document.fullscreenElement === ui.root ? "Leave full screen" : "Full screen"; });
      ui.copy.addEventListener("click", async () => {
        getSelection().selectAllChildren(ui.python); // what is marked can be copied by hand where the clipboard is closed to pages
        try { await navigator.clipboard.writeText(ui.python.textContent); ui.copy.textContent = "Copied"; setTimeout(() => { ui.copy.textContent = "Copy"; }, 1500); } catch { ui.copy.textContent = "Press Ctrl C"; }
      });
      ui.select.addEventListener("change", () => act.colour(ui.select.value));
      ui.slider.addEventListener("input", () => act.frame(Number(ui.slider.value)));
      ui.search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => act.search(ui.search.value), 150); });
      ui.search.addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        clearTimeout(typing);
        act.search(ui.search.value);
        if (!ui.choose.hidden) act.choose();
      });
      ui.where.addEventListener("keydown", (event) => { if (event.key === "Enter") act.where(ui.where.value); });
      ui.where.addEventListener("input", () => { if (!ui.where.value) act.where(""); else ui.refuse(""); });
      ui.root.addEventListener("keydown", (event) => {
        if (!(event.ctrlKey || event.metaKey) || !/^[zy]$/i.test(event.key) || /INPUT|SELECT/.test(event.target.tagName)) return;
        (event.shiftKey || event.key.toLowerCase() === "y" ? act.redo : act.undo)();
        event.preventDefault();
        event.stopPropagation();
      });
      ui.play.addEventListener("click", () => {
        if (playing) return ui.stop();
        ui.play.textContent = "Stop";
        playing = setInterval(() => act.frame((Number(ui.slider.value) + 1) % act.frames()), 1100);
      });
      // A host's own keys (JupyterLab's commands) must not act on what is typed here.
      for (const node of [ui.search, ui.where, ui.select, ui.slider]) node.addEventListener("keydown", (event) => event.stopPropagation());
    },
    stop() { clearInterval(playing); playing = 0; ui.play.textContent = "Play"; },
  };
}
