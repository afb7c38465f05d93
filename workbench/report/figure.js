"use strict";
// What every plotly figure of the workbench shares, in a report (page.js), alone (figure.py) and in JupyterLab (widgets/live.js):
// how it is drawn so that its words are whole at every width, lit, saved as a picture, and what stands in its place where it can't be.
function figuresBy(Plotly) {
  const attachCards = cardsBy(Plotly), menus = menusBy(Plotly);
  // nothing that leaves the page: no logo's link, and no button that uploads the chart
  const OPTIONS = { displaylogo: false, showSendToCloud: false, plotlyServerURL: "", scrollZoom: false, modeBarButtonsToRemove: ["toImage"] };
  const PAPER = { ink: "#23272f", soft: "#5b6472", paper: "#ffffff" }; // on which everything is printed
  const PRINTED = 820; // pixels; of a PNG three times as many: 20 cm at 300 dots an inch
  const SCALE = 3;
  const TITLE = 22, SUBTITLE = 17, HEAD = 64; // pixels of a line, and above the axes where there is one line and no legend (plotted.py)
  const EDGE = 16; // pixels left and right of a title
  const LABELS = 0.36, BAR = 0.16; // shares of the width that names beside the axes, and the title of a scale, may take
  const SHORTEST = 100, NARROWEST = 64, LINE = 1.3; // pixels of an axis and of a scale's title whose words are broken; a line, in letters' heights
  const NARROW = 560; // pixels of a figure under which a legend beside the axes leaves them no room
  const CURVE = "curve", FLAT = 0.46, LOWEST = 150; // how high its axes are on a narrow page: a share of its width, and pixels at least
  const GAP = 84; // pixels between two panels that stand one above the other, for the upper one's labels and title
  const SYMBOL = 64; // pixels of a legend's line beside its words
  const SLACK = 6; // pixels by which a legend may be higher or lower than was thought
  const UNKNOWN = 700; // pixels that a figure is drawn in which nobody sees yet

  // ---- words that fit

  const pen = document.createElement("canvas").getContext("2d");
  const FAMILY = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
  const BROKEN = "\u200b"; // at the end of a line whose word goes on in the next
  const plain = (text) => text.replace(/\u200b<br ?\/?>/g, "").replace(/<br ?\/?>/g, " ").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const countLines = (text) => (text ? text.split(/<br ?\/?>/).length : 0);

  // The text in lines no wider than `width`; as it is where it has marks of its own, such as <sub>.
  function wrapped(text, width, size) {
    if (!text || /<(?!br ?\/?>)/.test(text)) return text || "";
    pen.font = `${size}px ${FAMILY}`;
    const fits = (line) => pen.measureText(line).width <= width;
    const lines = [""];
    for (let word of plain(text).split(/ +/)) {
      const last = lines.length - 1, longer = lines[last] ? `${lines[last]} ${word}` : word;
      if (fits(longer)) { lines[last] = longer; continue; }
      if (lines[last]) lines.push("");
      while (!fits(word) && word.length > 1) { // a name that is wider than the figure
        let n = word.length - 1;
        while (n > 1 && !fits(word.slice(0, n))) n--;
        lines[lines.length - 1] = word.slice(0, n) + BROKEN;
        lines.push("");
        word = word.slice(n);
      }
      lines[lines.length - 1] = word;
    }
    return lines.map(escaped).join("<br>");
  }

  const ours = (layout) => Boolean(layout.meta && layout.meta.kind);
  const isAbove = (legend) => Boolean(legend && legend.orientation === "h" && legend.y === 1 && legend.yanchor === "bottom");

  // What has to change for the title to be whole at this width, the axes as high as before; `bare` leaves out what stands under it.
  function head(layout, width, bare = false) {
    if (!ours(layout)) return {};
    const title = layout.title || {}, subtitle = title.subtitle || {};
    const size = (title.font || {}).size || 15, small = (subtitle.font || {}).size || 12;
    const text = wrapped(title.text, width - 2 * EDGE, size), under = bare ? "" : wrapped(subtitle.text, width - 2 * EDGE, small);
    const more = TITLE * (countLines(text) - countLines(title.text)) + SUBTITLE * (countLines(under) - countLines(subtitle.text));
    const changes = { "title.text": text, "title.x": 0, "title.xref": "container", "title.pad.l": EDGE, "title.subtitle.text": under };
    return { ...changes, "margin.t": layout.margin.t + more, height: layout.height + more };
  }

  // A legend that stands beside the axes stands under them where it would leave them no room; `meta.beside` keeps how it stood.
  function aside(layout, width) {
    const legend = layout.legend || {}, { beside, below = 0 } = layout.meta || {};
    if (!ours(layout) || layout.showlegend === false) return {};
    if (width < NARROW && !beside && (legend.orientation || "v") === "v") {
      const stood = Object.fromEntries(Object.keys(UNDER).map((name) => [name, legend[name] ?? null]));
      return { ...paths("legend", UNDER), "meta.beside": stood };
    }
    return width >= NARROW && beside ? { ...paths("legend", beside), "meta.beside": null, "meta.below": 0, height: layout.height - below } : {};
  }
  const UNDER = { orientation: "h", x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom" };

  // Two panels side by side stand one above the other where each would be too narrow for its words; `meta.side` keeps how they stood.
  function stacked(layout, width) {
    const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key)).sort().join();
    if (!ours(layout) || axes !== "xaxis,xaxis2,yaxis,yaxis2") return {};
    const { side } = layout.meta, left = layout.xaxis.domain, right = layout.xaxis2.domain;
    if (width >= NARROW) return side ? { ...side.domains, height: layout.height - side.more, "meta.side": null } : {};
    if (side || (layout.annotations || []).length || !left || !right || left[1] > right[0]) return {};
    const high = layout.height - layout.margin.t - layout.margin.b, more = high + GAP, share = high / (high + more);
    const domains = Object.fromEntries(axes.split(",").map((name) => [`${name}.domain`, layout[name].domain]));
    const above = { "xaxis.domain": [0, 1], "xaxis2.domain": [0, 1], "yaxis.domain": [1 - share, 1], "yaxis2.domain": [0, share] };
    return { ...above, height: layout.height + more, "meta.side": { domains, more } };
  }

  // A curve is no higher than a narrow page lets it be wide; `meta.high` keeps how much higher it stood.
  function lowered(layout, width) {
    const { kind, high = 0 } = layout.meta || {};
    if (kind !== CURVE || stacks(layout)) return {};
    if (width >= NARROW) return high ? { height: layout.height + high, "meta.high": 0 } : {};
    const more = layout.height - layout.margin.t - layout.margin.b - Math.max(LOWEST, width * FLAT);
    return more > SLACK && !high ? { height: layout.height - more, "meta.high": more } : {};
  }
  const stacks = (layout) => Object.keys(layout).some((key) => /^yaxis\d/.test(key));

  // From far enough that the titles of three axes aren't cut.
  function far(layout, width) {
    const scenes = Object.keys(layout).filter((key) => /^scene\d*$/.test(key) && !layout[key].camera);
    if (!ours(layout) || !scenes.length) return {};
    const eye = width < NARROW ? { x: 2.2, y: 2.2, z: 1.6 } : { x: 1.7, y: 1.7, z: 1.3 }, camera = { eye, center: { x: 0, y: 0, z: -0.1 } };
    return { ...Object.fromEntries(scenes.map((key) => [`${key}.camera`, camera])), ...(width < NARROW ? { "margin.l": 4, "margin.r": 4 } : {}) };
  }
  const arranged = (layout, width) => ({ ...aside(layout, width), ...stacked(layout, width), ...lowered(layout, width) });
  const paths = (name, values) => Object.fromEntries(Object.entries(values).map(([key, value]) => [`${name}.${key}`, value]));

  // A copy of the layout with changes of which each names a path, as `relayout` takes them.
  function changed(layout, changes) {
    const copy = { ...layout };
    for (const [path, value] of Object.entries(changes)) {
      const names = path.split("."), last = names.pop();
      let at = copy;
      for (const name of names) at = at[name] = { ...at[name] };
      at[last] = value;
    }
    return copy;
  }

  // What is known once it is drawn: how long its axes are, which their titles have to fit, how wide its labels, how high its legend.
  function unsettled(plot) {
    const full = plot._fullLayout, layout = plot.layout, changes = {};
    if (!full || !ours(layout)) return { changes, traces: {} };
    let below = 0;
    for (const name of Object.keys(full).filter((key) => /^[xy]axis\d*$/.test(key))) {
      const axis = full[name], given = ((layout[name] || {}).title || {}).text;
      if (name[0] === "y") Object.assign(changes, labels(name, axis, full.width * LABELS));
      if (Object.keys(changes).some((path) => path.endsWith("ticktext")) || !given || axis._length < SHORTEST) continue;
      const { size } = axis.title.font, text = wrapped(given, axis._length, size);
      if (text === given) continue;
      changes[`${name}.title.text`] = text;
      if (name[0] === "x") below = Math.max(below, (countLines(text) - countLines(given)) * size * LINE);
    }
    let above = 0;
    if (isAbove(full.legend) && full.legend._height) {
      const lines = countLines(layout.title.text), under = countLines((layout.title.subtitle || {}).text);
      const titled = lines ? HEAD + TITLE * (lines - 1) + SUBTITLE * under : EDGE; // a page may write the title itself
      above = titled + full.legend._height - layout.margin.t;
      if (Math.abs(above) <= SLACK) above = 0;
    }
    if (layout.meta.beside && full.legend && full.legend._height) {
      const more = full.legend._height - (layout.meta.below || 0);
      if (Math.abs(more) > SLACK) {
        below += more;
        changes["meta.below"] = full.legend._height;
      }
    }
    if (above) changes["margin.t"] = layout.margin.t + above;
    if (above || below) changes.height = layout.height + above + below;
    if (below && !layout.meta.beside) (layout.sliders || []).forEach((slider, at) => { changes[`sliders[${at}].pad.t`] = ((slider.pad || {}).t || 0) + below; });
    return { changes, traces: meanings(plot, full) };
  }

  // Names of categories beside an axis, in lines where they would leave the figure no room.
  function labels(name, axis, width) {
    const held = axis.tickmode === "array" && axis.ticktext ? axis.ticktext : axis.type === "category" ? axis._categories : [];
    if (!axis.tickfont) return {}; // an axis that shows none
    const texts = [...held].map(String), short = texts.map((text) => wrapped(text, width, axis.tickfont.size));
    if (short.every((text, i) => text === texts[i])) return {};
    return { [`${name}.tickmode`]: "array", [`${name}.tickvals`]: axis.type === "category" ? texts.map((_, i) => i) : [...axis.tickvals], [`${name}.ticktext`]: short };
  }

  // What the colours and lines mean, in lines: of each trace the changes that `restyle` takes.
  function meanings(plot, full) {
    const traces = {}, { legend } = full;
    const along = ({ len, lenmode }) => Math.max(lenmode === "pixels" ? len : len * full._size.h, NARROWEST); // of a scale, where its title stands upright
    const beside = legend && legend.orientation === "v" ? full.width * LABELS : full.width - 2 * EDGE - SYMBOL;
    plot._fullData.forEach((trace, at) => {
      const given = (plot.data[at] || {}).name;
      const words = [["colorbar.title.text", (trace.colorbar || {}).title], ["marker.colorbar.title.text", ((trace.marker || {}).colorbar || {}).title]]
        .filter(([, title]) => title && title.text && title.text !== plot._fullLayout._dfltTitle.colorbar)
        .map(([path, title], i) => [path, title.text, title.side === "right" ? along(i ? trace.marker.colorbar : trace.colorbar) : Math.max(full.width * BAR, NARROWEST), title.font.size]);
      if (given && legend && trace.showlegend) words.push(["name", given, beside, legend.font.size]);
      for (const [path, text, width, size] of words) {
        const short = wrapped(text, width, size);
        if (short !== text) traces[at] = { ...traces[at], [path]: short };
      }
    });
    return traces;
  }

  // Let the figure have the room that its words need; what one change gives room to may be another's.
  function settle(plot) {
    const work = [];
    for (let i = 0; i < 3; i++) {
      const { changes, traces } = unsettled(plot);
      if (!Object.keys(changes).length && !Object.keys(traces).length) break;
      for (const [at, change] of Object.entries(traces)) work.push(Plotly.restyle(plot, change, [Number(at)]));
      if (Object.keys(changes).length) work.push(Plotly.relayout(plot, changes));
    }
    return Promise.all(work);
  }

  // ---- colours of the theme

  // what an axis has that its figure says nothing of: plotly's own lines are white, and black through zero
  const GREY = "rgba(128,134,144,0.6)";
  const LINES = { gridcolor: "rgba(128,134,144,0.18)", zeroline: false, zerolinecolor: GREY, linecolor: GREY, tickcolor: GREY };

  const coloured = ({ ink, soft, paper }) => ({
    "font.color": ink, "hoverlabel.bgcolor": paper, "hoverlabel.font.color": ink,
    "modebar.bgcolor": "rgba(0,0,0,0)", "modebar.color": soft, "modebar.activecolor": ink,
  });
  const lined = (layout) => Object.fromEntries(Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key)).map((key) => [key, { ...LINES, ...layout[key] }]));

  // ---- drawing

  async function draw(plot, { data, layout }, inks, { width = plot.clientWidth || UNKNOWN, bare = false, options = OPTIONS } = {}) {
    const [plain, offered] = menus.taken(layout), own = changed(plain, { ...arranged(plain, width), ...far(plain, width) });
    const changes = { ...lined(own), ...coloured(inks), ...head(own, width, bare), width, autosize: false };
    await Plotly.newPlot(plot, data, changed(own, changes), options);
    await settle(plot);
    if (options.staticPlot) return;
    await menus.attach(plot, offered);
    await attachCards(plot);
  }

  // Draw what is drawn already in another width or other colours.
  function refit(plot, inks, width = plot.clientWidth) {
    if (!plot._fullLayout || !width) return null;
    const turned = arranged(plot.layout, width);
    if (Object.keys(turned).length) Plotly.relayout(plot, turned);
    const drawn = Plotly.relayout(plot, { ...coloured(inks), ...head(plot.layout, width), width });
    const settled = settle(plot);
    return Promise.all([drawn, settled]);
  }

  // Light the marks: of each of these traces the numbers of some, or null for all alike. The outline that was drawn goes: plotly
  // would select by it again.
  function mark(plot, points, which) {
    if (!which.length) return null;
    const drawn = (plot.layout.selections || []).length ? { selections: [] } : {};
    return Plotly.update(plot, { selectedpoints: points }, drawn, which);
  }

  // What a hand zoomed or turned, by the paths that `relayout` takes: `seen`, after what an event of plotly's says; null where that is of
  // something else.
  function looked(plot, event, seen) {
    const moved = Object.keys(event).map((path) => /^([xy]axis\d*)\.(range|autorange)|^(scene\d*)\.camera/.exec(path)).filter(Boolean);
    if (!moved.length) return null;
    const view = { ...seen };
    for (const [, axis, what, scene] of moved) {
      if (scene) view[`${scene}.camera`] = structuredClone(plot.layout[scene].camera);
      else if (what === "range") view[`${axis}.range`] = [...plot.layout[axis].range]; // plotly writes into its own
      else delete view[`${axis}.range`];
    }
    return view;
  }
  const look = (plot, view) => Plotly.relayout(plot, view);

  const clear = (plot) => Plotly.purge(plot);

  // ---- what stands beside it, or in its place

  function button(text, title, act) {
    const made = document.createElement("button");
    Object.assign(made, { type: "button", textContent: text, title });
    made.addEventListener("click", act);
    return made;
  }

  // Words where a figure would be; they go when it is drawn.
  function say(plot, text, again) {
    const line = document.createElement("p");
    line.className = "wbf-said";
    line.setAttribute("role", again ? "alert" : "status");
    line.textContent = text;
    if (again) line.append(" ", button("Draw again", "Try to draw this figure once more", again));
    plot.replaceChildren(line);
  }
  const fail = (plot, error, again) => say(plot, `This figure could not be drawn here: ${(error && error.message) || error}.`.replace(/\.\.$/, "."), again);

  // ---- pictures

  // With the title that a page wrote itself, and room for it.
  function titled(layout) {
    const { written } = layout.meta || {};
    if (!written) return layout;
    const margin = { ...layout.margin, t: layout.margin.t + written.room };
    return { ...layout, title: structuredClone(written.title), margin, height: layout.height + written.room };
  }

  const fileName = (layout) => plain(((titled(layout).title || {}).text) || "figure").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "figure";

  // The figure as it is looked at, on white and in the width that it is printed in, as a data URL.
  async function picture({ data, layout }, format) {
    const stage = document.createElement("div");
    stage.style.cssText = `position:absolute;left:-9999px;top:0;width:${PRINTED}px`;
    document.body.append(stage);
    try {
      const notes = (layout.annotations || []).filter((note) => note.name !== "workbench:shown");
      const shapes = (layout.shapes || []).filter((shape) => shape.name !== "workbench:card");
      const still = { ...titled(layout), annotations: notes, shapes, selections: [], paper_bgcolor: PAPER.paper, plot_bgcolor: PAPER.paper };
      await draw(stage, { data, layout: still }, PAPER, { width: PRINTED, options: { ...OPTIONS, staticPlot: true } });
      return await Plotly.toImage(stage, { format, width: PRINTED, height: stage._fullLayout.height, scale: format === "png" ? SCALE : 1 });
    } finally {
      Plotly.purge(stage);
      stage.remove();
    }
  }

  // The line with the buttons under a figure; `shown` gives what it shows at present: {data, layout}.
  function tools(shown) {
    const line = document.createElement("div"), told = document.createElement("span");
    line.className = "wbf-tools";
    told.setAttribute("role", "status");
    const save = async (format) => {
      told.textContent = "";
      const figure = shown();
      if (!figure) { told.textContent = "There is nothing to save yet."; return; }
      try {
        const link = document.createElement("a");
        link.href = await picture(figure, format);
        link.download = `${fileName(figure.layout)}.${format}`;
        link.click();
      } catch (error) {
        told.textContent = `It could not be saved: ${error.message || error}`;
      }
    };
    line.append(
      told,
      button("PNG", `Save this figure as a picture, ${PRINTED * SCALE} pixels wide, on white`, () => save("png")),
      button("SVG", "Save this figure as a drawing that can be scaled and edited, on white", () => save("svg")),
    );
    return line;
  }

  return { PAPER, PRINTED, draw, refit, mark, looked, look, clear, say, fail, tools };
}
