// SPDX-License-Identifier: Apache-2.0
// The one chart, by uPlot, which only the view that shows it loads.

import { h } from "./dom.js";

const SERIES = [
  ["dispatched", "Dispatched", "--chart-1"],
  ["answered", "Answered", "--chart-2"],
  ["succeeded", "Succeeded", "--chart-3"],
];

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

let library = null;

function load() {
  library ??= new Promise((resolve, reject) => {
    document.head.append(h("link", { rel: "stylesheet", href: "/page/uPlot.min.css" }));
    document.head.append(
      h("script", {
        src: "/page/uPlot.iife.min.js",
        onload: () => resolve(globalThis.uPlot),
        onerror: () => {
          library = null;
          reject(new Error("The chart could not be loaded."));
        },
      }),
    );
  });
  return library;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(width) {
  const axis = {
    stroke: colour("--muted"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line"), width: 1 },
    font: "12px system-ui",
  };
  return {
    width,
    height: 220,
    cursor: { drag: { x: false, y: false } },
    legend: { live: true },
    scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [
      { ...axis, values: (_, times) => times.map((at) => clock.format(new Date(at * 1000))) },
      { ...axis, size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000] },
    ],
    series: [
      { value: (_, at) => (at === null ? "\u2013" : clock.format(new Date(at * 1000))) },
      ...SERIES.map(([, label, stroke]) => ({ label, stroke: colour(stroke), width: 2, points: { show: false } })),
    ],
  };
}

// Draws series into `place` and again whenever its width or the colours change; answers a function that shows others.
export async function chart(place, signal) {
  const UPlot = await load();
  let plot = null;
  let data = null;
  const build = () => {
    plot?.destroy();
    plot = data && !signal.aborted ? new UPlot(options(place.clientWidth), data, place) : null;
  };
  const sizes = new ResizeObserver(() => {
    if (plot && plot.width !== place.clientWidth) plot.setSize({ width: place.clientWidth, height: 220 });
  });
  sizes.observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", build, { signal });
  signal.addEventListener("abort", () => {
    sizes.disconnect();
    plot?.destroy();
  });
  return (series) => {
    data = [series.t, ...SERIES.map(([name]) => series[name])];
    if (plot) plot.setData(data);
    else build();
  };
}
