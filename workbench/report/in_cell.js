// The buttons under a figure that JupyterLab's own plotly drew: it offers one kind of picture, and takes which from its settings.
// And, where the figure has cards, the one of what is clicked; without an outline, since that plotly can't be reached.
(() => {
  const here = document.currentScript?.closest(".jp-OutputArea-child"), line = document.currentScript?.previousElementSibling;
  if (!here || !line) return;
  const plot = () => here.previousElementSibling?.querySelector(".js-plotly-plot");
  const button = () => plot()?.querySelector('.modebar-btn[data-title^="Download plot"]');
  const save = (format) => {
    const { _context: context, layout } = plot(), usual = context.toImageButtonOptions;
    const title = ((layout.title || {}).text || "figure").replace(/<[^>]*>/g, " ").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60);
    context.toImageButtonOptions = { ...usual, format, scale: format === "png" ? usual.scale : 1, filename: title || "figure" };
    try { button().click(); } finally { context.toImageButtonOptions = usual; }
  };
  const offer = () => {
    for (const [format, title] of [["png", "Save this figure as a picture, on white"], ["svg", "Save this figure as a drawing that can be scaled and edited, on white"]]) {
      const made = document.createElement("button");
      Object.assign(made, { type: "button", textContent: format.toUpperCase(), title });
      made.style.cssText = "font: inherit; font-size: 12px; margin-left: 6px; padding: 0 8px; border: 1px solid currentColor; border-radius: 10px; background: none; color: var(--jp-ui-font-color2, #5b6472); cursor: pointer;";
      made.addEventListener("click", () => save(format));
      line.append(made);
    }
  };
  let tries = 0;
  const ready = () => {
    offer();
    if (typeof cardsBy === "function") cardsBy(null)(plot(), line);
  };
  const wait = () => (button() ? ready() : ++tries < 150 && here.isConnected && setTimeout(wait, 200)); // it may be drawn later, and elsewhere never
  setTimeout(wait);
})();
