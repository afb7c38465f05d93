// What a person takes along: the picture (PNG, SVG), the chosen rows (CSV), and the Python that makes them again. All is made here
// and handed to the browser's own downloads.

const PRINTED_INCHES = 8, PRINTED_DOTS = 300; // of a PNG: as wide as a page
const SHEET = 800; // pixels of the same sheet on a screen, which text is measured by
const VECTOR = 20000; // points that an SVG draws as circles; more are a picture in it
const IDS_IN_CODE = 5000; // more are read from the CSV
const PRINT = { ink: "#23272f", soft: "#5b6472", line: "#c9ced6", paper: "#ffffff" };
const SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

function download(name, blob) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

const fileName = (title, ending) => `${title.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60).toLowerCase() || "points"}${ending}`;

function csvOf(columns, frame, spec, listed) {
  const cell = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const number = (v, single) => (Number.isFinite(v) ? exactly(v, single) : "");
  const k = spec.k, places = spec.axes.map((axis, j) => [axis, (i) => (k * i < frame.length ? number(frame[k * i + j], true) : "")]);
  const own = columns.map((c) => [c.name, c.labels ? (i) => c.labels[c.values[i]] : (i) => number(c.values[i], c.values instanceof Float32Array)]);
  const names = new Set(own.map(([name]) => name)), all = [...own, ...places.filter(([name]) => !names.has(name))];
  const lines = [all.map(([name]) => cell(name)).join(",")];
  for (const i of listed) lines.push(all.map(([, at]) => cell(at(i))).join(","));
  return new Blob([`${lines.join("\n")}\n`], { type: "text/csv" });
}

// The Python that makes this view and this choice again; `code` has the subject's name and the call, as the kernel knew them.
function codeOf(code, { ids, columns, color, choice, listed }) {
  const subject = code.subject || "subject", { base, asked, filters } = choice.state;
  const extra = color && code.columns.includes(color) ? `, color=${pythonText(color)}` : "";
  const lines = [...(code.before ? [code.before.trimEnd(), ""] : []), "import widgets", "", `explorer = widgets.explore(${[subject, ...code.arguments].join(", ")}${extra})`];
  if (!choice.chosen) return lines.join("\n");
  const parts = filters.map((f) => { const c = columns.find((d) => d.name === f.name); return c && code.columns.includes(f.name) ? filterQuery(f, c) : null; });
  const askable = !base || (asked && asked.used.every((name) => name === "index" || code.columns.includes(name)));
  if (askable && parts.every((p) => p !== null)) {
    const whole = [...(base ? [parts.length ? `(${asked.text})` : asked.text] : []), ...parts].join(" and ");
    lines.push(`chosen = explorer.subject.select("${whole.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}")`);
  } else if (listed.length && listed.length <= IDS_IN_CODE) lines.push(`chosen = explorer.subject.select([${listed.map((i) => ids[i]).join(", ")}])`);
  else if (listed.length) lines.push("import pandas as pd", "", `chosen = explorer.subject.select(pd.read_csv("rows.csv")["row"].to_numpy())  # the CSV of these ${listed.length.toLocaleString()} rows, saved as rows.csv`);
  else return lines.join("\n");
  lines.push("explorer.selection = chosen.ids");
  return lines.join("\n");
}

