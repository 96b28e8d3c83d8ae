"use strict";
// The charts, their legends, the theme, the slider over epochs, and the table that sorts. All text is set as text.
(function () {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const root = document.documentElement;
  const drawn = new Set();
  const hidden = {}; // name of a chart -> names of lines that are switched off
  // As in `plots.MARKERS`: plotly's name, and the outline for the legend.
  const MARKERS = [
    ["circle", "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0"], ["square", "M-4.5,-4.5h9v9h-9z"],
    ["diamond", "M0,-6l6,6l-6,6l-6,-6z"], ["triangle-up", "M0,-5.5l6,10h-12z"],
    ["triangle-down", "M0,5.5l6,-10h-12z"], ["cross", "M-2,-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z"],
    ["star", "M0,-6l1.5,4h4.2l-3.4,2.6l1.3,4.1l-3.6,-2.5l-3.6,2.5l1.3,-4.1l-3.4,-2.6h4.2z"],
    ["x", "M-4,-6l4,4l4,-4l2,2l-4,4l4,4l-2,2l-4,-4l-4,4l-2,-2l4,-4l-4,-4z"],
  ];

  const style = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const list = (name) => style(name).split(",").map((word) => word.trim());
  const numberOf = (line) => (line.order ? line.order[0] : line.series);
  const place = (name) => document.getElementById("chart-" + name);

  function colourOf(line) {
    if (line.order) {
      const stops = list("--order");
      return stops[Math.round((line.order[0] * (stops.length - 1)) / Math.max(1, line.order[1] - 1))];
    }
    const series = list("--series");
    return line.series === null ? style("--soft") : series[line.series % series.length];
  }

  const isMarked = (line) => numberOf(line) !== null && (!["dash", "dot"].includes(line.dash) || Boolean(line.low));
  const isRing = (line) => numberOf(line) === null && line.dash === "none";

  function traceOf(line, name, frame) {
    const colour = colourOf(line);
    const number = numberOf(line);
    const found = {
      x: line.x,
      y: line.frames ? line.frames[frame] : line.y,
      name: line.name,
      mode: line.dash === "none" ? "markers" : isMarked(line) ? "lines+markers" : "lines",
      visible: !(hidden[name] || new Set()).has(line.name),
      opacity: line.faint ? 0.4 : 1,
      line: { color: colour, dash: line.dash === "none" ? "solid" : line.dash, width: 2 },
      marker: { color: colour, symbol: MARKERS[(number || 0) % 8][0], size: line.faint ? 5 : 8 },
    };
    if (line.dash !== "none") found.marker.maxdisplayed = 13;
    if (isRing(line)) Object.assign(found.marker, { symbol: "circle-open", size: 15, line: { width: 1.5 } });
    if (line.low) {
      const gap = (high, low) => high.map((value, k) => (value === null || low[k] === null ? null : value - low[k]));
      found.error_y = { symmetric: false, array: gap(line.high, line.y), arrayminus: gap(line.y, line.low), color: colour };
    }
    return found;
  }

  function axisOf(axis) {
    const found = {
      gridcolor: style("--line"), zerolinecolor: style("--line"), linecolor: style("--line"), automargin: true,
    };
    const scaled = (value) => (axis.log ? Math.log10(value) : value);
    // Powers of ten; over less than two decades 2 and 5 of each as well, as in `plots.log_axis`.
    let ticks = axis.ticks;
    if (axis.log) Object.assign(found, { type: "log", exponentformat: "power" });
    if (axis.log && axis.high !== null && axis.high < 100 * axis.low) {
      const first = Math.floor(Math.log10(axis.low));
      ticks = [0, 1, 2].flatMap((k) => [1, 2, 5].map((m) => Number(m + "e" + (first + k))));
    }
    if (axis.log && !ticks && axis.low !== null && axis.high !== null) {
      found.dtick = Math.max(1, Math.ceil(Math.log10(axis.high / axis.low) / 8));
    }
    if (ticks) Object.assign(found, { tickvals: ticks, ticktext: ticks.map(String) });
    if (axis.low !== null && axis.high !== null) found.range = [scaled(axis.low), scaled(axis.high)];
    else if (axis.low === 0) found.rangemode = "tozero";
    return found;
  }

  function layoutOf(panel) {
    const shapes = panel.padding
      ? [{ type: "rect", x0: panel.padding[0], x1: panel.padding[1], y0: 0, y1: 1, yref: "paper", layer: "below", line: { width: 0 }, fillcolor: style("--panel") }]
      : [];
    const words = panel.padding
      ? [{ text: "padding", x: 1, y: 0, xref: "paper", yref: "paper", xanchor: "right", yanchor: "bottom", showarrow: false, font: { color: style("--soft") } }]
      : [];
    return {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: style("--ink"), family: "system-ui, sans-serif", size: 13 },
      margin: { l: 44, r: 14, t: 8, b: 30 },
      xaxis: axisOf(panel.x),
      yaxis: axisOf(panel.y),
      shapes,
      annotations: words,
      showlegend: false,
      hovermode: "closest",
      hoverlabel: { namelength: -1 },
    };
  }

  function element(parent, kind, className, text) {
    const found = document.createElement(kind);
    found.className = className;
    if (text) found.textContent = text;
    parent.append(found);
    return found;
  }

  // A box per panel, its titles as text beside the plot, where they wrap and are never cut off; then the legend.
  function build(name) {
    const chart = charts[name];
    const box = place(name);
    box.replaceChildren();
    box.classList.add("live", chart.panels.length > 1 ? "several" : "one");
    for (const panel of chart.panels) {
      const own = element(box, "div", "panel");
      if (panel.title) element(own, "h4", "", panel.title);
      element(own, "div", "y soft", panel.y.title);
      element(own, "div", "plot");
      element(own, "div", "x soft", panel.x.title);
    }
    const legend = element(box, "div", "legend");
    if (chart.legend) element(legend, "span", "soft", chart.legend);
    const lines = chart.panels.flatMap((panel) => panel.lines).filter((line) => line.name && !line.faint);
    for (const line of new Map(lines.map((one) => [one.name, one])).values()) {
      const button = element(legend, "button", "", "");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.append(keyOf(line), line.name);
      button.addEventListener("click", () => {
        const off = (hidden[name] = hidden[name] || new Set());
        const shown = off.delete(line.name) || !off.add(line.name);
        button.setAttribute("aria-pressed", String(shown));
        draw(name);
      });
    }
  }

  // The line and the marker of a legend's entry; their colour is set in `draw`, as it changes with the theme.
  function keyOf(line) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [name, value] of [["viewBox", "-15 -8 30 16"], ["width", "30"], ["height", "16"], ["aria-hidden", "true"]]) {
      svg.setAttribute(name, value);
    }
    const add = (d, stroke) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", d);
      if (stroke) path.setAttribute("stroke-dasharray", { dash: "6 4", dot: "2 3" }[line.dash] || "");
      for (const name of ["stroke", "fill"]) path.setAttribute(name, (name === "stroke") === stroke ? "currentColor" : "none");
      path.setAttribute("stroke-width", stroke ? "2" : "0");
      svg.append(path);
    };
    if (line.dash !== "none") add("M-15,0H15", true);
    if (isMarked(line)) add(MARKERS[numberOf(line) % 8][1], false);
    if (isRing(line)) add("M-7,0a7,7 0 1,0 14,0a7,7 0 1,0 -14,0z", true);
    svg.line = line;
    return svg;
  }

  function draw(name) {
    if (!drawn.has(name)) build(name);
    drawn.add(name);
    const slider = document.getElementById("epoch-" + name);
    const frame = slider ? Number(slider.value) : 0;
    place(name).querySelectorAll(".legend svg").forEach((svg) => (svg.style.color = colourOf(svg.line)));
    place(name).querySelectorAll(".plot").forEach((plot, k) => {
      const panel = charts[name].panels[k];
      const traces = panel.lines.map((line) => traceOf(line, name, frame));
      const size = root.classList.contains("paper") ? { width: plot.clientWidth, height: plot.clientHeight } : {};
      Plotly.react(plot, traces, { ...layoutOf(panel), ...size }, { displayModeBar: false, responsive: true });
    });
  }

  function setUp(name) {
    const slider = document.getElementById("epoch-" + name);
    if (!slider) return;
    const say = () => {
      const epoch = charts[name].epochs[Number(slider.value)];
      const text = epoch === 0 ? "before training" : "after epoch " + epoch;
      slider.setAttribute("aria-valuetext", text);
      document.getElementById("said-" + name).textContent = text;
    };
    slider.addEventListener("input", () => { say(); draw(name); });
    say();
    document.getElementById("controls-" + name).hidden = false;
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
  const turn = (name) => {
    root.dataset.theme = name;
    drawn.forEach(draw);
  };
  theme.hidden = false;
  theme.addEventListener("click", () => turn(style("--page") === "#ffffff" ? "dark" : "light"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach(draw));

  // Charts are drawn when they come near, so that a long page opens fast; all of them, in ink, before printing.
  const names = Object.keys(charts).filter(place);
  names.forEach(setUp);
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      near.unobserve(entry.target);
      draw(entry.target.id.slice("chart-".length));
    }
  }, { rootMargin: "400px" });
  names.forEach((name) => near.observe(place(name)));
  let before = null;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme || "";
    document.querySelectorAll("details").forEach((one) => (one.open = true));
    root.classList.add("paper");  // a chart that is drawn keeps its size
    names.forEach(draw);
    turn("light");
  });
  addEventListener("afterprint", () => {
    root.classList.remove("paper");
    turn(before);
    document.querySelectorAll(".plot").forEach((plot) => Plotly.relayout(plot, { autosize: true }));
  });
})();
