"use strict";
// A figure's menu as a real one, above it: no key reaches plotly's own. What its choices restyle is the figure's data, which a
// picture of it has too.
function menusBy(Plotly) {
  const HIGH = 40; // pixels that plotly's own takes above the axes (plotted.py)

  // The layout without menus, and what they are.
  function taken(layout) {
    const { updatemenus = [], ...rest } = layout;
    if (!updatemenus.length) return [layout, []];
    return [{ ...rest, margin: { ...rest.margin, t: rest.margin.t - HIGH }, height: rest.height - HIGH }, updatemenus];
  }

  function menu(plot, { name, buttons, active }) {
    const label = document.createElement("label"), choice = document.createElement("select");
    buttons.forEach((button, at) => choice.append(new Option(button.label, at)));
    choice.value = active || 0;
    choice.addEventListener("change", () => {
      Plotly.restyle(plot, ...buttons[choice.value].args); // the second says which traces, where not all
    });
    label.append(`${name} `, choice);
    return label;
  }

  // Put a figure's menus above it; where it is drawn again, what was chosen stays.
  function attach(plot, menus) {
    const before = plot.previousElementSibling, old = before && before.classList.contains("wbf-menus") ? before : null;
    const kept = old ? [...old.querySelectorAll("select")].map((s) => s.selectedOptions[0].text) : [];
    if (!menus.length) return old && old.remove();
    const line = document.createElement("div");
    line.className = "wbf-menus";
    line.append(...menus.map((each) => menu(plot, each)));
    if (old) old.replaceWith(line);
    else plot.before(line);
    const again = [...line.querySelectorAll("select")].map((choice, at) => {
      const same = [...choice.options].find((option) => option.text === kept[at]);
      if (!same || same.selected) return null;
      same.selected = true;
      return Plotly.restyle(plot, ...menus[at].buttons[choice.value].args);
    });
    return Promise.all(again);
  }

  return { taken, attach };
}
