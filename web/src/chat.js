// chat.js: the view of conversations: the list, the messages, what is written and what comes.
//
// An answer that is coming is a job. It belongs to its conversation, not to the view: one may look at the ledger or at another conversation meanwhile, and
// come back to it.

import { announce, button, byId, confirmed, el, notice } from './dom.js';
import { json } from './http.js';
import { complete, newAnswer, newId, openCalls, requestBody, saysSomething } from './completion.js';
import { MessageView } from './message.js';
import { Settings } from './settings.js';
import { exported, FILE_MAX, imported } from './transfer.js';

const SAVE_EVERY_MS = 2000; // while an answer comes: what a crash may cost
const FRAME_MS = 33;
const RENDER_SHARE = 4; // rendering may take a quarter of the time, however long the answer has become
const NEAR_END_PX = 48;
const TOUCH = '(pointer: coarse)'; // no key is spared for sending there: Enter makes a new line
const LAST_USED = 'hearth-last-used';

const titleOf = (text) => {
  const line = text.trim().split('\n')[0];
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
};

function lastUsed() {
  try {
    const { model, settings } = JSON.parse(localStorage.getItem(LAST_USED) ?? '{}');
    return { model: typeof model === 'string' ? model : '', settings: typeof settings === 'object' && settings !== null ? settings : {} };
  } catch {
    return { model: '', settings: {} };
  }
}

function remember(model, settings) {
  try {
    localStorage.setItem(LAST_USED, JSON.stringify({ model, settings }));
  } catch {
    // full or switched off: the next conversation begins with the server's settings
  }
}

const fresh = () => ({ id: newId(), title: 'New chat', created: Date.now(), updated: Date.now(), revision: 0, messages: [], ...lastUsed() });

/** Calls `draw` soon after `ask()`, as often as its cost allows. */
function paced(draw) {
  let timer = 0;
  let notBefore = 0;
  const run = () => {
    timer = 0;
    const start = performance.now();
    draw();
    const end = performance.now();
    notBefore = end + Math.max(FRAME_MS, RENDER_SHARE * (end - start));
  };
  return {
    ask: () => { timer ||= setTimeout(run, Math.max(0, notBefore - performance.now())); },
    cancel: () => { clearTimeout(timer); timer = 0; },
  };
}

export class Chat {
  #store;
  #conversation = null;
  #jobs = new Map(); // conversation -> { controller, message, view }
  #views = new Map(); // message -> MessageView, of the conversation that is shown
  #settings;
  #models = [];
  #atEnd = true;
  #turn = 0; // of opening: only the last one wins
  #saving = Promise.resolve();
  #unsaved = 0; // saves asked for and not through

