// machine.js: the view of what is loaded, what it occupies, and what is being answered. It asks only while someone looks.

import { byId, el } from './dom.js';
import { json, text } from './http.js';
import { bytes, count, duration, percent, rate } from './format.js';
import { sums } from './metrics.js';

const SLOTS_EVERY_MS = 1000;
const MACHINE_EVERY_MS = 5000;

const tile = (name, value) => el('div', {}, el('dt', {}, name), el('dd', {}, value));

/** Fills the body of a table. Cells are texts; numbers stand on the right. */
function fill(body, rows, none) {
  const columns = body.parentElement.tHead.rows[0].cells;
  const cell = (value, i) => el(i === 0 ? 'th' : 'td', { scope: i === 0 && 'row', class: columns[i].className || null }, value);
  body.replaceChildren(...(rows.length
    ? rows.map((row) => el('tr', {}, ...row.map(cell)))
    : [el('tr', {}, el('td', { colspan: columns.length, class: 'quiet' }, none))]));
}

function tiles(machine, metrics) {
  const { memory } = machine;
  const read = metrics.get('hearth_prompt_tokens_total') ?? 0;
  const cached = metrics.get('hearth_prompt_tokens_cached_total') ?? 0;
  const requests = metrics.get('hearth_requests_total');
  return [
    tile('Hearth occupies', `${bytes(memory.hearth)} of ${bytes(memory.total)}`),
    tile('Free on this machine', bytes(memory.available)),
    tile('Prefix cache in memory', `${bytes(machine.cache.ram_bytes)} of ${bytes(machine.cache.ram_limit)}`),
    ...(machine.cache.disk_limit ? [tile('Prefix cache on disk', `${bytes(machine.cache.disk_bytes)} of ${bytes(machine.cache.disk_limit)}`)] : []),
    ...(requests === undefined ? [] : [tile('Requests', count(requests))]),
    ...(read > 0 ? [tile('Prompt tokens from the cache', `${percent(cached, read)} of ${count(read)}`)] : []),
    tile('Running for', duration(machine.uptime_s)),
  ];
}

const STATES = { queued: 'waits', prompt: 'reads', generating: 'writes' };

const slotRow = (s) => [s.id, s.model, s.client, STATES[s.state] ?? s.state, count(s.tokens_prompt),
  s.tokens_cached ? `${count(s.tokens_cached)} (${percent(s.tokens_cached, s.tokens_prompt)})` : '0', count(s.tokens), rate(s.tokens_per_second)];

export class Machine {
  #timers = [];
  #asking = new Set(); // a server that is slow is not asked again before it has answered
  #errors = new Map();

  /** Begins to ask. */
  open() {
    this.close();
    // Only the first look may ask for a key: a question that comes back every second could not be refused.
    this.#every(MACHINE_EVERY_MS, (ask) => this.#machine(ask));
    this.#every(SLOTS_EVERY_MS, (ask) => this.#slots(ask));
  }

  close() {
    this.#timers.forEach(clearInterval);
    this.#timers = [];
  }

  #every(ms, look) {
    const once = async (ask) => {
      if (this.#asking.has(ms) || document.visibilityState !== 'visible') return;
      this.#asking.add(ms);
      try {
        await look(ask);
        this.#errors.delete(ms);
      } catch (e) {
        this.#errors.set(ms, e.message);
      } finally {
        this.#asking.delete(ms);
        this.#showErrors();
      }
    };
    once(true);
    this.#timers.push(setInterval(once, ms, false));
  }

  #showErrors() {
    const node = byId('machine-error');
    node.hidden = this.#errors.size === 0;
    node.textContent = `What is shown here may be old. ${[...new Set(this.#errors.values())].join(' ')}`;
  }

  async #machine(ask) {
    const [machine, metrics] = await Promise.all([json('api/machine', { ask }), text('metrics', { ask })]);
    byId('machine-tiles').replaceChildren(...tiles(machine, sums(metrics)));
    fill(byId('machine-models'), machine.models.map((m) => [m.name, m.state, bytes(m.bytes_weights), bytes(m.bytes_kv), count(m.context)]), 'None.');
    fill(byId('machine-adapters'), machine.adapters.map((a) => [a.name, a.model, bytes(a.bytes)]), 'None.');
  }

  async #slots(ask) {
    fill(byId('machine-slots'), (await json('slots', { ask })).map(slotRow), 'Nothing is being answered.');
  }
}
