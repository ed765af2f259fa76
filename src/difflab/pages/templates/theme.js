"use strict";
// before the page is painted: the scheme that was chosen last, else the system's
const Theme = {
  system: matchMedia("(prefers-color-scheme: dark)"),
  chosen: null,
  choose(name) {
    Theme.chosen = name;
    try { localStorage.setItem("difflab-theme", name); } catch { /* a page opened from a file may have no storage */ }
    Theme.apply();
  },
  apply() { document.documentElement.dataset.theme = Theme.chosen ?? (Theme.system.matches ? "dark" : "light"); },
  dark() { return document.documentElement.dataset.theme === "dark"; },
};
try { Theme.chosen = localStorage.getItem("difflab-theme"); } catch { /* then it is the system's */ }
Theme.apply();
