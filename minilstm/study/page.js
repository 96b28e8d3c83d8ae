"use strict";
// The charts, the theme, the slider over epochs, and the table that sorts. All text is set as text.
(function () {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const drawn = new Map(); // name -> the element plotly draws into

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function colours() {
    return style("--series").split(",").map((word) => word.trim());
  }

  // Colours for an order, from viridis without the end that does not show on the page.
  function ordered(k, count) {
    const stops = style("--order").split(",").map((word) => word.trim());
    return stops[Math.round((k * (stops.length - 1)) / Math.max(1, count - 1))];
  }

  function traceOf(trace, chart) {
    const series = colours();
    const colour =
      trace.order !== undefined ? ordered(trace.order, chart.steps)
      : trace.role === "soft" ? style("--soft")
      : series[Number(trace.role) % series.length];
    const found = {
      x: trace.x,
      y: trace.y,
      name: trace.name,
      mode: trace.mode || (trace.symbol ? "lines+markers" : "lines"),
      type: "scatter",
      connectgaps: false,
      opacity: trace.faint ? 0.4 : 1,
      line: { color: colour, dash: trace.dash || "solid", width: 2 },
      marker: { color: colour, symbol: trace.symbol || "circle", size: trace.faint ? 5 : 8 },
      showlegend: !trace.hide && !trace.faint,
      legendgroup: trace.group || trace.name,
    };
    if (trace.up) {
      found.error_y = { type: "data", symmetric: false, array: trace.up, arrayminus: trace.down, color: colour };
    }
    return found;
  }

  function axisOf(axis) {
    const found = {
      title: { text: axis.title, standoff: 12 },
      gridcolor: style("--line"),
      zerolinecolor: style("--line"),
      linecolor: style("--line"),
      automargin: true,
    };
    if (axis.type) found.type = axis.type;
    if (axis.type === "log") {
      found.exponentformat = "power";
      found.dtick = axis.tickvals ? undefined : 1;
    }
    if (axis.tickvals) {
      found.tickvals = axis.tickvals;
      found.ticktext = axis.tickvals.map(String);
    }
    if (axis.rangemode) found.rangemode = axis.rangemode;
    if (axis.range) found.range = axis.range;
    return found;
  }

  function controlOf(name, kind) {
    return document.getElementById(kind + "-" + name);
  }

  function tracesOf(name) {
    const chart = charts[name];
    const view = controlOf(name, "view");
    const slider = controlOf(name, "epoch");
    const traces = chart.views ? chart.views[view ? Number(view.value) : 0].traces : chart.traces;
    return traces.map((trace) => {
      const found = traceOf(trace, chart);
      if (trace.frames && slider) found.y = trace.frames[Number(slider.value)];
      return found;
    });
  }

  // All epochs and views in one range, so that what moves is the curve and not the axis.
  function rangeOf(chart) {
    const values = chart.views.flatMap((view) => view.traces.flatMap((trace) => trace.frames.flat()));
    const logs = values.filter((value) => value > 0).map(Math.log10);
    return logs.length ? [Math.min(...logs) - 0.2, Math.max(...logs) + 0.2] : undefined;
  }

  function layoutOf(name) {
    const chart = charts[name];
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: style("--ink"), family: "system-ui, sans-serif", size: 14 },
      margin: { l: 60, r: 16, t: 16, b: 96 },
      xaxis: axisOf(chart.x),
      yaxis: axisOf(chart.y),
      legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom" },
      hovermode: "closest",
    };
    if (chart.epochs) layout.yaxis.range = rangeOf(chart);
    return layout;
  }

  function draw(name) {
    const place = document.getElementById("chart-" + name);
    if (!drawn.has(name)) {
      place.replaceChildren();
      place.classList.add("live");
      drawn.set(name, place);
    }
    Plotly.react(place, tracesOf(name), layoutOf(name), { displayModeBar: false, responsive: true });
  }

  function say(name) {
    const chart = charts[name];
    const slider = controlOf(name, "epoch");
    const epoch = chart.epochs[Number(slider.value)];
    const text = epoch === 0 ? "before training" : "after epoch " + epoch;
    slider.setAttribute("aria-valuetext", text);
    controlOf(name, "said").textContent = text;
  }

  function setUp(name) {
    for (const kind of ["view", "epoch"]) {
      const control = controlOf(name, kind);
      if (!control) continue;
      control.addEventListener("input", () => {
        if (kind === "epoch") say(name);
        draw(name);
      });
    }
    if (controlOf(name, "epoch")) say(name);
    const controls = document.getElementById("controls-" + name);
    if (controls) controls.hidden = false;
  }

  // A table whose headings sort it. Entries begin with their number; what has none comes last.
  function sort(table, column, heading) {
    const up = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = Array.from(body.rows).map((row) => {
      const text = row.cells[column].textContent.trim();
      return { row, text, number: parseFloat(text) };
    });
    const numbers = rows.some((entry) => !Number.isNaN(entry.number));
    rows.sort((a, b) => {
      if (!numbers) return (up ? 1 : -1) * a.text.localeCompare(b.text);
      if (Number.isNaN(a.number) || Number.isNaN(b.number)) return Number.isNaN(a.number) - Number.isNaN(b.number);
      return (up ? 1 : -1) * (a.number - b.number);
    });
    body.append(...rows.map((entry) => entry.row));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach((heading, column) => {
      heading.querySelector("button").addEventListener("click", () => sort(table, column, heading));
    });
  }

  const theme = document.getElementById("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const dark = style("--page") !== "#ffffff";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    for (const name of drawn.keys()) draw(name);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const name of drawn.keys()) draw(name);
  });

  // Charts are drawn when they come near, so that a long page opens fast; all of them before printing.
  const names = Object.keys(charts).filter((name) => document.getElementById("chart-" + name));
  names.forEach(setUp);
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      near.unobserve(entry.target);
      draw(entry.target.id.slice("chart-".length));
    }
  }, { rootMargin: "400px" });
  names.forEach((name) => near.observe(document.getElementById("chart-" + name)));
  addEventListener("beforeprint", () => names.forEach((name) => drawn.has(name) || draw(name)));
})();
