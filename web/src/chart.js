// chart.js: cost by day as bars, drawn by uPlot. A drawing is for the eye only: the same numbers stand in a table beside it.

import uPlot from 'uplot';
import { money } from './format.js';

const DAY_S = 86400;
const HEIGHT_PX = 240;
const BAR = { size: [0.4, 28] }; // of the room that a day has, and pixels at most
const STEPS_S = [1, 2, 3, 5, 7, 14, 28, 56, 91].map((days) => days * DAY_S); // between the days that are named
const dayName = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });

/** A colour as the style sheet gives it now, light or dark. */
const colour = (node, property) => getComputedStyle(node)[property];

export class DayChart {
  #node;
  #swatches;
  #plot = null;
  #days = [];

  /** `swatches` are two elements whose backgrounds are the colours of the two rows of bars. */
  constructor(node, swatches) {
    this.#node = node;
    this.#swatches = swatches;
    new ResizeObserver(() => {
      if (node.clientWidth > 0) this.#plot?.setSize({ width: node.clientWidth, height: HEIGHT_PX });
    }).observe(node);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
  }

  /** `days`: [{ key: "2026-11-29", cost_here, cost_there }], without gaps, in order */
  show(days) {
    this.#days = days;
    this.draw();
  }

  draw() {
    this.#plot?.destroy();
    this.#plot = null;
    if (this.#days.length === 0 || this.#node.clientWidth === 0) return;
    const [here, there] = this.#swatches.map((s) => colour(s, 'backgroundColor'));
    const ink = colour(this.#node, 'color');
    const line = colour(this.#node, 'borderTopColor');
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const bars = (label, fill, align) => ({ label, fill, stroke: fill, width: 0, points: { show: false }, paths: uPlot.paths.bars({ ...BAR, align }) });
    this.#plot = new uPlot({
      width: this.#node.clientWidth,
      height: HEIGHT_PX,
      tzDate: (s) => uPlot.tzDate(new Date(s * 1000), 'Etc/UTC'), // a key is a date, at no hour and in no zone
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { range: (_, min, max) => [min - DAY_S / 2, max + DAY_S / 2] },
        y: { range: (_, min, max) => [Math.min(0, min), max > 0 ? max * 1.05 : 1] },
      },
      axes: [
        { ...axis, grid: { show: false }, incrs: STEPS_S, values: (_, values) => values.map((s) => dayName.format(s * 1000)) },
        { ...axis, size: 76, values: (_, values) => values.map((v) => money(v)) },
      ],
      series: [{}, bars('here', here, -1), bars('there', there, 1)],
    }, [
      this.#days.map((d) => Date.parse(`${d.key}T00:00:00Z`) / 1000),
      this.#days.map((d) => d.cost_here),
      this.#days.map((d) => d.cost_there),
    ], this.#node);
  }
}
