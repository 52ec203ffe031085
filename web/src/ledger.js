// ledger.js: the view of what requests cost here and what they would have cost there.

import { byId, el } from './dom.js';
import { json } from './http.js';
import { count, energy, money, percent } from './format.js';
import { DayChart } from './chart.js';

const DAY_MS = 86400000;
const NAMES = { day: 'Day', model: 'Model', client: 'Client' };

const dayKey = (ms) => new Date(ms).toISOString().slice(0, 10);
const today = () => dayKey(Date.now() - new Date().getTimezoneOffset() * 60000); // where the person is

/** One row for each day from the first to the last, also for those on which nothing was asked. */
function withoutGaps(rows, since, until) {
  const known = new Map(rows.map((row) => [row.key, row]));
  const days = [];
  for (let t = Date.parse(since); t <= Date.parse(until) && days.length < 4000; t += DAY_MS) {
    const key = dayKey(t);
    days.push(known.get(key) ?? { key, requests: 0, tokens_in: 0, tokens_cached: 0, tokens_out: 0, kwh: 0, cost_here: 0, cost_there: 0 });
  }
  return days;
}

const total = (rows, field) => rows.reduce((sum, row) => sum + row[field], 0);

function tiles(rows) {
  const here = total(rows, 'cost_here');
  const there = total(rows, 'cost_there');
  const read = total(rows, 'tokens_in');
  return [
    ['Here', money(here)],
    ['There', money(there)],
    ['Saved', money(there - here)],
    ['Requests', count(total(rows, 'requests'))],
    ['Tokens read', `${count(read)}${read ? `, ${percent(total(rows, 'tokens_cached'), read)} cached` : ''}`],
    ['Tokens written', count(total(rows, 'tokens_out'))],
    ['Energy', energy(total(rows, 'kwh'))],
  ].map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)));
}

/** A cost with a bar whose length is its part of the largest. */
function costCell(micro, most, kind) {
  const bar = el('span', { class: `bar-fill ${kind}`, 'aria-hidden': 'true' });
  bar.style.inlineSize = `${most > 0 ? Math.max(0, (100 * micro) / most) : 0}%`;
  return el('td', { class: 'number' }, money(micro), el('span', { class: 'bar-room' }, bar));
}

function fill(table, name, rows) {
  const most = Math.max(0, ...rows.flatMap((r) => [r.cost_here, r.cost_there]));
  const number = (n) => el('td', { class: 'number' }, count(n));
  table.replaceChildren(
    table.caption,
    el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, name),
      ...['Here', 'There', 'Requests', 'Read', 'Cached', 'Written'].map((h) => el('th', { scope: 'col', class: 'number' }, h)),
      el('th', { scope: 'col', class: 'number' }, 'Energy'))),
    el('tbody', {}, ...rows.map((r) => el('tr', {}, el('th', { scope: 'row' }, r.key), costCell(r.cost_here, most, 'here'), costCell(r.cost_there, most, 'there'),
      number(r.requests), number(r.tokens_in), number(r.tokens_cached), number(r.tokens_out), el('td', { class: 'number' }, energy(r.kwh))))),
  );
}

const ENERGY_NOTE = {
  measured: 'Energy was measured by the machine.',
  estimated: 'Energy is estimated: this machine does not measure it.',
  mixed: 'Energy was measured for some requests and estimated for the others.',
};

/** What must be known to read the numbers right. */
function notes({ rows, energy: known, electricity, unpriced, against }) {
  if (rows.length === 0) return ['Nothing was asked of this machine in this time.'];
  return [
    ENERGY_NOTE[known] ?? '',
    electricity ? '' : 'No price of electricity is set: nothing is counted for it here.',
    unpriced ? `${count(unpriced)} requests are missing in the cost there: ${against} had no price yet on their day.` : '',
  ].filter(Boolean);
}

export class Ledger {
  #chart = new DayChart(byId('ledger-chart'), [byId('swatch-here'), byId('swatch-there')]);
  #against = ''; // as the server has it
  #turn = 0; // answers to questions that are no longer asked are not shown

  constructor() {
    byId('ledger-form').addEventListener('submit', (event) => event.preventDefault());
    byId('ledger-since').addEventListener('change', () => this.open());
    byId('ledger-against').addEventListener('change', () => {
      this.#against = byId('ledger-against').value;
      this.open();
    });
  }

  async open() {
    const turn = ++this.#turn;
    const since = dayKey(Date.parse(today()) - (Number(byId('ledger-since').value) - 1) * DAY_MS);
    const ask = (by) => json(`api/ledger?${new URLSearchParams({ by, since, ...(this.#against && { against: this.#against }) })}`);
    try {
      const [day, model, client] = await Promise.all(['day', 'model', 'client'].map(ask));
      if (turn === this.#turn) this.#show(day, model, client);
    } catch (e) {
      if (turn !== this.#turn) return;
      byId('ledger-error').hidden = false;
      byId('ledger-error').textContent = e.status === 404 ? 'This server keeps no ledger.' : e.message;
      byId('ledger-body').hidden = true;
    }
  }

  /** Draws again, in the colours of now. */
  redraw() {
    this.#chart.draw();
  }

  #show(day, model, client) {
    byId('ledger-error').hidden = true;
    byId('ledger-body').hidden = false;
    byId('ledger-against').replaceChildren(...day.prices.map((p) => el('option', { value: p.name }, `${p.name} (${p.dated})`)));
    byId('ledger-against').value = day.against;
    byId('ledger-tiles').replaceChildren(...tiles(day.rows));
    const days = withoutGaps(day.rows, day.since, day.until);
    this.#chart.show(days);
    byId('ledger-chart').setAttribute('aria-label',
      `Cost by day from ${day.since} to ${day.until}: here ${money(total(days, 'cost_here'))}, with ${day.against} ${money(total(days, 'cost_there'))}. The table below has the days.`);
    for (const [by, rows] of [['day', day.rows], ['model', model.rows], ['client', client.rows]]) fill(byId(`ledger-${by}`), NAMES[by], rows);
    byId('ledger-note').textContent = notes(day).join(' ');
  }
}
