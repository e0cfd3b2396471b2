"use strict";
const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");
const make = (name, text, into, kind) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  into?.append(element);
  return element;
};

// Charts; drawn again when the colour scheme changes. The interpreter evaluates expressions without `eval`.
const dark = matchMedia("(prefers-color-scheme: dark)");
const charts = read("chart-data") ?? {};
const draw = async () => {
  const style = getComputedStyle(document.documentElement);
  const [ink, quiet, line] = ["--ink", "--quiet", "--line"].map((name) => style.getPropertyValue(name).trim());
  const config = {
    background: null,
    font: "system-ui, sans-serif",
    view: { stroke: line },
    axis: { labelColor: quiet, titleColor: quiet, gridColor: line, domainColor: line, tickColor: line, titleFontWeight: 400 },
    legend: { orient: "bottom", columns: 4, labelColor: ink, titleColor: quiet, symbolFillColor: quiet },
    title: { color: ink, subtitleColor: quiet, anchor: "start" },
  };
  for (const place of document.querySelectorAll("[data-chart]")) {
    const spec = charts[place.dataset.chart];
    const options = { actions: false, ast: true, renderer: "svg", config, tooltip: { theme: dark.matches ? "dark" : "light" } };
    await vegaEmbed(place, spec, options);
    place.dataset.drawn = "yes";
  }
};
dark.addEventListener("change", draw);
draw();

// Tables: a click on a heading sorts.
const number = (cell) => parseFloat((cell.dataset.value ?? cell.textContent).replaceAll(",", ""));
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const body = heading.closest("table").tBodies[0];
    const falling = heading.getAttribute("aria-sort") === "ascending";
    const figures = heading.classList.contains("figure");
    const order = (one, other) => {
      const [a, b] = [one, other].map((row) => row.cells[heading.cellIndex]);
      if (!figures) return a.textContent.localeCompare(b.textContent);
      const [x, y] = [number(a), number(b)];
      return Number.isNaN(x) || Number.isNaN(y) ? Number.isNaN(x) - Number.isNaN(y) : x - y;
    };
    const rows = [...body.rows].sort((one, other) => (falling ? order(other, one) : order(one, other)));
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
    body.append(...rows);
  });
}

// Anchors and the units that each retrieves.
const marked = (unit, into) => {
  let at = 0;
  const characters = [...unit.text];
  for (const [start, end] of unit.matches) {
    into.append(characters.slice(at, start).join(""));
    make("mark", characters.slice(start, end).join(""), into);
    at = end;
  }
  into.append(characters.slice(at).join(""));
};
for (const browser of document.querySelectorAll(".browser")) {
  const anchors = read(browser.dataset.anchors);
  const [list, filter, shown] = ["ul", "input", ".shown"].map((name) => browser.querySelector(name));
  const show = (anchor, button) => {
    for (const other of list.querySelectorAll("button")) other.setAttribute("aria-pressed", other === button);
    shown.replaceChildren();
    make("h3", anchor.text, shown);
    make("p", anchor.keywords.length ? `keywords: ${anchor.keywords.join(", ")}` : "no keywords: every word is a stop word", shown, "quiet");
    make("p", `retrieves ${anchor.hits} units; the best ones:`, shown, "quiet");
    for (const unit of anchor.units) {
      const place = make("p", undefined, shown, "unit");
      marked(unit, place);
      const away = unit.in_textbook ? "" : "; not in the textbook";
      make("span", `${unit.rank}. score ${unit.score.toFixed(2)}, ${unit.source}${away}`, place, "quiet");
    }
  };
  for (const anchor of anchors) {
    const button = make("button", anchor.text, make("li", undefined, list));
    button.addEventListener("click", () => show(anchor, button));
  }
  filter.addEventListener("input", () => {
    for (const item of list.children) item.hidden = !item.textContent.toLowerCase().includes(filter.value.toLowerCase());
  });
  list.querySelector("button")?.click();
}
