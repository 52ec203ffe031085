// settings.js: what a conversation asks of the model beyond its messages. One row is one setting; a row's key is the field of the request that it becomes.
// What is left empty is not sent, and the server's own default holds.

import { el } from './dom.js';

const number = (min, max, step) => ({
  input: (id) => el('input', { id, type: 'number', min, max, step, inputmode: step === 1 ? 'numeric' : 'decimal' }),
  read: (node) => {
    if (node.validity.badInput || !node.checkValidity()) throw new Error(`between ${min} and ${max}${step === 1 ? ', without a fraction' : ''}`);
    return node.value === '' ? undefined : Number(node.value);
  },
  show: (value) => (Number.isFinite(value) ? String(value) : ''),
});

const choice = (options) => ({
  input: (id) => el('select', { id }, ...['', ...options].map((o) => el('option', { value: o }, o || 'as the server has it'))),
  read: (node) => node.value || undefined,
  show: (value) => (options.includes(value) ? value : ''),
});

const lines = (rows, read, show) => ({ input: (id) => el('textarea', { id, rows, spellcheck: 'false' }), read: (node) => read(node.value), show });

function readTools(text) {
  if (text.trim() === '') return undefined;
  let tools;
  try {
    tools = JSON.parse(text);
  } catch (e) {
    throw new Error(`JSON, which this is not: ${e.message}`);
  }
  if (!Array.isArray(tools) || !tools.every((t) => t?.type === 'function' && typeof t.function?.name === 'string')) {
    throw new Error('a list of {"type": "function", "function": {"name": …}}');
  }
  return tools.length ? tools : undefined;
}

const SEED_MAX = 2 ** 31 - 1;

const ROWS = [
  ['system', 'System prompt', lines(3, (t) => t || undefined, (v) => (typeof v === 'string' ? v : '')), 'wide'],
  ['temperature', 'Temperature', number(0, 5, 'any')],
  ['top_p', 'Top p', number(0, 1, 'any')],
  ['top_k', 'Top k', number(0, 1000000, 1)],
  ['min_p', 'Min p', number(0, 1, 'any')],
  ['presence_penalty', 'Presence penalty', number(-2, 2, 'any')],
  ['frequency_penalty', 'Frequency penalty', number(-2, 2, 'any')],
  ['max_completion_tokens', 'Most tokens', number(1, 10000000, 1)],
  ['seed', 'Seed', number(0, SEED_MAX, 1)],
  ['reasoning_effort', 'Reasoning', choice(['none', 'low', 'medium', 'high'])],
  ['stop', 'Stop at (one text a line)', lines(2, (t) => { const s = t.split('\n').filter(Boolean); return s.length ? s : undefined; }, (v) => (v ?? []).join('\n')), 'wide'],
  ['tools', 'Tools (JSON, as in the API)', lines(3, readTools, (v) => (v ? JSON.stringify(v, null, 1) : '')), 'wide'],
];

export class Settings {
  #nodes = new Map();

  /** Fills the form; `changed(settings)` is called when the person has changed something and all of it makes sense. */
  constructor(form, changed) {
    form.addEventListener('submit', (event) => event.preventDefault());
    for (const [key, label, kind, wide] of ROWS) {
      const node = kind.input(`setting-${key}`);
      const error = el('p', { id: `setting-${key}-error`, class: 'error', hidden: true });
      node.setAttribute('aria-describedby', error.id);
      node.addEventListener('change', () => {
        const { settings, good } = this.#read();
        if (good) changed(settings);
      });
      form.append(el('div', { class: wide ? 'field wide-field' : 'field' }, el('label', { for: node.id }, label), node, error));
      this.#nodes.set(key, { node, error, kind });
    }
  }

  /** The settings that make sense, and whether all do. */
  #read() {
    const settings = {};
    let good = true;
    for (const [key, { node, error, kind }] of this.#nodes) {
      let wrong = '';
      try {
        const value = kind.read(node);
        if (value !== undefined) settings[key] = value;
      } catch (e) {
        wrong = `This must be ${e.message}.`;
        good = false;
      }
      error.hidden = !wrong;
      error.textContent = wrong;
      node.setAttribute('aria-invalid', String(wrong !== ''));
    }
    return { settings, good };
  }

  /** Shows settings, and returns what of them makes sense: those of an imported file may be anything. */
  show(settings) {
    for (const [key, { node, kind }] of this.#nodes) {
      let text = '';
      try {
        text = kind.show(settings[key]);
      } catch {
        // not of the kind that it should be
      }
      node.value = text;
    }
    return this.#read().settings;
  }
}