// One sheet for both kinds of picture: title, points in a frame, names of the axes, what the colours mean.
function drawSheet(sheet, { spec, legend, note, high, points }) {
  const side = legend ? 150 : 0, wide = SHEET - side - 24, x = 20, y = 40;
  sheet.rect(0, 0, SHEET, high, PRINT.paper);
  sheet.text(spec.title, x, 24, { size: 15, weight: 600, most: SHEET - 2 * x });
  points(x, y, wide, high - y - 44);
  sheet.frame(x, y, wide, high - y - 44, PRINT.line);
  sheet.text(spec.k > 2 ? spec.axes.join(", ") : spec.axes[0] || "", x + wide / 2, high - 28, { anchor: "middle", colour: PRINT.soft, most: wide });
  if (spec.k === 2) sheet.text(spec.axes[1] || "", 13, y + (high - y - 44) / 2, { anchor: "middle", colour: PRINT.soft, turned: true, most: high - 100 });
  sheet.text(note, x, high - 9, { size: 10, colour: PRINT.soft, most: SHEET - 2 * x });
  if (!legend) return;
  const left = SHEET - side + 6;
  sheet.text(legend.name, left, y + 10, { weight: 600, most: side - 14 });
  if (legend.groups) {
    legend.groups.forEach((g, j) => { sheet.circle(left + 5, y + 25 + 18 * j, 5, g.hex, 1); sheet.text(g.text || "(empty)", left + 16, y + 29 + 18 * j, { most: side - 30 }); });
    if (legend.more > 0) sheet.text(`${legend.more.toLocaleString()} more, grey`, left, y + 30 + 18 * legend.groups.length, { colour: PRINT.soft });
    return;
  }
  const tall = 160;
  const colours = ramp(legend.scale), hex = (c) => `rgb(${c.join(",")})`;
  for (let s = 0; s < 64; s++) sheet.rect(left, y + 20 + (tall * s) / 64, 14, tall / 64 + 0.6, hex(colours[Math.round(255 * (1 - s / 63))]));
  sheet.text(String(+legend.high.toPrecision(4)), left + 20, y + 30, {});
  sheet.text(String(+legend.low.toPrecision(4)), left + 20, y + 20 + tall, {});
}

function canvasSheet(context) {
  const sheet = {
    rect(x, y, w, h, fill) { context.fillStyle = fill; context.fillRect(x, y, w, h); },
    frame(x, y, w, h, stroke) { context.strokeStyle = stroke; context.lineWidth = 1; context.strokeRect(x, y, w, h); },
    circle(x, y, r, fill, opacity) { context.globalAlpha = opacity; context.fillStyle = fill; context.beginPath(); context.arc(x, y, r, 0, 7); context.fill(); context.globalAlpha = 1; },
    text(text, x, y, { size = 12, weight = 400, anchor = "start", colour = PRINT.ink, turned = false, most = 1000 }) {
      context.save();
      context.translate(x, y);
      if (turned) context.rotate(-Math.PI / 2);
      Object.assign(context, { font: `${weight} ${size}px ${SANS}`, textAlign: anchor === "middle" ? "center" : "left", fillStyle: colour });
      context.fillText(cut(text, size, most), 0, 0);
      context.restore();
    },
  };
  return sheet;
}

function svgSheet(parts) {
  const escaped = (text) => [...String(text)].map((c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] ?? (c < " " ? " " : c)).join("");
  const f = (v) => +v.toFixed(2);
  return {
    rect(x, y, w, h, fill) { parts.push(`<rect x="${f(x)}" y="${f(y)}" width="${f(w)}" height="${f(h)}" fill="${fill}"/>`); },
    frame(x, y, w, h, stroke) { parts.push(`<rect x="${f(x)}" y="${f(y)}" width="${f(w)}" height="${f(h)}" fill="none" stroke="${stroke}"/>`); },
    circle(x, y, r, fill, opacity) { parts.push(`<circle cx="${f(x)}" cy="${f(y)}" r="${f(r)}" fill="${fill}"${opacity < 1 ? ` fill-opacity="${f(opacity)}"` : ""}/>`); },
    text(text, x, y, { size = 12, weight = 400, anchor = "start", colour = PRINT.ink, turned = false, most = 1000 }) {
      const turn = turned ? ` transform="rotate(-90 ${f(x)} ${f(y)})"` : "";
      parts.push(`<text x="${f(x)}" y="${f(y)}" font-size="${size}" font-weight="${weight}" text-anchor="${anchor}" fill="${colour}"${turn}>${escaped(cut(text, size, most))}</text>`);
    },
  };
}

const cut = (text, size, most) => { const fits = Math.floor(most / (0.56 * size)); return text.length > fits ? `${text.slice(0, Math.max(1, fits - 1))}…` : text; };

// The points alone, as wide as so many pixels: `paintOn` draws on a canvas that is made for it.
function printed(width, height, paintOn) {
  const canvas = make("canvas", { width, height }), painter = glPainter(canvas) || plainPainter(canvas);
  paintOn(painter, canvas);
  const still = make("canvas", { width, height });
  still.getContext("2d").drawImage(canvas, 0, 0);
  painter.end();
  return still;
}

