"use strict";
// plotly's figures come without colours: they are those of the page, which change with its scheme
const NARROW = 620;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const faint = (hex, share) => `rgba(${[1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(",")},${share})`;
const drawn = new Map(); // element -> its data and layout as they came

function painted(trace) {
  if (!trace.meta?.colour) return trace;
  const colour = css(trace.meta.colour), paint = { ...trace };
  if (trace.meta.shows === "band") return { ...paint, fillcolor: faint(colour, Theme.dark() ? 0.24 : 0.15), line: { width: 0 } };
  paint.line = { ...trace.line, color: colour };
  paint.marker = { ...trace.marker, color: trace.meta.shows === "seeds" ? faint(colour, 0.5) : colour };
  for (const side of ["error_x", "error_y"]) if (trace[side]) paint[side] = { ...trace[side], color: colour };
  return paint;
}

function dressed(layout, width) {
  const narrow = width < NARROW, own = layout.meta ?? {};
  const dress = {
    ...layout, ...(narrow ? own.narrow : own.wide), autosize: true, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: css("ink") },
    hoverlabel: { bgcolor: css("raised"), bordercolor: css("strong-rule"), font: { color: css("ink"), size: 12.5 }, align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("faint"), activecolor: css("ink") },
    legend: { ...layout.legend, font: { size: 12 } },
  };
  for (const axis of Object.keys(dress).filter((key) => /^[xy]axis\d*$/.test(key))) {
    const style = { gridcolor: css("rule"), linecolor: css("strong-rule"), tickcolor: css("strong-rule"), zerolinecolor: css("faint") };
    dress[axis] = { ...dress[axis], ...style };
    const title = dress[axis].title;
    if (title) dress[axis].title = { ...(typeof title === "string" ? { text: title } : title), font: { size: 12.5, color: css("soft") } };
  }
  dress.shapes = (dress.shapes ?? []).map((shape) => ({
    ...shape, ...(shape.type === "rect" ? { fillcolor: faint(css("faint"), 0.16), line: { width: 0 } } : { line: { ...shape.line, color: css("soft") } }),
  }));
  dress.annotations = (dress.annotations ?? []).map((note) => ({
    ...note, font: { ...note.font, color: css(note.name || "soft") }, ...(narrow ? { bgcolor: faint(css("ground"), 0.8) } : {}),
  }));
  return dress;
}

function draw(element, figure) {
  drawn.set(element, figure);
  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"], showTips: false };
  return Plotly.react(element, figure.data.map(painted), dressed(figure.layout, element.clientWidth), config);
}
const repaint = () => drawn.forEach((figure, element) => draw(element, figure));

// one after the other, so that the page can be read meanwhile
for (const element of document.querySelectorAll(".plot[data-figure]")) setTimeout(() => draw(element, content(element.dataset.figure)));

let lastWidth = innerWidth;
addEventListener("resize", () => {
  if ((lastWidth < NARROW + 260) !== (innerWidth < NARROW + 260) || lastWidth !== innerWidth) repaint();
  lastWidth = innerWidth;
});
