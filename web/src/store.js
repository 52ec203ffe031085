// store.js: the conversations, in this browser's IndexedDB and nowhere else.
//
// A conversation is { id, title, created, updated, revision, model, settings, messages }; see completion.js for messages. It is kept whole under its id;
// its title and time lie beside it, so that the list need not read everything. `revision` counts the times it was kept: when another tab has kept a newer
// one meanwhile, ours becomes a conversation of its own, so that neither overwrites the other.

import { newId } from './completion.js';

const asPromise = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const done = (transaction) => new Promise((resolve, reject) => {
  transaction.oncomplete = () => resolve();
  transaction.onabort = () => reject(transaction.error ?? new Error('The browser gave up.'));
});

const newestFirst = (titles) => titles.sort((a, b) => b.updated - a.updated);
const titleOf = ({ id, title, updated, revision }) => ({ id, title, updated, revision });

/** Makes `conversation` one that is not yet kept. */
function fork(conversation) {
  conversation.id = newId();
  conversation.title = `${conversation.title} (copy)`;
  conversation.revision = 0;
}

class Store {
  #db;
  kept = true;

  constructor(db) {
    this.#db = db;
  }

  #begin(mode) {
    const transaction = this.#db.transaction(['conversations', 'titles'], mode);
    return { transaction, conversations: transaction.objectStore('conversations'), titles: transaction.objectStore('titles') };
  }

  async titles() {
    return newestFirst(await asPromise(this.#begin('readonly').titles.getAll()));
  }

  get(id) {
    return asPromise(this.#begin('readonly').conversations.get(id));
  }

  all() {
    return asPromise(this.#begin('readonly').conversations.getAll());
  }

  /** Keeps it. Its id changes when it had to become another one. */
  put(conversation) {
    const { transaction, conversations, titles } = this.#begin('readwrite');
    const before = titles.get(conversation.id);
    before.onsuccess = () => {
      if (before.result && before.result.revision !== conversation.revision) fork(conversation);
      conversation.revision++;
      conversations.put(conversation);
      titles.put(titleOf(conversation));
    };
    return done(transaction);
  }

  remove(id) {
    const { transaction, conversations, titles } = this.#begin('readwrite');
    conversations.delete(id);
    titles.delete(id);
    return done(transaction);
  }

  clear() {
    const { transaction, conversations, titles } = this.#begin('readwrite');
    conversations.clear();
    titles.clear();
    return done(transaction);
  }
}

/** The same for as long as the page is open, where the browser keeps nothing (some private windows). */
class Memory {
  #all = new Map();
  kept = false;

  async titles() {
    return newestFirst([...this.#all.values()].map(titleOf));
  }

  async get(id) {
    return this.#all.get(id);
  }

  async all() {
    return [...this.#all.values()];
  }

  async put(conversation) {
    conversation.revision++;
    this.#all.set(conversation.id, conversation);
  }

  async remove(id) {
    this.#all.delete(id);
  }

  async clear() {
    this.#all.clear();
  }
}

/** Opens the store; `kept` says whether what is put there outlives the page. */
export async function openStore() {
  try {
    const opening = indexedDB.open('hearth', 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore('conversations', { keyPath: 'id' });
      opening.result.createObjectStore('titles', { keyPath: 'id' });
    };
    return new Store(await asPromise(opening));
  } catch {
    return new Memory();
  }
}
