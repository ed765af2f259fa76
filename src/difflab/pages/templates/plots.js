"use strict";
// plots as SVG, coloured by the page's own variables: a change of scheme, and paper, need no new drawing
const SVG = "http://www.w3.org/2000/svg", NARROW = 620, NEAR = 28;
const make = (name, attributes = {}, ...inside) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined && value !== null) element.setAttribute(key, value);
  element.append(...inside);
  return element;
};
const canvas = document.createElement("canvas").getContext("2d");
const widthOf = (text) => { canvas.font = `12.5px ${getComputedStyle(document.body).fontFamily}`; return canvas.measureText(text).width; };
const shortened = (text, width) => {
  if (widthOf(text) <= width) return text;
  let end = text.length;
  while (end > 1 && widthOf(`${text.slice(0, end)}…`) > width) end -= 1;
  return `${text.slice(0, end).trimEnd()}…`;
};

// marks around (0, 0); rows that share a colour differ in them
const corners = (count, radius, inner = radius) => Array.from({ length: count }, (_, i) => {
  const angle = (2 * Math.PI * i) / count - Math.PI / 2, r = i % 2 ? inner : radius;
  return `${(r * Math.cos(angle)).toFixed(2)},${(r * Math.sin(angle)).toFixed(2)}`;
});
const plus = (r, w) => [[-w, -r], [w, -r], [w, -w], [r, -w], [r, w], [w, w], [w, r], [-w, r], [-w, w], [-r, w], [-r, -w], [-w, -w]];
const turned = ([x, y]) => [(x - y) * Math.SQRT1_2, (x + y) * Math.SQRT1_2];
const path = (points) => `M${points.map((p) => (Array.isArray(p) ? p.map((v) => v.toFixed(2)).join(",") : p)).join("L")}Z`;
const MARKS = {
  circle: (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0Z`,
  square: (r) => path([[-r, -r], [r, -r], [r, r], [-r, r]].map(([x, y]) => [0.88 * x, 0.88 * y])),
  diamond: (r) => path(corners(4, 1.25 * r)), "triangle-up": (r) => path(corners(3, 1.3 * r)),
  cross: (r) => path(plus(1.15 * r, 0.4 * r)), x: (r) => path(plus(1.25 * r, 0.4 * r).map(turned)),
  star: (r) => path(corners(10, 1.4 * r, 0.6 * r)), hexagon: (r) => path(corners(6, 1.1 * r)), tick: (r) => path([[-0.7, -r], [0.7, -r], [0.7, r], [-0.7, r]]),
};
const DASHES = { solid: null, dash: "7 4", dot: "2 3", dashdot: "7 3 2 3" };

// numbers at an axis, and where they stand
const PREFIXES = [[1e18, " E"], [1e15, " P"], [1e12, " T"], [1e9, " G"], [1e6, " M"], [1e3, " k"]];
const numeral = (value, digits = 4) => {
  const size = Math.abs(value), [unit, prefix] = PREFIXES.find(([one]) => size >= one * (one === 1e3 ? 10 : 1)) ?? [1, ""];
  const text = size && size < 1e-4 ? Number(value.toPrecision(digits)).toExponential() : String(Number((value / unit).toPrecision(digits)));
  return text.replace("-", "−") + prefix;
};
function ticks(low, high, count, log) {
  if (log) {
    const decades = Math.log10(high) - Math.log10(low), found = [];
    const parts = decades > 2 ? [1] : decades > 0.8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9], apart = Math.max(1, Math.ceil(decades / count));
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e += decades > 2 ? apart : 1)
      for (const part of parts) if (part * 10 ** e >= low && part * 10 ** e <= high) found.push(part * 10 ** e);
    if (found.length > 1) return found;
  }
  const raw = (high - low) / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((one) => one * power >= raw) * power, found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i += 1) found.push(i * step);
  return found;
}

/* What an axis shows: a given range, else all values and a little room, within what the number can be. */
function extent(axis, values) {
  const log = axis.log, seen = values.filter((v) => Number.isFinite(v) && (!log || v > 0)), [least, most] = axis.bounds ?? [null, null];
  if (axis.range) return axis.range;
  if (!seen.length) return log ? [1, 10] : [0, 1];
  let low = seen.reduce((a, b) => Math.min(a, b)), high = seen.reduce((a, b) => Math.max(a, b));
  if (log) return low < high ? [low / (high / low) ** 0.05, high * (high / low) ** 0.05] : [low / 2, high * 2];
  const room = 0.06 * (high - low || Math.abs(high) || 1);
  low = Math.max(low - room, least !== null && low >= least ? least : -Infinity);
  high = Math.min(high + room, most !== null && high <= most ? most : Infinity);
  return [low, high];
}

/* Moves apart what would cover each other: each takes the nearest free place beside its own, in the order in which they come. */
function apart(points, size, along) {
  const placed = [];
  for (const point of points) {
    for (let i = 0; ; i += 1) {
      const shift = along === "down" ? i * size : (i % 2 ? 1 : -1) * Math.ceil(i / 2) * size;
      const moved = along === "down" ? { ...point, y: point.y + shift } : { ...point, x: point.x + shift };
      if (!placed.some((other) => Math.hypot(other.x - moved.x, other.y - moved.y) < 0.98 * size)) { placed.push(moved); break; }
    }
  }
  return placed;
}

const figures = new Map(), widths = new WeakMap(); // element -> figure, and the width for which it was drawn
let clips = 0;

function draw(element, figure) {
  if (!figures.has(element)) watcher.observe(element);
  figures.set(element, figure);
  widths.set(element, element.clientWidth);
  const { data, layout } = figure, hidden = (element.hiddenRows ??= new Set(data.filter((t) => t.hidden).map((t) => t.row)));
  const shown = data.filter((trace) => !hidden.has(trace.row)), width = Math.max(element.clientWidth, 220), narrow = width < NARROW, height = layout.height;
  const all = (...keys) => shown.flatMap((trace) => keys.flatMap((key) => trace[key] ?? []));
  const [x0, x1] = extent(layout.x, all("x", "xlow", "xhigh")), [y0, y1] = extent(layout.y, all("y", "ylow", "yhigh"));
  const rows = layout.rows ?? [], beside = rows.length && !narrow;
  const yTicks = rows.length ? [] : layout.y.ticks ?? ticks(y0, y1, Math.round(height / 60), layout.y.log).map((v) => [v, numeral(v)]);
  const left = beside ? Math.min(Math.max(...rows.map((r) => widthOf(r.label))), 240) + 24 : rows.length ? 10 : Math.max(...yTicks.map(([, t]) => widthOf(t)), 10) + 34;
  const right = beside ? Math.max(...rows.map((r) => widthOf(r.text))) + 24 : 14, top = 12, bottom = layout.x.ends ? 62 : 48;
  const inner = { width: Math.max(width - left - right, 40), height: height - top - bottom };
  const scale = (axis, low, high, from, to) => {
    const f = axis.log ? Math.log10 : (v) => v, [a, b] = [f(low), f(high)];
    return (v) => from + ((f(v) - a) / (b - a || 1)) * (to - from);
  };
  const x = scale(layout.x, x0, x1, left, left + inner.width), y = scale(layout.y, y0, y1, top + inner.height, top);
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", height, "aria-hidden": "true" });
  const text = (words, at, anchor, kind) => svg.append(make("text", { x: at[0], y: at[1], "text-anchor": anchor, class: kind }, words));

  // frame
  const base = top + inner.height, clip = `clip-${(clips += 1)}`;
  svg.append(make("clipPath", { id: clip }, make("rect", { x: left, y: top - 6, width: inner.width, height: inner.height + 12 })));
  if (layout.shade) {
    const [a, b] = layout.shade.map((v) => Math.min(Math.max(x(v), left), left + inner.width));
    svg.append(make("rect", { x: a, y: top, width: b - a, height: inner.height, class: "shade" }));
  }
  let free = -Infinity;
  for (const [value, words] of layout.x.ticks ?? ticks(x0, x1, Math.max(2, Math.round(inner.width / 90)), layout.x.log).map((v) => [v, numeral(v)])) {
    const at = x(value), half = widthOf(words) / 2;
    svg.append(make("line", { x1: at, x2: at, y1: top, y2: base + 4, class: "grid" }));
    if (at - half < free) continue; // numbers do not run into each other
    text(words, [at, base + 18], "middle", "tick");
    free = at + half + 8;
  }
  for (const [value, words] of yTicks) {
    svg.append(make("line", { x1: left - 4, x2: left + inner.width, y1: y(value), y2: y(value), class: "grid" }));
    text(words, [left - 8, y(value) + 4], "end", "tick");
  }
  svg.append(make("line", { x1: left, x2: left + inner.width, y1: base, y2: base, class: "axis" }));
  if (!rows.length) svg.append(make("line", { x1: left, x2: left, y1: top, y2: base, class: "axis" }));
  const zero = layout.zero === "x" ? { x1: x(0), x2: x(0), y1: top, y2: base } : { x1: left, x2: left + inner.width, y1: y(0), y2: y(0) };
  if (layout.zero) svg.append(make("line", { ...zero, class: "zero" }));
  const [room, middle] = layout.x.ends ? [width, width / 2] : [inner.width + right, left + inner.width / 2];
  text(shortened(layout.x.title, room), [middle, height - 6], "middle", "title");
  if (layout.x.ends) {
    text(`← ${layout.x.ends[0]}`, [left, height - 26], "start", "title");
    text(`${layout.x.ends[1]} →`, [left + inner.width, height - 26], "end", "title");
  }
  if (layout.y.title) {
    const at = [12, top + inner.height / 2];
    svg.append(make("text", { transform: `translate(${at}) rotate(-90)`, "text-anchor": "middle", class: "title" }, shortened(layout.y.title, inner.height)));
  }
  for (const [mark, key] of [[svg.lastChild, layout.y.key], [[...svg.children].find((e) => e.textContent === shortened(layout.x.title, room)), layout.x.key]])
    if (key && mark) mark.append(make("title", {}, key)); // the key by which programs know it
  for (const row of rows) {
    const at = y(row.y), style = `fill: var(--${row.outcome})`;
    if (beside) {
      text(shortened(row.label, 240), [left - 12, at + 4], "end", "label");
      text(row.text, [left + inner.width + 12, at + 4], "start", "label");
    } else {
      const numbers = `   ${row.text}`; // which are never cut; the name is
      text(shortened(row.label, inner.width - widthOf(numbers)) + numbers, [left, at - 12], "start", "label");
    }
    svg.lastChild.setAttribute("style", style);
  }

  // what there is to see
  const seen = [], marked = [];
  const run = (xs, ys) => xs.map((v, i) => [x(v), y(ys[i])]).filter((p) => p.every(Number.isFinite));
  for (const trace of shown) {
    const group = make("g", { class: `trace ${trace.shows}`, style: `--c: var(--${trace.colour})`, "data-row": trace.row, "clip-path": trace.shows === "points" ? null : `url(#${clip})` });
    svg.append(group);
    const points = trace.x.map((v, i) => ({ x: x(v), y: y(trace.y[i]), i })).filter((p) => Number.isFinite(p.x) && Number.isFinite(p.y));
    if (trace.shows === "line") {
      if (trace.ylow) {
        const sides = [run(trace.x, trace.ylow), run(trace.x, trace.yhigh).reverse()];
        if (sides[0].length && sides[1].length) group.append(make("path", { d: path(sides.flat()), class: "area" }));
      }
      const along = points.map((p) => `${p.x.toFixed(2)},${p.y.toFixed(2)}`).join(" ");
      group.append(make("polyline", { points: along, class: "stroke", "stroke-width": trace.width ?? 1.6, "stroke-dasharray": DASHES[trace.dash] }));
    }
    for (const p of points) {
      for (const [low, high, across] of [[trace.xlow, trace.xhigh, true], [trace.shows === "points" ? trace.ylow : null, trace.yhigh, false]]) {
        if (!low || low[p.i] === null) continue;
        const ends = across ? { x1: x(low[p.i]), x2: x(high[p.i]), y1: p.y, y2: p.y } : { x1: p.x, x2: p.x, y1: y(low[p.i]), y2: y(high[p.i]) };
        group.append(make("line", { ...ends, class: "bar" }));
      }
    }
    if (trace.size) marked.push({ trace, group, points });
    else if (trace.hover) seen.push(...points.map((p) => ({ ...p, trace })));
  }
  const of = (kind) => marked.filter((m) => (m.trace.swarm ? "swarm" : m.trace.shows) === kind);
  const whole = (m) => m.points.map((p) => ({ ...p, ...m }));
  const swarms = of("swarm").flatMap((m) => apart(whole(m), 2 * m.trace.size + 1, "down"));
  for (const p of [...of("line").flatMap(whole), ...of("ticks").flatMap(whole), ...swarms, ...apart(of("points").flatMap(whole), 9, "sideways")]) {
    p.group.append(make("path", { d: MARKS[p.trace.mark ?? "circle"](p.trace.size), transform: `translate(${p.x.toFixed(2)},${p.y.toFixed(2)})`, class: "point" }));
    if (p.trace.hover) seen.push(p);
  }
  element.replaceChildren(svg);
  legend(element, figure, hidden);
  hover(element, svg, seen, width, height);
}

/* Names of what is drawn. A click hides a row, a double click shows it alone, and again all. */
function legend(element, figure, hidden) {
  const named = figure.data.filter((trace) => trace.name);
  if (!figure.layout.legend || named.length < 2) return;
  const list = document.createElement("div");
  list.className = "legend";
  for (const trace of named) {
    const button = document.createElement("button"), swatch = make("svg", { width: 26, height: 14, viewBox: "-13 -7 26 14" });
    const line = { x1: -13, x2: 13, y1: 0, y2: 0, class: "stroke", "stroke-width": trace.width ?? 1.6, "stroke-dasharray": DASHES[trace.dash] };
    if (trace.shows === "line") swatch.append(make("line", line));
    if (trace.size) swatch.append(make("path", { d: MARKS[trace.mark ?? "circle"](5), class: "point" }));
    swatch.setAttribute("style", `--c: var(--${trace.colour})`);
    button.type = "button";
    button.setAttribute("aria-pressed", String(!hidden.has(trace.row)));
    button.append(swatch, trace.name);
    button.addEventListener("click", (event) => {
      const others = named.filter((one) => one !== trace).map((one) => one.row);
      const alone = event.detail > 1 && !others.every((row) => hidden.has(row));
      if (event.detail > 1) { hidden.clear(); if (alone) others.forEach((row) => hidden.add(row)); }
      else hidden.has(trace.row) ? hidden.delete(trace.row) : hidden.add(trace.row);
      draw(element, figure);
    });
    list.append(button);
  }
  element.append(list);
}

function hover(element, svg, seen, width, height) {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  element.append(tip);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), at = [(event.clientX - box.left) * (width / box.width), (event.clientY - box.top) * (height / box.height)];
    let best = null, distance = NEAR;
    for (const p of seen) { const d = Math.hypot(p.x - at[0], p.y - at[1]); if (d < distance) [best, distance] = [p, d]; }
    tip.hidden = !best;
    if (!best) return;
    const [title, ...rest] = best.trace.hover[best.i].split("\n"), strong = document.createElement("strong");
    strong.textContent = title;
    tip.replaceChildren(strong, ...rest.flatMap((line) => [document.createElement("br"), line]));
    tip.style.left = `${Math.min(Math.max(best.x + 12, 0), Math.max(0, width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${Math.max(0, best.y - tip.offsetHeight - 10)}px`;
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });
}

const watcher = new ResizeObserver((entries) => requestAnimationFrame(() => {
  for (const { target } of entries) if (widths.get(target) !== target.clientWidth) draw(target, figures.get(target));
}));
for (const element of document.querySelectorAll(".plot[data-figure]")) draw(element, content(element.dataset.figure));
