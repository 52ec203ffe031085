// sse.js: server-sent events, read from a response as they come.
//
// Of the format only what an API stream uses is read: `data` lines (joined by newlines), comments and the empty line that ends an event.

export const BROKEN = 'The connection ended before the answer did.';
const EVENT_MAX = 16 * 1024 * 1024; // characters; a server that never ends a line must not fill the memory

export class EventParser {
  #held = ''; // the beginning of a line that has not ended
  #data = [];
  #size = 0;

  /** The data of each event that ends in this piece of text. */
  push(text) {
    const ended = [];
    const lines = text.split('\n');
    lines[0] = this.#held + lines[0];
    this.#held = lines.pop();
    if (this.#held.length + this.#size > EVENT_MAX) throw new Error('The server sent an event that is too long.');
    for (const raw of lines) {
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
      if (line === '') {
        if (this.#data.length) ended.push(this.#data.join('\n'));
        this.#data = [];
        this.#size = 0;
      } else if (line.startsWith('data:')) {
        this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
        this.#size += line.length;
        if (this.#size > EVENT_MAX) throw new Error('The server sent an event that is too long.');
      }
    }
    return ended;
  }
}

/** The events of a body, one at a time. An event that the end of the body cuts off is not one. */
export async function* events(body) {
  const parser = new EventParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read().catch((e) => {
        throw e.name === 'AbortError' ? e : new Error(BROKEN, { cause: e });
      });
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {}); // who stops reading wants no more of it
  }
}
