// units.mjs: the modules of the page that need no browser: node tests/web/units.mjs. The last line is "N passed, N failed".

import assert from 'node:assert/strict';
import { addChunk, newAnswer, openCalls, requestBody } from '../../web/src/completion.js';
import { bytes, duration, energy, money, percent, rate } from '../../web/src/format.js';
import { sums } from '../../web/src/metrics.js';
import { EventParser, events } from '../../web/src/sse.js';
import { exported, imported } from '../../web/src/transfer.js';

const tests = {
  'events come out whole wherever the text is cut'() {
    const text = ': comment\n\ndata: {"a": "one"}\n\nevent: x\nid: 7\ndata:two\r\ndata: lines\r\n\r\ndata:\n\ndata: ünï🔥\n\n\n\ndata: lost';
    const want = ['{"a": "one"}', 'two\nlines', '', 'ünï🔥'];
    for (let i = 0; i <= text.length; i++) {
      for (const j of [i, Math.min(text.length, i + 1), Math.min(text.length, i + 9)]) {
        const parser = new EventParser();
        assert.deepEqual([text.slice(0, i), text.slice(i, j), text.slice(j)].flatMap((t) => parser.push(t)), want, `cut at ${i} and ${j}`);
      }
    }
  },

  async 'events come out of bytes, each cut at every place'() {
    const data = new TextEncoder().encode('data: aü\n\ndata: 🔥\n\n');
    const body = new ReadableStream({
      start(controller) {
        for (const byte of data) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    const got = [];
    for await (const event of events(body)) got.push(event);
    assert.deepEqual(got, ['aü', '🔥']);
  },

  'an event without end is refused'() {
    const parser = new EventParser();
    const piece = 'x'.repeat(1 << 20);
    assert.throws(() => { for (let i = 0; i < 20; i++) parser.push(piece); }, /too long/);
    const lines = new EventParser();
    assert.throws(() => { for (let i = 0; i < 20; i++) lines.push(`data: ${piece}\n`); }, /too long/);
  },

  'a long line costs time in proportion'() {
    const parser = new EventParser(); // a quadratic parser needs minutes for this
    for (let i = 0; i < 1000000; i++) parser.push('0123456789');
    assert.equal(parser.push('\n').length, 0);
  },

  'chunks become a message'() {
    const message = newAnswer('m');
    const add = (delta, now, more = {}) => addChunk(message, { choices: [{ delta, ...more }] }, now);
    add({ role: 'assistant', content: '' }, 0.5);
    assert.equal(message.seconds, undefined); // nothing was said yet
    add({ reasoning_content: 'Hm' }, 1);
    add({ reasoning_content: 'm.' }, 2);
    add({ content: 'Yes' }, 3);
    add({ tool_calls: [{ index: 1, id: 'b', function: { name: 'g', arguments: '{' } }, { index: 0, id: 'a', function: { name: 'f', arguments: '' } }] }, 4);
    add({ tool_calls: [{ index: 1, function: { arguments: '}' } }] }, 5, { finish_reason: 'tool_calls' });
    addChunk(message, { choices: [], usage: { prompt_tokens: 9, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 8 } } }, 6);
    assert.equal(message.reasoning, 'Hmm.');
    assert.equal(message.content, 'Yes');
    assert.deepEqual(message.calls, [{ id: 'a', name: 'f', arguments: '' }, { id: 'b', name: 'g', arguments: '{}' }]);
    assert.equal(message.finish, 'tool_calls');
    assert.deepEqual(message.usage, { in: 9, cached: 8, out: 4 });
    assert.deepEqual(message.seconds, { first: 1, reasoning: 1, all: 5 });
    for (const index of [-1, 1e9, 0.5, 'x']) assert.throws(() => add({ tool_calls: [{ index }] }, 7), /makes no sense/);
    assert.throws(() => addChunk(message, { error: { message: 'broken', code: 503 } }, 8), (e) => e.message === 'broken' && e.status === 503);
  },

  'requests carry what was said and what was set'() {
    const messages = [
      { id: '1', role: 'user', content: 'Hi' },
      { ...newAnswer('m'), content: 'Yes', reasoning: 'Hm', calls: [{ id: 'c', name: 'f', arguments: '{}' }] },
      { id: '3', role: 'tool', call: 'c', name: 'f', content: '42' },
      { ...newAnswer('m'), error: 'failed' },
    ];
    const body = requestBody({ model: 'm', settings: { system: 'Be brief', temperature: 0, stop: ['x'] }, messages });
    assert.deepEqual(body, {
      model: 'm',
      messages: [
        { role: 'system', content: 'Be brief' },
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: 'Yes', reasoning_content: 'Hm', tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }] },
        { role: 'tool', tool_call_id: 'c', content: '42' },
      ],
      temperature: 0,
      stop: ['x'],
      stream: true,
      stream_options: { include_usage: true },
    });
    assert.deepEqual(openCalls(messages), []);
    assert.deepEqual(openCalls(messages.slice(0, 2)).map((c) => c.id), ['c']);
    assert.deepEqual(openCalls([]), []);
  },

  'an export is imported as it was, and nothing else is'() {
    const answer = { ...newAnswer('m'), content: 'Yes', reasoning: '', calls: [{ id: 'c', name: 'f', arguments: '{}' }], finish: 'stop',
      usage: { in: 1, cached: 0, out: 2 }, seconds: { first: 0.1, reasoning: 0, all: 1 } };
    const conversation = { id: 'abc', title: 'T', created: 1, updated: 2, revision: 5, model: 'm', settings: { temperature: 0.5, stop: ['x'] },
      messages: [{ id: 'u1', role: 'user', content: 'Hi' }, answer, { id: 't1', role: 'tool', call: 'c', name: 'f', content: '42' }] };
    assert.deepEqual(imported(exported([conversation])), [{ ...conversation, revision: 0 }]);

    const broken = (change) => {
      const copy = structuredClone(conversation);
      change(copy);
      return exported([copy]);
    };
    for (const [text, where] of [
      ['', /not JSON/], ['null', /not an export/], ['{"hearth_conversations": 2}', /version/], ['{"hearth_conversations": 1}', /conversations is not a list/],
      [broken((c) => { c.id = '../x'; }), /conversations\[0\]\.id is not an identifier/],
      [broken((c) => { c.title = 7; }), /title is not a text/],
      [broken((c) => { c.updated = -1; }), /updated is not a number/],
      [broken((c) => { c.settings = []; }), /settings is not an object/],
      [broken((c) => { c.messages[0].role = 'constructor'; }), /messages\[0\]\.role is "constructor"/],
      [broken((c) => { c.messages[0].content = null; }), /messages\[0\]\.content is not a text/],
      [broken((c) => { c.messages[1].calls[0].name = {}; }), /calls\[0\]\.name is not a text/],
      [broken((c) => { c.messages[1].usage.in = 'x'; }), /usage\.in is not a number/],
      [broken((c) => { c.messages[2] = 'x'; }), /messages\[2\] is not an object/],
    ]) assert.throws(() => imported(text), where, text.slice(0, 80));
    const extra = JSON.parse(exported([conversation]));
    extra.conversations[0].messages[0].__proto__x = 'y';
    assert.ok(!('__proto__x' in imported(JSON.stringify(extra))[0].messages[0]));
  },

  'metrics are summed over their labels'() {
    const found = sums('# HELP a x\n# TYPE a counter\na{b="1"} 2\na{b="} 9"} 3 1700000000\nb 4.5\nc NaN\n\nnonsense\nd{x="y"} +Inf\n');
    assert.deepEqual([...found], [['a', 5], ['b', 4.5]]);
  },

  'numbers are written as people read them'() {
    assert.deepEqual([0, 999, 1000, 4_700_000, 999_949, 999_960, 25e9, 3e15].map(bytes), ['0 B', '999 B', '1.0 kB', '4.7 MB', '999.9 kB', '1.0 MB', '25.0 GB', '3000.0 TB']);
    assert.deepEqual([0, 1, 1234, 9999, 10000, 12_345_678, -2_500_000].map(money), ['$0.00', '$0.000001', '$0.0012', '$0.01', '$0.01', '$12.35', '-$2.50']);
    assert.deepEqual([0.4, 9.96, 59, 60, 125, 3599.6, 12000].map(duration), ['0.4 s', '10.0 s', '59 s', '1 min 0 s', '2 min 5 s', '1 h 0 min', '3 h 20 min']);
    assert.deepEqual([percent(1, 3), percent(0, 5), percent(1, 0)], ['33 %', '0 %', '']);
    assert.deepEqual([rate(3.14159), rate(1234.5)], ['3.1', '1,235']);
    assert.deepEqual([0, 0.0041, 0.05, 1.5].map(energy), ['0.00 Wh', '4.10 Wh', '50.0 Wh', '1.50 kWh']);
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
  } catch (e) {
    failed++;
    console.log(`FAILED: ${name}\n  ${e.message}`);
  }
}
console.log(`${Object.keys(tests).length - failed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
