// metrics.js: the Prometheus text format, as far as this page reads it.

const LINES_MAX = 20000;
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{.*\})?\s+(\S+)/;

/** name -> the sum of its samples, over all labels */
export function sums(text) {
  const found = new Map();
  for (const line of text.split('\n', LINES_MAX)) {
    const sample = line.startsWith('#') ? null : SAMPLE.exec(line);
    const value = sample ? Number(sample[2]) : NaN;
    if (Number.isFinite(value)) found.set(sample[1], (found.get(sample[1]) ?? 0) + value);
  }
  return found;
}
