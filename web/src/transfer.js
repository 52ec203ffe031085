// transfer.js: conversations as a file, and back. A file comes from outside: every field is checked, and unknown ones are not taken over.

const VERSION = 1;
const CONVERSATIONS_MAX = 10000;
const MESSAGES_MAX = 100000;
export const FILE_MAX = 64 * 1024 * 1024; // bytes

export const exported = (conversations) => `${JSON.stringify({ hearth_conversations: VERSION, conversations }, null, 1)}\n`;

function fail(where, what) {
  throw new Error(`${where} ${what}.`);
}

function string(value, where) {
  return typeof value === 'string' ? value : fail(where, 'is not a text');
}

function number(value, where) {
  return Number.isFinite(value) && value >= 0 ? value : fail(where, 'is not a number');
}

function list(value, most, where) {
  if (!Array.isArray(value)) fail(where, 'is not a list');
  return value.length <= most ? value : fail(where, `has more than ${most} entries`);
}

function object(value, where) {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : fail(where, 'is not an object');
}

function id(value, where) {
  return /^[\w-]{1,64}$/.test(string(value, where)) ? value : fail(where, 'is not an identifier');
}

const numbers = (value, names, where) => Object.fromEntries(names.map((name) => [name, number(object(value, where)[name], `${where}.${name}`)]));

const OF_ROLE = {
  user: () => ({}),
  tool: (m, where) => ({ call: string(m.call, `${where}.call`), name: string(m.name, `${where}.name`) }),
  assistant: (m, where) => ({
    reasoning: string(m.reasoning, `${where}.reasoning`),
    calls: list(m.calls, 256, `${where}.calls`).map((c, i) => ({
      id: string(object(c, `${where}.calls[${i}]`).id, `${where}.calls[${i}].id`),
      name: string(c.name, `${where}.calls[${i}].name`),
      arguments: string(c.arguments, `${where}.calls[${i}].arguments`),
    })),
    model: string(m.model, `${where}.model`),
    finish: m.finish === null ? null : string(m.finish, `${where}.finish`),
    ...(m.error !== undefined && { error: string(m.error, `${where}.error`) }),
    ...(m.usage !== undefined && { usage: numbers(m.usage, ['in', 'cached', 'out'], `${where}.usage`) }),
    ...(m.seconds !== undefined && { seconds: numbers(m.seconds, ['first', 'reasoning', 'all'], `${where}.seconds`) }),
  }),
};

function message(m, where) {
  const role = string(object(m, where).role, `${where}.role`);
  if (!Object.hasOwn(OF_ROLE, role)) fail(`${where}.role`, `is "${role.slice(0, 20)}", not user, assistant or tool`);
  return { id: id(m.id, `${where}.id`), role, content: string(m.content, `${where}.content`), ...OF_ROLE[role](m, where) };
}

function conversation(c, where) {
  object(c, where);
  return {
    id: id(c.id, `${where}.id`),
    title: string(c.title, `${where}.title`).slice(0, 200),
    created: number(c.created, `${where}.created`),
    updated: number(c.updated, `${where}.updated`),
    revision: 0,
    model: string(c.model, `${where}.model`),
    settings: structuredClone(object(c.settings, `${where}.settings`)),
    messages: list(c.messages, MESSAGES_MAX, `${where}.messages`).map((m, i) => message(m, `${where}.messages[${i}]`)),
  };
}

/** The conversations of a file. Throws with the place and the reason when anything in it is not as it should be: nothing is taken in part. */
export function imported(text) {
  let file;
  try {
    file = JSON.parse(text);
  } catch {
    fail('The file', 'is not JSON');
  }
  if (file?.hearth_conversations !== VERSION) fail('The file', `is not an export of version ${VERSION} of this page`);
  return list(file.conversations, CONVERSATIONS_MAX, 'conversations').map((c, i) => conversation(c, `conversations[${i}]`));
}
