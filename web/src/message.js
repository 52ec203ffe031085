// message.js: one message of a conversation on the page.

import { announce, button, copyButton, el } from './dom.js';
import { Growing, render, spoken } from './markdown.js';
import { count, duration, rate } from './format.js';

const AUTHOR = { user: 'You', assistant: 'Model', tool: 'Tool' };

/** Why an answer ended, where that is not simply that it was finished. */
function ending(message) {
  if (message.error) return message.error;
  if (message.finish === 'stopped') return 'You stopped this answer.';
  if (message.finish === 'length') return 'The answer reached its limit of tokens.';
  if (message.finish === 'content_filter') return 'The server cut this answer off.';
  if (message.finish === null) return 'This answer was cut off when the page was closed.';
  return '';
}

function measures({ usage, seconds }) {
  if (!usage) return '';
  const parts = [`${count(usage.in)} tokens read${usage.cached ? `, ${count(usage.cached)} of them from the cache` : ''}`, `${count(usage.out)} written`];
  if (seconds) {
    parts.push(`first after ${duration(seconds.first)}`);
    const writing = seconds.all - seconds.first;
    if (usage.out > 1 && writing > 0) parts.push(`${rate((usage.out - 1) / writing)} tokens/s`);
  }
  return parts.join(' · ');
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // still coming, or not JSON: shown as it is
  }
}

export class MessageView {
  #message;
  #act;
  #text = el('div', { class: 'text' });
  #thought = document.createTextNode('');
  #summary = el('summary', {}, 'Reasoning');
  #reasoning = el('details', { class: 'reasoning', hidden: true }, this.#summary, el('div', { class: 'thought' }, this.#thought));
  #calls = el('div', { class: 'calls' });
  #note = el('p', { class: 'note', hidden: true });
  #measures = el('span', { class: 'measures' });
  #foot = el('footer', { class: 'foot' }, this.#measures);
  #article;
  #growing = null;
  #callKey = '';

  /** `act` has what buttons do: edit(message, text), retry(message). */
  constructor(message, act) {
    this.#message = message;
    this.#act = act;
    const who = el('h2', { class: 'who' }, message.role === 'assistant' && message.model ? message.model : AUTHOR[message.role]);
    if (message.role === 'tool') who.append(` ${message.name}`);
    this.#article = el('article', {}, who, this.#reasoning, this.#text, this.#calls, this.#note, this.#foot);
    this.node = el('li', { class: `message ${message.role}` }, this.#article);
    if (message.role === 'assistant') {
      this.who = who;
      this.#buttons('Retry', 'changes retry', () => act.retry(message));
    } else if (message.role === 'user') {
      this.#buttons('Edit', 'changes', () => this.#edit());
    }
  }

  #buttons(label, kind, action) {
    const { role } = this.#message;
    this.#foot.append(
      copyButton(role === 'user' ? 'Copy your message' : 'Copy this answer', () => this.#message.content),
      button(label, action, { class: kind, 'aria-label': role === 'user' ? 'Edit your message' : 'Retry this answer' }),
    );
  }

  /** The message as it is when it no longer changes. */
  show() {
    if (this.#message.role !== 'assistant') this.#text.textContent = this.#message.content; // a person's text is shown as it was typed
    else render(this.#text, this.#message.content);
    this.#rest();
  }

  /** The message while it comes. Complete blocks are told to a screen reader. */
  grow() {
    const message = this.#message;
    this.#article.setAttribute('aria-busy', 'true');
    if (message.content) {
      this.#growing ??= new Growing(this.#text);
      this.#growing.update(message.content, (block) => announce(spoken(block)));
    }
    this.#showReasoning(message.content === '' && message.calls.length === 0);
    this.#showCalls();
  }

  /** The last of it is there. */
  finish() {
    this.#article.removeAttribute('aria-busy');
    if (this.#message.content) this.#growing ??= new Growing(this.#text); // all of it may have come at once
    this.#growing?.finish(this.#message.content, (block) => announce(spoken(block)));
    this.#rest();
    const why = ending(this.#message);
    if (why) announce(why);
    else announce(this.#message.calls.length ? 'The model calls a tool.' : 'The answer is complete.');
  }

  #rest() {
    const message = this.#message;
    if (message.role !== 'assistant') return;
    if (message.model) this.who.textContent = message.model;
    this.#showReasoning(false);
    this.#showCalls();
    const why = ending(message);
    this.#note.hidden = !why;
    this.#note.textContent = why;
    this.#note.classList.toggle('error', Boolean(message.error));
    this.#measures.textContent = measures(message);
  }

  #showReasoning(stillThinking) {
    const { reasoning, seconds } = this.#message;
    if (!reasoning) return;
    this.#reasoning.hidden = false;
    const shown = this.#thought.length;
    if (shown < reasoning.length) this.#thought.appendData(reasoning.slice(shown));
    const took = seconds?.reasoning ? ` for ${duration(seconds.reasoning)}` : '';
    const summary = stillThinking ? 'Reasoning…' : `Reasoned${took}`;
    if (this.#summary.textContent !== summary) this.#summary.textContent = summary; // not written anew: a reader may stand on it
  }

  #showCalls() {
    const { calls } = this.#message;
    const key = calls.map((c) => `${c.name}\n${c.arguments.length}`).join('\n');
    if (key === this.#callKey) return;
    this.#callKey = key;
    this.#calls.replaceChildren(...calls.map((call) => el('details', { class: 'call', open: true },
      el('summary', {}, 'Calls ', el('code', {}, call.name)),
      el('pre', { tabindex: '0', role: 'group', 'aria-label': `Arguments of ${call.name}` }, pretty(call.arguments)))));
  }

  /** A form for the results of calls that have none; `send([{call, content}])`. */
  askResults(calls, send) {
    const fields = calls.map((call, i) => ({ call, area: el('textarea', { id: `result-${this.#message.id}-${i}`, rows: 2 }) }));
    const form = el('form', {
      class: 'results',
      onsubmit: (event) => {
        event.preventDefault();
        send(fields.map(({ call, area }) => ({ call, content: area.value })));
      },
    }, ...fields.flatMap(({ call, area }) => [el('label', { for: area.id }, `Result of ${call.name}`), area]),
    el('button', { type: 'submit', class: 'primary' }, 'Send results'));
    this.#calls.append(form);
  }

  #edit() {
    const area = el('textarea', { value: this.#message.content, rows: 4, 'aria-label': 'Your message' });
    const close = () => {
      form.replaceWith(this.#text);
      this.#foot.hidden = false;
      this.#foot.querySelector('.changes').focus();
    };
    const send = () => {
      if (area.value.trim()) this.#act.edit(this.#message, area.value);
    };
    const form = el('form', {
      class: 'editing',
      onsubmit: (event) => {
        event.preventDefault();
        send();
      },
      onkeydown: (event) => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          close();
        }
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          send();
        }
      },
    }, area, el('p', { class: 'quiet' }, 'What came after this message is replaced.'),
    el('div', { class: 'row' }, el('button', { type: 'submit', class: 'primary' }, 'Send again'), button('Cancel', close)));
    this.#text.replaceWith(form);
    this.#foot.hidden = true;
    area.focus();
  }
}
