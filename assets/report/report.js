// The page's own program: draws the charts from the result that the page carries, and serves its buttons.
(() => {
  "use strict";
  // RFC 1951, as short as it can be said: the result stands in the page deflated, which takes a quarter of the room.
  const inflate = (input, size) => {
    const out = new Uint8Array(size);
    let [at, end, held, kept] = [0, 0, 0, 0];
    const bits = (n) => {
      for (; kept < n; kept += 8) held |= input[at++] << kept;
      const value = held & ((1 << n) - 1);
      held >>>= n;
      kept -= n;
      return value;
    };
    // A canonical Huffman code is known by how many codes have each length, and by the symbols in the order of their codes.
    const code = (lengths) => {
      const counts = new Array(16).fill(0);
      lengths.forEach((n) => counts[n]++);
      counts[0] = 0;
      const symbols = lengths.map((n, symbol) => [n, symbol]).filter(([n]) => n).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      return { counts, symbols: symbols.map(([, symbol]) => symbol) };
    };
    const symbol = ({ counts, symbols }) => {
      for (let [word, first, index, n] = [0, 0, 0, 1]; n < 16; n++) {
        word |= bits(1);
        if (word - first < counts[n]) return symbols[index + word - first];
        index += counts[n];
        first = (first + counts[n]) << 1;
        word <<= 1;
      }
      throw new Error("the result in this page is damaged");
    };
    const run = (n, length) => new Array(n).fill(length);
    const fixed = () => [code([...run(144, 8), ...run(112, 9), ...run(24, 7), ...run(8, 8)]), code(run(30, 5))];
    const dynamic = () => {
      const [literals, distances, n] = [bits(5) + 257, bits(5) + 1, bits(4) + 4];
      const small = run(19, 0);
      [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].slice(0, n).forEach((i) => { small[i] = bits(3); });
      const lengths = [];
      for (const own = code(small); lengths.length < literals + distances;) {
        const word = symbol(own);
        if (word < 16) lengths.push(word);
        else if (word === 16) lengths.push(...run(bits(2) + 3, lengths.at(-1)));
        else lengths.push(...run(word === 17 ? bits(3) + 3 : bits(7) + 11, 0));
      }
      return [code(lengths.slice(0, literals)), code(lengths.slice(literals))];
    };
    const copy = (literal, distances) => {
      const extra = literal < 265 || literal === 285 ? 0 : (literal - 261) >> 2;
      const length = literal === 285 ? 258 : literal < 265 ? literal - 254 : (((literal - 265) % 4 + 4) << extra) + 3 + bits(extra);
      const far = symbol(distances);
      const more = far < 4 ? 0 : (far >> 1) - 1;
      const back = far < 4 ? far + 1 : ((2 + (far & 1)) << more) + 1 + bits(more);
      for (let i = 0; i < length; i++, end++) out[end] = out[end - back];
    };
    for (let last = 0; !last;) {
      last = bits(1);
      const kind = bits(2);
      if (kind === 0) {
        held = kept = 0;
        const length = input[at] | (input[at + 1] << 8);
        out.set(input.subarray(at + 4, at + 4 + length), end);
        at += 4 + length;
        end += length;
        continue;
      }
      const [literals, distances] = kind === 1 ? fixed() : dynamic();
      for (let word = symbol(literals); word !== 256; word = symbol(literals)) {
        if (word < 256) out[end++] = word;
        else copy(word, distances);
      }
    }
    return out;
  };
  // Once read, the element holds the result as plain JSON, for other programs in the page and for a saved copy of it.
  const carrier = document.getElementById("result");
  if (carrier.dataset.size) {
    const packed = Uint8Array.from(atob(carrier.textContent), (letter) => letter.charCodeAt(0));
    carrier.textContent = new TextDecoder().decode(inflate(packed, Number(carrier.dataset.size)));
    delete carrier.dataset.size;
  }
  const source = carrier.textContent;
  const result = JSON.parse(source);
  const root = document.documentElement;
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };

  // Colours stand in the style sheet, for light and dark; a canvas needs them resolved.
  const probe = make("span", { hidden: "" });
  document.body.append(probe);
  let palette = new Map();
  const colour = (name) => {
    if (!palette.has(name)) {
      probe.style.color = `var(${name})`;
      palette.set(name, getComputedStyle(probe).color);
    }
    return palette.get(name);
  };
  const faint = (text, alpha) => text.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);

  const digits = (value, significant) => {
    if (value === 0) return "0";
    const places = Math.max(0, significant - 1 - Math.floor(Math.log10(Math.abs(value))));
    return value.toLocaleString("en-US", { maximumFractionDigits: Math.min(places, 12) });
  };
  const plain = (value) => (value == null ? "–" : digits(value, 3));
  const seconds = (value) => {
    if (value == null) return "–";
    const size = Math.abs(value);
    if (size >= 7200) return digits(value / 3600, 3) + " h";
    if (size >= 100) {
      const whole = Math.round(value);
      return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, "0")}s`;
    }
    if (size >= 1 || size === 0) return digits(value, 3) + " s";
    return size >= 1e-3 ? digits(value * 1e3, 3) + " ms" : digits(value * 1e6, 3) + " µs";
  };

  // What each kind of chart shows: lines over one time axis, with the way their values are said.
  const perSecond = (values, bucket) => values.map((n) => n / bucket);
  const hue = (i) => `--c${i % 8}`;
  const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
  const together = (tables) => uPlot.join(tables);
  const compare = (lines) => {
    const tables = result.designs.map((design, i) => [design.series.t, ...lines(design, i).map((l) => l.values)]);
    const joined = together(tables);
    let at = 1;
    const all = [];
    result.designs.forEach((design, i) => {
      for (const line of lines(design, i)) all.push({ ...line, values: joined[at++] });
    });
    return { t: joined[0], lines: all };
  };
  const kinds = {
    "compare-ok": () => ({
      ...compare((design, i) => [{
        name: design.name, colour: hue(i), dash: dashes[i % 4], values: perSecond(design.series.ok, design.series.bucket),
      }]),
      say: plain, unit: "per s",
    }),
    "compare-latency": () => ({
      ...compare((design, i) => [
        { name: design.name, colour: hue(i), dash: dashes[i % 4], values: design.series.latency_p50 },
        { name: `${design.name}, p95`, colour: hue(i), thin: true, upTo: true, values: design.series.latency_p95 },
      ]),
      say: seconds, log: true, joined: true,
    }),
    outcomes: (design) => {
      const s = design.series;
      // A burst that starts in one instant would flatten all else; its peak stands in the caption.
      const rates = perSecond(s.started, s.bucket).sort((a, b) => a - b);
      const usual = Math.max(rates[Math.floor(rates.length * 0.97)] || 0, ...perSecond(s.ok, s.bucket), ...perSecond(s.failed, s.bucket));
      return {
        t: s.t, say: plain, unit: "per s", markers: true, top: usual,
        lines: [
          { name: "started", colour: "--c6", dash: [4, 3], values: perSecond(s.started, s.bucket) },
          { name: "ok", colour: "--c2", fill: true, values: perSecond(s.ok, s.bucket) },
          ...s.failed_by.map((by, i) => ({
            name: `${by.cause.replaceAll("_", " ")} at ${by.node}`, colour: ["--fail", "--c1", "--c3", "--c5", "--c4"][i % 5],
            dash: dashes[i % 4], fill: true, values: perSecond(by.count, s.bucket),
          })),
        ],
      };
    },
    latency: (design) => ({
      t: design.series.t, say: seconds, log: true, markers: true,
      lines: [
        { name: "median", colour: "--c0", values: design.series.latency_p50 },
        { name: "p95", colour: "--c0", thin: true, upTo: true, values: design.series.latency_p95 },
        { name: "mean", colour: "--c1", dash: [4, 3], values: design.series.latency_mean },
      ],
    }),
    gauge: (design, gauge) => {
      const g = design.series.gauges[gauge];
      const high = Math.max(...g.max);
      const lines = [
        { name: "mean", colour: "--c0", values: g.mean },
        { name: "most in any replication", colour: "--c0", thin: true, upTo: true, values: g.max },
      ];
      // A limit far above the level would flatten the chart; the caption says it.
      if (g.limit != null && high >= 0.2 * g.limit) {
        lines.push({ name: "limit", colour: "--fail", dash: [6, 4], values: g.max.map(() => g.limit) });
      }
      return { t: design.series.t, say: plain, lines, small: true, markers: true };
    },
  };

  const charts = [];
  let zooming = false;
  const zoom = (chart, from, to) => {
    if (zooming) return;
    zooming = true;
    for (const other of charts) {
      if (other.group === chart.group) other.plot.setScale("x", { min: from, max: to });
    }
    zooming = false;
  };

  const options = (chart, width) => {
    const { spec } = chart;
    const axis = {
      stroke: () => colour("--soft"), font: "12px system-ui, sans-serif",
      grid: { stroke: () => faint(colour("--line"), 0.6), width: 1 }, ticks: { stroke: () => colour("--line"), width: 1 },
    };
    const bands = [];
    spec.lines.forEach((line, i) => {
      if (line.upTo) bands.push({ series: [i + 1, i], fill: () => faint(colour(line.colour), 0.16) });
    });
    return {
      width, height: spec.small ? 170 : 270, legend: { show: false }, bands,
      cursor: { sync: { key: chart.group }, drag: { x: true, y: false, dist: 6 }, points: { size: 6 } },
      scales: { x: { time: false }, y: spec.log ? { distr: 3, log: 10, range: (_, low, high) => [roundDown(low), high * 1.25] } : { range: (_, low, high) => [0, Math.min(high || 1, spec.top || Infinity) * 1.08] } },
      axes: [
        { ...axis, values: (_, splits) => splits.map(seconds), space: 60, size: 30 },
        {
          ...axis, size: 64,
          values: (_, splits) => splits.map((v) => (v == null ? "" : spec.say === seconds ? seconds(v) : digits(v, 3))),
          ...(spec.log ? { filter: logTicks, grid: { ...axis.grid, filter: logTicks }, ticks: { ...axis.ticks, filter: logTicks } } : {}),
        },
      ],
      series: [{}, ...spec.lines.map((line) => ({
        label: line.name, stroke: () => line.thin ? faint(colour(line.colour), 0.55) : colour(line.colour),
        width: line.thin ? 1 : 2, dash: line.dash, points: { show: false }, spanGaps: false,
        fill: line.fill ? () => faint(colour(line.colour), 0.14) : undefined,
      }))],
      hooks: {
        setCursor: [() => read(chart)],
        setScale: [(plot, key) => { if (key === "x" && !zooming) zoom(chart, plot.scales.x.min, plot.scales.x.max); }],
        draw: [(plot) => drawMarkers(chart, plot)],
      },
    };
  };
  // On a logarithmic axis: powers of ten, and 2 and 5 where few powers are in sight.
  const logTicks = (_, splits) => {
    const lead = (v) => Number((v / 10 ** Math.floor(Math.log10(v) + 1e-9)).toFixed(6));
    const powers = splits.filter((v) => lead(v) === 1).length;
    return splits.map((v) => (lead(v) === 1 || (powers < 3 && (lead(v) === 2 || lead(v) === 5)) ? v : null));
  };

  // Moments of the story as numbered lines; the numbers are those of the list above the charts.
  const drawMarkers = (chart, plot) => {
    const story = chart.spec.markers && chart.design && chart.design.story;
    if (!story) return;
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = faint(colour("--text"), 0.45);
    ctx.fillStyle = colour("--text");
    ctx.setLineDash([2, 3]);
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    let last = -Infinity;
    story.forEach((moment, i) => {
      const x = Math.round(plot.valToPos(moment.at, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) return;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      if (x - last > 14 * devicePixelRatio) {
        ctx.fillText(String(i + 1), x + 3 * devicePixelRatio, bbox.top + 11 * devicePixelRatio);
        last = x;
      }
    });
    ctx.restore();
  };

  const read = (chart) => {
    if (!chart.plot) return;
    const { idx } = chart.plot.cursor;
    chart.buttons.forEach((button, i) => {
      const value = idx == null ? null : chart.plot.data[i + 1][idx];
      button.lastChild.textContent = idx == null || value == null ? "" : chart.spec.say(value);
    });
  };
  const readAloud = (chart) => {
    const { idx } = chart.plot.cursor;
    if (idx == null) return;
    const values = chart.spec.lines
      .map((line, i) => [line.name, chart.plot.data[i + 1][idx]])
      .filter(([, value]) => value != null)
      .map(([name, value]) => `${name} ${chart.spec.say(value)}`);
    chart.readout.textContent = `At ${seconds(chart.plot.data[0][idx])}: ${values.join(", ") || "no value"}`;
  };

  const move = (chart, step) => {
    const { plot } = chart;
    const t = plot.data[0];
    const { min, max } = plot.scales.x;
    const first = t.findIndex((v) => v >= min);
    const from = plot.cursor.idx == null ? first : plot.cursor.idx + step;
    const idx = Math.max(first, Math.min(from, t.findLastIndex((v) => v <= max)));
    plot.setCursor({ left: plot.valToPos(t[idx], "x"), top: plot.over.clientHeight / 2 });
    readAloud(chart);
  };
  const scale = (chart, factor) => {
    const { plot } = chart;
    const t = plot.data[0];
    const { min, max } = plot.scales.x;
    const at = plot.cursor.idx == null ? (min + max) / 2 : t[plot.cursor.idx];
    const half = ((max - min) * factor) / 2;
    zoom(chart, Math.max(t[0], at - half), Math.min(t.at(-1), at + half));
  };
  const reset = (chart) => zoom(chart, chart.plot.data[0][0], chart.plot.data[0].at(-1));
  const keys = {
    ArrowLeft: (chart) => move(chart, -1), ArrowRight: (chart) => move(chart, 1),
    PageUp: (chart) => move(chart, -20), PageDown: (chart) => move(chart, 20),
    Home: (chart) => move(chart, -1e9), End: (chart) => move(chart, 1e9),
    "+": (chart) => scale(chart, 0.5), "=": (chart) => scale(chart, 0.5), "-": (chart) => scale(chart, 2), 0: reset,
  };

  const dataTable = (chart) => {
    const head = make("tr", {}, make("th", { scope: "col" }, "Time"));
    for (const line of chart.spec.lines) {
      head.append(make("th", { scope: "col" }, line.name + (chart.spec.unit ? `, ${chart.spec.unit}` : "")));
    }
    const body = make("tbody");
    chart.data[0].forEach((t, row) => {
      const cells = chart.data.slice(1).map((column) => make("td", { class: "figure" }, chart.spec.say(column[row])));
      body.append(make("tr", {}, make("th", { scope: "row" }, seconds(t)), ...cells));
    });
    return make("table", {}, make("caption", {}, chart.title), make("thead", {}, head), body);
  };

  const legend = (chart) => {
    const list = make("div", { class: "legend", role: "group", "aria-label": `Lines of ${chart.title}` });
    chart.buttons = chart.spec.lines.map((line, i) => {
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.borderTopColor = `var(${line.colour})`;
      swatch.style.borderTopStyle = line.dash && line.dash.length ? "dashed" : "solid";
      if (line.thin) swatch.style.opacity = "0.55";
      const button = make("button", { type: "button", "aria-pressed": "true" }, swatch, line.name, make("span"));
      button.addEventListener("click", () => {
        const show = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(show));
        chart.plot.setSeries(i + 1, { show });
      });
      list.append(button);
      return button;
    });
    return list;
  };

  const zoomButtons = (chart) => {
    const box = make("div", { class: "legend zoom", role: "group", "aria-label": `Zoom of ${chart.title}` });
    for (const [text, label, act] of [["+", "Zoom in", () => scale(chart, 0.5)], ["−", "Zoom out", () => scale(chart, 2)], ["All", "Show all", () => reset(chart)]]) {
      const button = make("button", { type: "button", "aria-label": label }, text);
      button.addEventListener("click", act);
      box.append(button);
    }
    return box;
  };

  const build = (figure) => {
    const { chart: kind, design, gauge, title } = figure.dataset;
    const of = design == null ? null : result.designs[design];
    const spec = kinds[kind](of, Number(gauge));
    const chart = { spec, title, design: of, group: of ? `design-${design}` : "all", data: [spec.t, ...spec.lines.map((l) => l.values)] };
    const box = make("div", {
      class: "plot", tabindex: "0", role: "group", "aria-roledescription": "chart", "aria-label": title, "aria-keyshortcuts": "ArrowLeft ArrowRight + - 0",
    });
    chart.readout = make("output", { class: "readout", "aria-live": "polite" });
    const table = make("details", { class: "data", "aria-label": `Data of ${title}` }, make("summary", {}, "Data as a table"));
    table.addEventListener("toggle", () => {
      if (table.open && table.childElementCount === 1) {
        table.append(make("div", { class: "frame", role: "region", tabindex: "0", "aria-label": `Data of ${title}` }, dataTable(chart)));
      }
    });
    const foot = make("div", { class: "foot" });
    if (!spec.small) foot.append(zoomButtons(chart));
    foot.append(chart.readout);
    figure.append(legend(chart), box, foot, table);
    chart.plot = new uPlot(options(chart, box.clientWidth || 320), chart.data, box);
    chart.box = box;
    charts.push(chart);
    box.addEventListener("keydown", (event) => {
      const act = keys[event.key];
      if (act && !event.ctrlKey && !event.altKey && !event.metaKey) {
        event.preventDefault();
        act(chart);
      }
    });
    new ResizeObserver(() => fit(chart)).observe(box);
  };
  const fit = (chart, width = chart.box.clientWidth) => {
    if (width > 0 && width !== chart.plot.width) chart.plot.setSize({ width, height: chart.plot.height });
  };
  const repaint = () => {
    palette = new Map();
    charts.forEach((chart) => chart.plot.redraw(false, true));
  };

  const themes = [["", "Theme: as the system"], ["light", "Theme: light"], ["dark", "Theme: dark"]];
  let theme = 0;
  const show = (name) => {
    if (name) root.dataset.theme = name;
    else delete root.dataset.theme;
    repaint();
  };
  document.getElementById("theme").addEventListener("click", (event) => {
    theme = (theme + 1) % themes.length;
    event.currentTarget.textContent = themes[theme][1];
    show(themes[theme][0]);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  addEventListener("beforeprint", () => show("light"));
  addEventListener("afterprint", () => show(themes[theme][0]));
  document.getElementById("print").addEventListener("click", () => print());
  document.getElementById("download").addEventListener("click", (event) => {
    const url = URL.createObjectURL(new Blob([source], { type: "application/json" }));
    make("a", { href: url, download: event.currentTarget.dataset.name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  });
  document.querySelector(".tools").hidden = false;
  document.querySelectorAll("figure[data-chart]").forEach(build);
})();
/** The next of 1, 2 and 5 times a power of ten below a value: where a logarithmic axis begins. From a number in between, such as
 * 0.095, uPlot looks for ever for the next tick. */
function roundDown(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [5, 2, 1].find((step) => step * power <= value * (1 + 1e-9));
}

