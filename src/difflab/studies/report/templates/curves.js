"use strict";
// one plot of any logged metric over any axis, put together from the rows' means and bands
{
  const element = document.getElementById("curves-plot");
  if (element) {
    const { rows, metrics, axes, height } = content("curves-data");
    const [metric, axis] = ["metric", "axis"].map((name) => document.getElementById(`curves-${name}`));
    const logs = { x: document.getElementById("curves-log-x"), y: document.getElementById("curves-log-y") };
    const pressed = (button) => button.getAttribute("aria-pressed") === "true";
    const show = () => {
      const { label, bounds, curves } = metrics[metric.value];
      // the baseline is drawn last and lies on top
      const data = [...curves].sort((a, b) => rows[a.row].baseline - rows[b.row].baseline).map((curve) => {
        const row = rows[curve.row], x = curve[axis.value] ?? curve.step.map((step) => step * row.per_step[axis.value]);
        return {
          shows: "line", row: row.name, name: row.label, colour: row.colour, dash: row.dash, mark: row.mark, hidden: !row.shown,
          x: x.map((v) => v ?? NaN), y: curve.mean.map((v) => v ?? NaN), ylow: curve.low, yhigh: curve.high,
          width: row.baseline ? 3 : 1.6, size: curve.mean.length < 12 ? 4 : 0,
          hover: curve.mean.map((mean, i) => `${row.label}\n${axes[axis.value]} ${numeral(x[i] ?? NaN)}: ${numeral(mean ?? NaN)}`),
        };
      }).filter((trace) => trace.x.some(Number.isFinite));
      draw(element, { data, layout: {
        height, legend: true, x: { title: axes[axis.value], log: pressed(logs.x) },
        y: { title: label, key: metric.value, bounds, log: pressed(logs.y) },
      } });
    };
    for (const menu of [metric, axis]) menu.addEventListener("change", show);
    for (const button of Object.values(logs)) button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(!pressed(button)));
      show();
    });
    show();
  }
}
