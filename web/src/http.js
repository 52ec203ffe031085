// http.js: requests to the server that this page came from, and the key that it may ask for.
//
// The key lives in sessionStorage: it goes when the tab does. Paths are relative, so that the page also works behind a proxy that keeps it in a
// folder of its own.

const KEY = 'hearth-key';
let key = null;
let prompt = async () => null;
let asking = null;

try {
  key = sessionStorage.getItem(KEY);
} catch {
  // Storage is switched off: the key lasts as long as the page.
}

function keep(given) {
  key = given;
  try {
    sessionStorage.setItem(KEY, given);
  } catch {
    // as above
  }
}

/** `ask(wrong)` resolves to a key, or to null when the person has none; `wrong` says that the server refused the last one. */
export function onKeyWanted(ask) {
  prompt = ask;
}

/** What the server refused. `status` is 0 when there was no answer; `retryAfter` is in seconds, or null. */
export class HttpError extends Error {
  constructor(status, message, retryAfter = null) {
    super(message);
    this.name = 'HttpError';
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

async function failure(response) {
  const text = await response.text().catch(() => '');
  let message = '';
  try {
    message = String(JSON.parse(text).error.message);
  } catch {
    message = text.slice(0, 300);
  }
  const after = Number(response.headers.get('Retry-After') ?? NaN);
  return new HttpError(response.status, message || `The server answered with status ${response.status}.`, Number.isFinite(after) ? after : null);
}

/** Fetches `path`. A body is sent as JSON. Where the server wants a key the person is asked for one, unless `ask` is false; requests that run at the
 *  same time share one question. Throws HttpError, or the AbortError of `signal`. */
export async function request(path, { method = 'GET', body, signal, ask = true } = {}) {
  for (;;) {
    const sent = key;
    const headers = {};
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if (sent !== null) headers.Authorization = `Bearer ${sent}`;
    let response;
    try {
      response = await fetch(path, { method, headers, signal, body: body && JSON.stringify(body), cache: 'no-store', redirect: 'error' });
    } catch (e) {
      if (e.name === 'AbortError' || e.name === 'TimeoutError') throw e;
      throw new HttpError(0, 'The server does not answer. Is "hearth serve" running?');
    }
    if (response.ok) return response;
    if (response.status !== 401) throw await failure(response);
    if (key !== sent) continue; // another request has asked meanwhile
    if (!ask) throw await failure(response);
    asking ??= prompt(sent !== null).finally(() => { asking = null; });
    const given = await asking;
    if (given === null) throw await failure(response);
    keep(given);
  }
}

const ANSWER_WITHIN_MS = 20000;

/** A small JSON answer, in reasonable time. */
export async function json(path, { ask = true } = {}) {
  const response = await request(path, { ask, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  return response.json();
}

export async function text(path, { ask = true } = {}) {
  const response = await request(path, { ask, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  return response.text();
}
