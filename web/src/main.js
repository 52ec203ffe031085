// main.js: starts the page: which view is shown, in which colours, and the key.

import 'uplot/dist/uPlot.min.css';
import './style.css';
import { asked, byId, notice } from './dom.js';
import { onKeyWanted } from './http.js';
import { openStore } from './store.js';
import { Chat } from './chat.js';
import { Machine } from './machine.js';
import { Ledger } from './ledger.js';

async function askKey(wrong) {
  const answer = await asked(byId('key-dialog'), () => {
    byId('key-wrong').hidden = !wrong;
    byId('key').value = '';
  });
  const given = answer === 'given' ? byId('key').value.trim() : null;
  byId('key').value = '';
  return given;
}

function wireKey() {
  onKeyWanted(askKey);
  byId('key-cancel').addEventListener('click', () => byId('key-dialog').close());
  byId('key-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const good = /^[\x21-\x7e]+$/.test(byId('key').value.trim()); // what a header can carry
    byId('key').setCustomValidity(good ? '' : 'A key has letters, digits and signs of ASCII, and no spaces.');
    if (byId('key').reportValidity()) byId('key-dialog').close('given');
  });
  byId('key').addEventListener('input', () => byId('key').setCustomValidity(''));
}

function wireTheme(changed) {
  const root = document.documentElement;
  byId('theme').value = root.dataset.theme ?? 'system';
  byId('theme').addEventListener('change', () => {
    const { value } = byId('theme');
    if (value === 'system') delete root.dataset.theme;
    else root.dataset.theme = value;
    try {
      localStorage.setItem('hearth-theme', value);
    } catch {
      // it holds for this page then
    }
    changed();
  });
}

/** Shows the view that the address names; "#chat/ID" is a conversation. */
function route(views, byLink) {
  const before = document.querySelector('main > .view:not([hidden])')?.id;
  const [, name = 'chat', id] = /^#(chat|machine|ledger)(?:\/([\w-]+))?$/.exec(location.hash) ?? [];
  for (const section of document.querySelectorAll('main > .view')) section.hidden = section.id !== `view-${name}`;
  for (const link of document.querySelectorAll('[data-view]')) {
    if (link.dataset.view === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  if (name !== 'chat') document.title = `${byId(`${name}-title`).textContent} · Hearth`;
  if (name !== 'machine') views.machine.close();
  views[name].open(id);
  if (byLink && before !== `view-${name}`) byId(`${name}-title`).focus(); // as after the loading of a page, reading goes on at its title
}

async function start() {
  byId('skip').addEventListener('click', (event) => {
    event.preventDefault(); // the address names the view
    byId('main').focus();
  });
  byId('notice-close').addEventListener('click', () => {
    byId('notice').hidden = true;
    byId('main').focus();
  });
  wireKey();
  addEventListener('unhandledrejection', (event) => notice(`Something in this page failed: ${event.reason?.message ?? event.reason}`));
  const views = { chat: new Chat(await openStore()), machine: new Machine(), ledger: new Ledger() };
  wireTheme(() => views.ledger.redraw());
  addEventListener('hashchange', () => route(views, true));
  route(views, false);
  if (!byId('view-chat').hidden) byId('prompt').focus();
  await views.chat.loadModels();
}

start();
