"use strict";
// one plot of any logged metric over any axis, put together from the rows' means and bands
{
  const element = document.getElementById("curves-plot");
  if (element) {
    const { rows, metrics, axes, layout } = content("curves-data");
    const [metric, axis] = ["metric", "axis"].map((name) => document.getElementById(`curves-${name}`));
    const logs = { x: document.getElementById("curves-log-x"), y: document.getElementById("curves-log-y") };
    const pressed = (button) => button.getAttribute("aria-pressed") === "true";
    const show = () => {
      const data = [];
      // the baseline is drawn last and lies on top
      for (const curve of [...metrics[metric.value].curves].sort((a, b) => rows[a.row].baseline - rows[b.row].baseline)) {
        const row = rows[curve.row], x = curve[axis.value] ?? curve.step.map((step) => step * row.per_step[axis.value]);
        if (x.every((value) => value === null || Number.isNaN(value))) continue;
        const group = { legendgroup: row.name, x, visible: row.shown ? true : "legendonly", legendrank: curve.row };
        const meta = (shows) => ({ colour: row.colour, shows });
        if (curve.low) {
          const low = { ...group, y: curve.low, mode: "lines", meta: meta("band"), showlegend: false, hoverinfo: "skip" };
          data.push(low, { ...low, y: curve.high, fill: "tonexty" });
        }
        data.push({
          ...group, y: curve.mean, mode: curve.mean.length < 12 ? "lines+markers" : "lines", name: row.label, meta: meta("line"),
          line: { width: row.baseline ? 3 : 1.6, dash: row.dash }, marker: { symbol: row.mark, size: 7 },
          hovertemplate: `<b>${row.label}</b><br>%{x:.4~s}: %{y:.4~g}<extra></extra>`,
        });
      }
      const scale = (button) => ({ type: pressed(button) ? "log" : "linear" });
      draw(element, { data, layout: {
        ...layout, xaxis: { ...layout.xaxis, ...scale(logs.x), title: axes[axis.value] },
        yaxis: { ...layout.yaxis, ...scale(logs.y), title: metrics[metric.value].title },
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
