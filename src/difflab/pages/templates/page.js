"use strict";
const content = (id) => JSON.parse(document.getElementById(id).textContent);

// the scheme
const toggle = document.querySelector(".theme");
const say = () => {
  toggle.textContent = Theme.dark() ? "Light" : "Dark";
  toggle.setAttribute("aria-label", `Switch to the ${Theme.dark() ? "light" : "dark"} colours`);
};
toggle.addEventListener("click", () => { Theme.choose(Theme.dark() ? "light" : "dark"); say(); });
Theme.system.addEventListener("change", () => { Theme.apply(); say(); });
say();

// paper is white
addEventListener("beforeprint", () => { document.documentElement.dataset.theme = "light"; });
addEventListener("afterprint", () => Theme.apply());

// tables that can be sorted: numbers by data-value, the rest by text; the third click gives the table's own order back
for (const table of document.querySelectorAll("table.sortable, table.ablation")) {
  const body = table.tBodies[0], own = [...body.rows], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    if (!button.textContent) button.textContent = "row";
    head.append(button);
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.ariaSort ?? "none"];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next !== "none") head.setAttribute("aria-sort", next);
      const key = (row) => {
        const cell = row.cells[column], value = cell?.dataset.value ?? "";
        return value === "" || isNaN(value) ? (cell?.textContent.trim() ?? "") : Number(value);
      };
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1; // what has no number comes last, either way
        const order = typeof x === "number" ? x - y : x.localeCompare(y);
        return next === "descending" ? -order : order;
      };
      body.append(...(next === "none" ? own : own.toSorted(compare)));
    });
  });
}

// where the reader is
const links = new Map([...document.querySelectorAll("nav.contents a")].map((a) => [a.hash.slice(1), a]));
const sections = [...document.querySelectorAll("main section[id]")];
let waiting = false;
const mark = () => {
  waiting = false;
  const passed = sections.filter((s) => s.getBoundingClientRect().top < innerHeight / 3);
  const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 4;
  const here = end ? sections.at(-1) : passed.at(-1) ?? sections[0];
  for (const [id, link] of links) id === here?.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
};
addEventListener("scroll", () => { if (!waiting) { waiting = true; requestAnimationFrame(mark); } }, { passive: true });
mark();
