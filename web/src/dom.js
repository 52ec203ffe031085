// dom.js: making elements without strings of markup, and telling what happens to those who do not see it.

export const byId = (id) => document.getElementById(id);

/** A new element. Properties that begin with "on" are listeners; `value`, `checked`, `disabled` and `hidden` are properties of the object; all
 *  others are attributes, left out when false or null. Children are nodes or text. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (['value', 'checked', 'disabled', 'hidden'].includes(name)) node[name] = value;
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children);
  return node;
}

export const button = (text, onclick, properties = {}) => el('button', { type: 'button', onclick, ...properties }, text);

const ANNOUNCED_MAX = 30;

/** Has a screen reader say this when it has finished what it is saying. */
export function announce(text) {
  const live = byId('live');
  live.append(el('p', {}, text));
  while (live.childElementCount > ANNOUNCED_MAX) live.firstElementChild.remove();
}

/** Shows a message that needs the person's attention, until it is closed. */
export function notice(text) {
  byId('notice').hidden = false;
  byId('notice-text').textContent = text;
}

let asking = Promise.resolve();

/** Shows a dialog when those before it are closed and the browser has told so, which it does a little later. `prepare` fills it. Resolves to its return value, '' if
 * there is none. */
export function asked(dialog, prepare) {
  asking = asking.catch(() => {}).then(() => {
    prepare();
    dialog.returnValue = ''; // what Escape leaves
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener('close', () => resolve(dialog.returnValue), { once: true });
    });
  });
  return asking;
}

/** Asks before something that cannot be taken back. Resolves to true or false. */
export async function confirmed(title, text, yes) {
  const answer = await asked(byId('ask-dialog'), () => {
    byId('ask-title').textContent = title;
    byId('ask-text').textContent = text;
    byId('ask-yes').textContent = yes;
  });
  return answer === 'yes';
}

/** Copies text. The clipboard interface exists on this machine and under HTTPS; a page that came over plain HTTP from elsewhere has the old way. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el('textarea', { value: text, class: 'unseen', 'aria-hidden': 'true', tabindex: '-1' });
    const before = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    before?.focus();
    return done;
  }
}

/** A button that copies what `text` gives, and says so. */
export function copyButton(label, text) {
  const node = button('Copy', async () => {
    const done = await copy(text());
    node.textContent = done ? 'Copied' : 'Not copied';
    announce(done ? 'Copied.' : 'The browser did not allow copying.');
    setTimeout(() => { node.textContent = 'Copy'; }, 2000);
  }, { 'aria-label': label });
  return node;
}
