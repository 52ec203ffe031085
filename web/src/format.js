// format.js: numbers as people read them.

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const cents = new Intl.NumberFormat('en-US', { style: 'currency', currency: 'USD' });
const small = new Intl.NumberFormat('en-US', { style: 'currency', currency: 'USD', minimumFractionDigits: 0, maximumSignificantDigits: 2 });

export const count = (n) => whole.format(n);

/** 4700000 -> "4.7 MB": decimal units, as the program itself prints them */
export function bytes(n) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let i = 0;
  while (n >= 999.95 && i < units.length - 1) {
    n /= 1000;
    i++;
  }
  return `${i === 0 ? whole.format(n) : n.toFixed(1)} ${units[i]}`;
}

/** micro-dollars -> "$12.34"; what is below a cent keeps two digits that count */
export function money(micro) {
  const dollars = micro / 1e6;
  return dollars !== 0 && Math.abs(dollars) < 0.01 ? small.format(dollars) : cents.format(dollars);
}

export const rate = (tokensPerSecond) => (tokensPerSecond >= 100 ? whole.format(tokensPerSecond) : tokensPerSecond.toFixed(1));

export const percent = (part, all) => (all > 0 ? `${Math.round((100 * part) / all)} %` : '');

/** 0.01234 kWh -> "12.3 Wh" */
export const energy = (kwh) => (kwh >= 1 ? `${kwh.toFixed(2)} kWh` : `${(kwh * 1000).toFixed(kwh < 0.01 ? 2 : 1)} Wh`);

/** seconds -> "3.2 s", "2 min 5 s", "3 h 20 min" */
export function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const s = Math.round(seconds);
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}
