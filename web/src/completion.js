// completion.js: conversations as requests of the OpenAI chat API, and streams of it as messages.
//
// A message is { id, role, content } and, from the assistant, { reasoning, calls: [{ id, name, arguments }], model, finish, error, usage: { in, cached,
// out }, seconds: { first, reasoning, all } }; a tool's result is { id, role: 'tool', call, name, content }. `finish` is null while the answer comes, then the
// server's reason, or 'stopped' by the person, or 'broken'.

import { BROKEN, events } from './sse.js';
import { HttpError, request } from './http.js';

/** Sixteen random hex digits. crypto.randomUUID is missing where a page came over plain HTTP from another machine. */
export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, '0')).join('');

export const newAnswer = (model) => ({ id: newId(), role: 'assistant', content: '', reasoning: '', calls: [], model, finish: null });

/** Whether an answer has anything in it that the model should see again. */
export const saysSomething = (message) => message.content !== '' || message.calls.length > 0;

function toApi(message) {
  if (message.role === 'tool') return { role: 'tool', tool_call_id: message.call, content: message.content };
  if (message.role === 'user') return { role: 'user', content: message.content };
  const out = { role: 'assistant', content: message.content };
  if (message.reasoning) out.reasoning_content = message.reasoning;
  if (message.calls.length) {
    out.tool_calls = message.calls.map((c) => ({ id: c.id, type: 'function', function: { name: c.name, arguments: c.arguments } }));
  }
  return out;
}

/** The body of a request for the next answer. Answers in which nothing was said (they failed, or were stopped at once) are left out. */
export function requestBody({ model, settings, messages }) {
  const { system, ...parameters } = settings;
  const said = messages.filter((m) => m.role !== 'assistant' || saysSomething(m));
  return {
    model,
    messages: [...(system ? [{ role: 'system', content: system }] : []), ...said.map(toApi)],
    ...parameters,
    stream: true,
    stream_options: { include_usage: true },
  };
}

/** The calls of the last answer that have no result yet. */
export function openCalls(messages) {
  const last = messages.findLastIndex((m) => m.role === 'assistant' && saysSomething(m));
  if (last < 0) return [];
  const results = new Set(messages.slice(last + 1).filter((m) => m.role === 'tool').map((m) => m.call));
  return messages.slice(last + 1).some((m) => m.role === 'user') ? [] : messages[last].calls.filter((c) => !results.has(c.id));
}

const CALLS_MAX = 256; // in one answer; an index comes from outside

function addCalls(message, deltas) {
  for (const delta of deltas) {
    const index = delta.index ?? message.calls.length;
    if (!Number.isInteger(index) || index < 0 || index >= CALLS_MAX) throw new Error('The server numbered a tool call in a way that makes no sense.');
    while (message.calls.length <= index) message.calls.push({ id: '', name: '', arguments: '' });
    const call = message.calls[index];
    call.id ||= delta.id ?? '';
    call.name += delta.function?.name ?? '';
    call.arguments += delta.function?.arguments ?? '';
  }
}

/** Adds a chunk of the stream to the message; `now` is seconds since the request. */
export function addChunk(message, chunk, now) {
  if (chunk.error) throw new HttpError(Number(chunk.error.code) || 500, String(chunk.error.message ?? 'The server gave up.'));
  if (typeof chunk.model === 'string' && chunk.model) message.model = chunk.model;
  const choice = chunk.choices?.[0];
  const delta = choice?.delta ?? {};
  const thought = delta.reasoning_content ?? delta.reasoning ?? '';
  const said = delta.content ?? delta.refusal ?? '';
  if (thought || said || delta.tool_calls?.length) {
    message.seconds ??= { first: now, reasoning: 0, all: now };
    message.seconds.all = now;
  }
  if (thought) {
    message.reasoning += thought;
    message.seconds.reasoning = now - message.seconds.first;
  }
  message.content += said;
  if (delta.tool_calls) addCalls(message, delta.tool_calls);
  if (choice?.finish_reason) message.finish = choice.finish_reason;
  if (chunk.usage) {
    message.usage = {
      in: chunk.usage.prompt_tokens ?? 0,
      cached: chunk.usage.prompt_tokens_details?.cached_tokens ?? 0,
      out: chunk.usage.completion_tokens ?? 0,
    };
  }
}

/** Asks for the next answer and adds what comes to `message`, calling `changed` after each piece. Throws when the server refuses, gives up, or
 *  leaves before the answer has ended. */
export async function complete(body, message, signal, changed) {
  const start = performance.now();
  const response = await request('v1/chat/completions', { method: 'POST', body, signal });
  let ended = false;
  for await (const data of events(response.body)) {
    if (data === '[DONE]') {
      ended = true;
      break;
    }
    let chunk;
    try {
      chunk = JSON.parse(data);
    } catch {
      throw new Error('The server sent something that is not JSON.');
    }
    addChunk(message, chunk, (performance.now() - start) / 1000);
    changed();
  }
  if (!ended && !message.finish) throw new Error(BROKEN);
  message.calls.forEach((call, i) => { call.id ||= `call_${i}`; }); // a result must name the call that it belongs to
  message.finish ??= 'stop';
}