  constructor(store) {
    this.#store = store;
    this.#settings = new Settings(byId('settings'), (settings) => this.#change({ settings }));
    byId('model').addEventListener('change', () => this.#change({ model: byId('model').value }));
    byId('model').addEventListener('focus', () => this.loadModels()); // one may have been loaded since
    this.#wireComposer();
    this.#wireSide();
    byId('scroll').addEventListener('scroll', () => {
      const box = byId('scroll');
      this.#atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END_PX;
    });
    for (const [name, id] of [['side', 'side-toggle'], ['settings', 'settings-toggle']]) {
      byId(id).addEventListener('click', () => this.#fold(name, byId(id).getAttribute('aria-expanded') === 'true'));
    }
    document.addEventListener('visibilitychange', () => this.#list()); // another tab may have changed it
    if (!store.kept) byId('conversations-none').textContent = 'This browser does not let the page keep anything: conversations last until it is closed.';
    this.#show(fresh());
  }

  // ---- the view

  /** Shows the conversation of this id, or a new one. */
  async open(id) {
    const turn = ++this.#turn;
    const here = [this.#conversation, ...this.#jobs.keys()].find((c) => c.id === id);
    const kept = id ? here ?? await this.#store.get(id) : undefined;
    if (turn !== this.#turn) return;
    if (id && !kept) notice('This conversation is not kept in this browser.');
    if (kept !== this.#conversation) {
      const side = byId('side');
      const chosenThere = side.contains(document.activeElement);
      this.#fold('side', true);
      if (chosenThere && side.offsetParent === null) byId('chat-title').focus(); // on a phone the list makes room
      this.#show(kept ?? fresh());
    }
    await this.#list();
  }

  async loadModels() {
    try {
      const { data } = await json('v1/models');
      const models = data.map((m) => String(m.id));
      if (JSON.stringify(models) === JSON.stringify(this.#models)) return;
      this.#models = models;
    } catch (e) {
      notice(`The list of models could not be read. ${e.message}`);
    }
    this.#showModels();
  }

  #show(conversation) {
    this.#conversation = conversation;
    conversation.settings = this.#settings.show(conversation.settings);
    this.#showModels();
    this.#renderAll();
  }

  #showModels() {
    const conversation = this.#conversation;
    const [first] = this.#models;
    // A conversation keeps the model that it was held with; a new one has one that is there.
    if (first && !this.#models.includes(conversation.model) && conversation.messages.length === 0) conversation.model = first;
    const gone = conversation.model && !this.#models.includes(conversation.model);
    byId('model').replaceChildren(
      ...(gone ? [el('option', { value: conversation.model }, `${conversation.model} (not there now)`)] : []),
      ...this.#models.map((m) => el('option', { value: m }, m)),
    );
    byId('model').value = conversation.model;
  }

  #renderAll() {
    const { messages, title } = this.#conversation;
    const job = this.#jobs.get(this.#conversation);
    this.#views.clear();
    byId('messages').replaceChildren();
    for (const message of messages) {
      if (message === job?.message) this.#append(message, job.view);
      else this.#append(message).show();
    }
    byId('chat-title').textContent = title;
    document.title = `${title} · Hearth`;
    this.#atEnd = true;
    this.#refresh();
  }

  #append(message, view = new MessageView(message, { edit: (m, text) => this.#replaceFrom(m, text), retry: (m) => this.#replaceFrom(m) })) {
    this.#views.set(message, view);
    byId('messages').append(view.node);
    return view;
  }

  /** Puts everything that depends on whether an answer is coming as it should be. */
  #refresh() {
    const conversation = this.#conversation;
    const busy = this.#jobs.has(conversation);
    const touch = matchMedia(TOUCH).matches; // there the focus brings up a keyboard
    if (!touch && [byId('send'), byId('stop')].includes(document.activeElement)) byId('prompt').focus(); // that button is about to vanish
    byId('empty').hidden = conversation.messages.length > 0;
    byId('send').hidden = busy;
    byId('stop').hidden = !busy;
    for (const node of byId('messages').querySelectorAll('.changes')) node.disabled = busy;
    byId('messages').querySelectorAll('.results, .again').forEach((node) => node.remove());
    const last = conversation.messages.at(-1);
    const calls = busy ? [] : openCalls(conversation.messages);
    if (calls.length) {
      const caller = conversation.messages.findLast((m) => m.calls?.length);
      this.#views.get(caller).askResults(calls, (results) => this.#giveResults(results));
    } else if (!busy && last && last.role !== 'assistant') {
      this.#views.get(last).node.append(button('Ask again', () => this.#answer(), { class: 'again' }));
    }
    this.#link();
    this.#scroll();
  }

  /** What the links to this view lead to: a conversation has an address once something was said in it. */
  #link() {
    const { id, messages } = this.#conversation;
    const hash = messages.length ? `#chat/${id}` : '#chat';
    for (const link of document.querySelectorAll('[data-here]')) link.setAttribute('href', hash);
    return hash;
  }

  /** Gives the conversation that is shown its address. */
  #address() {
    const hash = this.#link();
    if (/^(#chat.*)?$/.test(location.hash)) history.replaceState(null, '', hash);
  }

  #scroll() {
    if (this.#atEnd) byId('scroll').scrollTop = byId('scroll').scrollHeight;
  }

  #fold(name, closed) {
    byId(name).hidden = name === 'settings' && closed;
    byId(name).classList.toggle('open', !closed);
    byId(`${name}-toggle`).setAttribute('aria-expanded', String(!closed));
  }

  // ---- writing

  #wireComposer() {
    const prompt = byId('prompt');
    const grow = () => {
      prompt.style.height = 'auto';
      prompt.style.height = `${prompt.scrollHeight}px`;
    };
    prompt.addEventListener('input', grow);
    prompt.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && !matchMedia(TOUCH).matches) {
        event.preventDefault();
        byId('composer').requestSubmit();
      }
    });
    byId('view-chat').addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#stop();
    });
    byId('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      const text = prompt.value.trim();
      if (!text || this.#jobs.has(this.#conversation)) return;
      if (openCalls(this.#conversation.messages).length) {
        notice('The model waits for the result of the tool that it called: give it above, or retry the answer.');
        return;
      }
      prompt.value = '';
      grow();
      this.#say(text);
    });
    byId('stop').addEventListener('click', () => this.#stop());
  }

  #say(text) {
    const conversation = this.#conversation;
    const message = { id: newId(), role: 'user', content: text };
    if (conversation.messages.length === 0) conversation.title = titleOf(text);
    conversation.messages.push(message);
    byId('chat-title').textContent = conversation.title;
    document.title = `${conversation.title} · Hearth`;
    this.#append(message).show();
    this.#address();
    this.#answer();
  }

  #giveResults(results) {
    for (const { call, content } of results) {
      const message = { id: newId(), role: 'tool', call: call.id, name: call.name, content };
      this.#conversation.messages.push(message);
      this.#append(message).show();
    }
    byId('prompt').focus();
    this.#answer();
  }

  /** Drops a message and what came after it, says `text` instead if there is one, and asks for a new answer. */
  #replaceFrom(message, text) {
    const { messages } = this.#conversation;
    messages.length = messages.indexOf(message);
    this.#renderAll();
    byId('prompt').focus(); // what was focused is gone
    if (text === undefined) this.#answer();
    else this.#say(text);
  }

  #change(change) {
    const conversation = Object.assign(this.#conversation, change);
    remember(conversation.model, conversation.settings);
    if (conversation.messages.length) this.#save(conversation);
  }

  // ---- answers

  async #answer() {
    const conversation = this.#conversation;
    const body = requestBody(conversation);
    const message = newAnswer(conversation.model);
    conversation.messages.push(message);
    this.#atEnd = true;
    const job = { controller: new AbortController(), message, view: this.#append(message) };
    this.#jobs.set(conversation, job);
    this.#refresh();
    announce('The model is answering.');
    this.#save(conversation);
    const drawing = paced(() => {
      job.view.grow();
      if (this.#conversation === conversation) this.#scroll();
    });
    const saving = setInterval(() => this.#save(conversation), SAVE_EVERY_MS);
    try {
      await complete(body, message, job.controller.signal, drawing.ask);
    } catch (e) {
      if (e.name === 'AbortError') message.finish = 'stopped';
      else Object.assign(message, { finish: 'broken', error: e.retryAfter ? `${e.message} It asks to try again in ${e.retryAfter} s.` : e.message });
    }
    drawing.cancel();
    clearInterval(saving);
    this.#jobs.delete(conversation);
    this.#end(conversation, job);
  }

  #end(conversation, { message, view }) {
    view.finish();
    if (message.finish === 'stopped' && !saysSomething(message) && !message.reasoning) { // nothing came: nothing to keep
      conversation.messages.splice(conversation.messages.indexOf(message), 1);
      view.node.remove();
      this.#views.delete(message);
    }
    if (this.#conversation === conversation) this.#refresh();
    this.#save(conversation);
  }

  #stop() {
    this.#jobs.get(this.#conversation)?.controller.abort();
  }

  // ---- what is kept

  /** Keeps it, after what was to be kept before; the list is busy until it is kept: a page that is left before loses it. */
  #save(conversation) {
    conversation.updated = Date.now();
    this.#unsaved++;
    byId('conversations').setAttribute('aria-busy', 'true');
    this.#saving = this.#saving.then(() => this.#keep(conversation)).catch((e) => notice(`The list of conversations could not be read: ${e.message}`)).finally(() => {
      if (--this.#unsaved === 0) byId('conversations').removeAttribute('aria-busy');
    });
  }

  async #keep(conversation) {
    if (conversation.deleted) return;
    const { id } = conversation;
    try {
      await this.#store.put(conversation);
      if (conversation.id !== id) {
        notice('Another tab has gone on with this conversation. What is said here is kept as a copy.');
        if (conversation === this.#conversation) this.#address();
      }
    } catch (e) {
      notice(`The conversation could not be kept: ${e.message}`);
    }
    await this.#list();
  }

  /** The list of conversations, written anew where it changed, with the focus where it was. */
  async #list() {
    const titles = await this.#store.titles();
    const current = this.#conversation?.id;
    const key = JSON.stringify([current, titles.map((t) => [t.id, t.title])]);
    byId('conversations-none').hidden = titles.length > 0 && this.#store.kept;
    byId('export').disabled = byId('delete-all').disabled = titles.length === 0;
    const list = byId('conversations');
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    const focused = list.contains(document.activeElement) ? document.activeElement.id : '';
    list.replaceChildren(...titles.map(({ id, title }) => el('li', {},
      el('a', { href: `#chat/${id}`, id: `open-${id}`, 'aria-current': id === current && 'page' }, title),
      button('×', () => this.#remove(id, title), { id: `delete-${id}`, 'aria-label': `Delete “${title}”` }))));
    if (focused) byId(focused)?.focus();
  }

  #forget(conversation) {
    conversation.deleted = true;
    this.#jobs.get(conversation)?.controller.abort();
  }

  #startAnew() {
    if (location.hash === '#chat') this.open();
    else location.hash = '#chat';
  }

  async #remove(id, title) {
    if (!await confirmed('Delete this conversation?', `“${title}” is kept nowhere else.`, 'Delete')) return;
    for (const c of [this.#conversation, ...this.#jobs.keys()]) if (c.id === id) this.#forget(c);
    await this.#store.remove(id);
    announce('The conversation is deleted.');
    if (this.#conversation.id === id) this.#startAnew();
    else await this.#list();
    byId('new').focus();
  }

  async #removeAll() {
    if (!await confirmed('Delete all conversations?', 'They are kept nowhere else. An export can be imported again.', 'Delete all')) return;
    for (const c of [this.#conversation, ...this.#jobs.keys()]) this.#forget(c);
    await this.#store.clear();
    announce('All conversations are deleted.');
    this.#startAnew();
    byId('new').focus();
  }

  #wireSide() {
    byId('new').addEventListener('click', () => {
      this.#startAnew();
      byId('prompt').focus();
    });
    byId('export').addEventListener('click', () => this.#export());
    byId('import').addEventListener('click', () => byId('import-file').click());
    byId('import-file').addEventListener('change', async () => {
      const [file] = byId('import-file').files;
      byId('import-file').value = ''; // the same file may be chosen again
      if (file) await this.#import(file);
    });
    byId('delete-all').addEventListener('click', () => this.#removeAll());
  }

  async #export() {
    const file = new Blob([exported(await this.#store.all())], { type: 'application/json' });
    const link = el('a', { href: URL.createObjectURL(file), download: `hearth-conversations-${new Date().toISOString().slice(0, 10)}.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  async #import(file) {
    try {
      if (file.size > FILE_MAX) throw new Error(`It is larger than ${FILE_MAX / 1024 / 1024} MB.`);
      const conversations = imported(await file.text());
      const there = new Map((await this.#store.titles()).map((t) => [t.id, t]));
      const fresh = conversations.filter((c) => there.get(c.id)?.updated !== c.updated);
      for (const conversation of fresh) {
        if (there.has(conversation.id)) conversation.id = newId(); // another state of one that is here: both stay
        await this.#store.put(conversation);
      }
      notice(`${fresh.length} of ${conversations.length} conversations were imported; the others were here already.`);
      await this.#list();
    } catch (e) {
      notice(`${file.name} was not imported. ${e.message}`);
    }
  }
}