function pngOf(sheet) {
  const scale = (PRINTED_INCHES * PRINTED_DOTS) / SHEET, canvas = make("canvas", { width: SHEET * scale, height: Math.round(sheet.high * scale) }), context = canvas.getContext("2d");
  context.scale(scale, scale);
  const points = (x, y, w, h) => context.drawImage(printed(Math.round(w * scale), Math.round(h * scale), (painter, on) => sheet.paintOn(painter, on, scale)), x, y, w, h);
  drawSheet(canvasSheet(context), { ...sheet, points });
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function svgOf(sheet) {
  const parts = [], drawn = svgSheet(parts), scale = (PRINTED_INCHES * PRINTED_DOTS) / SHEET;
  const points = (x, y, w, h) => {
    if (sheet.m > VECTOR) {
      const url = printed(Math.round(w * scale), Math.round(h * scale), (painter, on) => sheet.paintOn(painter, on, scale)).toDataURL("image/png");
      parts.push(`<image x="${x}" y="${y}" width="${w}" height="${h}" href="${url}"/>`);
    } else {
      parts.push(`<g clip-path="url(#frame)">`);
      sheet.circles(w, h, (u, v, r, hex, opacity) => drawn.circle(x + u, y + v, r, hex, opacity));
      parts.push("</g>");
      parts.unshift(`<clipPath id="frame"><rect x="${x}" y="${y}" width="${w}" height="${h}"/></clipPath>`);
    }
  };
  drawSheet(drawn, { ...sheet, points });
  const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${PRINTED_INCHES}in" height="${((PRINTED_INCHES * sheet.high) / SHEET).toFixed(3)}in" viewBox="0 0 ${SHEET} ${sheet.high}" font-family="${SANS}">`;
  return new Blob([`${head}${parts.join("\n")}</svg>\n`], { type: "image/svg+xml" });
}

function makeSheet(view) {
  const { ui, state, n, drawn, colour, alpha, size } = view;
  // The points as they are seen, on paper: `paintOn` draws them on any canvas, `circles` gives each alone.
  return function sheet() {
    makeRoom();
    const { spec, to, camera, choice, palette } = view, column = colour(), legend = column && { name: column.name, scale: spec.scale, ...palette }, { clientWidth: w, clientHeight: h } = ui.stage;
    const wide = SHEET - (legend ? 150 : 0) - 24, { chosen, count } = choice, m = drawn(), inks = paint(column, palette, spec, m, chosen, alpha());
    const dot = (size() / devicePixelRatio) * (wide / w), order = Uint32Array.from({ length: m }, (_, i) => i);
    if (chosen) order.sort((a, b) => chosen[a] - chosen[b]); // what is chosen lies on top
    return {
      spec, legend, m, high: 84 + Math.round((wide * h) / w),
      note: [count ? `${count.toLocaleString()} of ${n().toLocaleString()} rows selected.` : `${n().toLocaleString()} rows.`, state.outside ? `${state.outside.toLocaleString()} points outside.` : "", spec.note || ""].filter(Boolean).join(" "),
      paintOn(painter, canvas, scale) {
        painter.positions(to, to, spec.k);
        painter.colours(inks, chosen ? order.subarray(m - order.reduce((sum, i) => sum + chosen[i], 0)) : new Uint32Array(0));
        painter.draw(camera.rows(canvas.width, canvas.height), 1, dot * scale, 1);
        painter.finish();
      },
      circles(width, height, circle) {
        const [rx, ry] = camera.rows(width, height), k = spec.k, at = (i, j) => (j < k ? to[k * i + j] : 0);
        for (const i of order) {
          const u = (0.5 + 0.5 * (rx[0] * at(i, 0) + rx[1] * at(i, 1) + rx[2] * at(i, 2) + rx[3])) * width, v = (0.5 - 0.5 * (ry[0] * at(i, 0) + ry[1] * at(i, 1) + ry[2] * at(i, 2) + ry[3])) * height;
          if (u < -dot || v < -dot || u > width + dot || v > height + dot) continue;
          circle(u, v, dot / 2, `#${[0, 1, 2].map((c) => inks[4 * i + c].toString(16).padStart(2, "0")).join("")}`, inks[4 * i + 3] / 255);
        }
      },
    };
  };
}
