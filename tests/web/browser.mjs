// browser.mjs: the page as a person uses it, in a headless Chromium: node browser.mjs URL WORK SHOTS CHROMIUM. test_web.py starts it.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { answers, ask, axePath, check, ended, focused, kept, open, reload, run, same, say, seen, setServer, shots, until, url } from './harness.mjs';

const EVIL = '<img src=x onerror="window.evil=1">';

const MARKDOWN = `# A heading

A paragraph with **strong**, *emphasis*, \`code\` and a [link](https://example.org/a "t"), also https://example.org/b and main.py.
It refers to [what comes later][ref].

1. first

2. second

   with a paragraph

text

7. seventh

- [ünïcode](mailto:a@example.org) 🔥
  - nested

| left | right |
|:-----|------:|
| a    |     1 |

> quoted

\`\`\`python
def f(x):
    return x < 3  # <b>
\`\`\`

![picture](https://example.org/p.png)

[ref]: https://example.org/ref

The end
=======
`;

const ATTACKS = [
  EVIL, '<script>window.evil=1</script>', '<svg onload="window.evil=1">', '<svg><script>window.evil=1</script></svg>', '<iframe srcdoc="<script>parent.evil=1</script>"></iframe>',
  '[a](javascript:window.evil=1)', '[a](JaVaScRiPt:window.evil=1)', '[a](&#106;avascript:window.evil=1)', '[a](data:text/html,<script>parent.evil=1</script>)', '[a](vbscript:x)',
  '<javascript:window.evil=1>', '![x](javascript:window.evil=1)', '![x" onerror="window.evil=1](x)', '[x](https://example.org "a\\" onmouseover=\\"window.evil=1")',
  '```"><img src=x onerror=window.evil=1>\nx\n```', '<style>body{display:none}</style>', '<a href="javascript:window.evil=1" style="position:fixed">x</a>', '<form action=//example.org><input name=x></form>',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.evil=1&gt;">', '[a](#machine)', '[a](/v1/models)', '[a](//example.org/x)',
];

/** Shows the whole of the page for the record, and for who reviews it. */
const shoot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`) });

const html = (page) => answers(page).last().locator('.text').evaluate((n) => n.innerHTML);

const tests = {
  async 'an answer streams'({ fresh }) {
    const { page } = await fresh();
    await say(page, 'slow 200');
    await until(async () => (await answers(page).locator('.text').textContent().catch(() => '')).includes('word3 '), 'words come');
    check(await answers(page).locator('article').getAttribute('aria-busy') === 'true', 'the answer is marked as busy');
    check(!(await answers(page).locator('.text').textContent()).includes('word199'), 'words are shown before the last one is there');
    check(await page.locator('#stop').isVisible() && !await page.locator('#send').isVisible(), 'while it comes it can be stopped');
    check(await page.locator('.message.user .changes').isDisabled(), 'while it comes nothing can be edited');
    const answer = await ended(page, 1);
    check((await answer.locator('.text').textContent()).trim().endsWith('word198 word199'), 'all words came');
    check(await answer.locator('article').getAttribute('aria-busy') === null, 'it is busy no more');
    check(/1,200 tokens read, 1,000 of them from the cache · 34 written · first after .* tokens\/s/.test(await answer.locator('.measures').textContent()), 'its measures are shown',
      await answer.locator('.measures').textContent());
    check((await answer.locator('.who').textContent()) === 'ember', 'it names the model');
    check(/#chat\/[0-9a-f]{16}$/.test(page.url()), 'the conversation has an address', page.url());
    check((await page.locator('#live').textContent()).includes('The answer is complete.'), 'a screen reader is told');
    check((await page.title()).startsWith('slow 200'), 'the title is that of the conversation');
    same((await seen()).chats.at(-1), { model: 'ember', messages: [{ role: 'user', content: 'slow 200' }], stream: true, stream_options: { include_usage: true } }, 'what was asked');
  },

  async 'Markdown is shown, the same while it comes and afterwards'({ fresh }) {
    const { page, context } = await fresh();
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const answer = await ask(page, `echo ${MARKDOWN}`, 1);
    const text = answer.locator('.text');
    same(await text.locator('h3, h4').allTextContents(), ['A heading', 'The end'], 'headings stand below those of the page');
    same(await text.locator('strong, em').allTextContents(), ['strong', 'emphasis'], 'emphasis');
    same(await text.locator('a').evaluateAll((a) => a.map((n) => [n.getAttribute('href'), n.target, n.rel])),
      ['https://example.org/a', 'https://example.org/b', 'https://example.org/ref', 'mailto:a@example.org'].map((h) => [h, '_blank', 'noopener noreferrer nofollow']), 'links');
    same(await text.locator('ol').evaluateAll((l) => l.map((n) => [n.start, n.children.length])), [[1, 2], [7, 1]], 'numbered lists');
    check(await text.locator('th').nth(1).evaluate((n) => getComputedStyle(n).textAlign) === 'end' || await text.locator('th').nth(1).getAttribute('class') === 'align-right', 'alignment without styles');
    check((await text.textContent()).includes('[picture: picture https://example.org/p.png]') && await text.locator('img').count() === 0, 'pictures are named, not loaded');
    const code = text.locator('.code');
    same(await code.locator('.code-head span').textContent(), 'python', 'the language of code');
    await code.locator('button').click();
    await until(async () => await code.locator('button').textContent() === 'Copied', 'code is copied');
    same(await page.evaluate(() => navigator.clipboard.readText()), 'def f(x):\n    return x < 3  # <b>\n', 'code is copied as it is');
    await answer.getByRole('button', { name: 'Copy this answer' }).click();
    await until(async () => await page.evaluate(() => navigator.clipboard.readText()) === MARKDOWN.trim(), 'the answer is copied as it was written');
    const spoken = await page.locator('#live p').allTextContents();
    check(spoken.includes('Code, python, 2 lines.') && spoken.includes('A heading') && !spoken.some((s) => s.includes('return x')), 'blocks are announced, code is named', spoken);
    await until(async () => await code.locator('button').textContent() === 'Copy', 'the button says Copy again');
    const grown = await html(page);
    await reload(page);
    await ended(page, 1);
    same(await html(page), grown, 'what grew is what is rendered whole');
  },

  async 'a long answer arrives whole'({ fresh }) {
    const { page } = await fresh();
    const long = Array.from({ length: 100 }, (_, i) => `## Part ${i}\n\nSome *text* about ${i}.\n\n- one\n- two\n\n\`\`\`\ncode ${i}\n\`\`\`\n`).join('\n');
    const answer = await ask(page, `echo ${long}`, 1);
    same(await answer.locator('h4').count(), 100, 'all parts are there');
    same(await answer.locator('.code').count(), 100, 'all code is there');
    const grown = await html(page);
    check(await page.evaluate(() => { const s = document.getElementById('scroll'); return s.scrollHeight - s.scrollTop - s.clientHeight < 60; }), 'the end is in view');
    await reload(page);
    await ended(page, 1);
    check(await html(page) === grown, 'what grew is what is rendered whole');
  },

  async 'what a model writes can do nothing'({ fresh }) {
    const { page } = await fresh();
    const answer = await ask(page, `echo ${ATTACKS.join('\n\n')}`, 1);
    const text = answer.locator('.text');
    same(await text.locator('script, img, svg, iframe, style, form, input, math, object, embed, link, meta').count(), 0, 'no element but those for text');
    const attributes = await text.evaluate((n) => [...new Set([...n.querySelectorAll('*')].flatMap((e) => e.getAttributeNames()))].sort());
    check(attributes.every((a) => ['aria-label', 'class', 'href', 'rel', 'role', 'tabindex', 'target', 'title', 'type'].includes(a)), 'no attribute but the known ones', attributes);
    const hrefs = await text.locator('a[href]').evaluateAll((a) => a.map((n) => n.getAttribute('href')));
    check(hrefs.every((h) => /^(https?|mailto):/.test(h)), 'links lead to other hosts only, under known schemes', hrefs);
    check((await text.textContent()).includes('<script>window.evil=1</script>'), 'markup is shown as what it is: text');
    for (const link of await text.locator('a:not([href])').all()) await link.click({ force: true }).catch(() => {});
    await ask(page, EVIL, 2);
    check((await page.locator('.message.user .text').last().textContent()) === EVIL, 'what a person writes is text too');
    await ask(page, 'think', 3);
    await page.locator('.reasoning summary').last().click();
    check((await page.locator('.thought').last().textContent()).includes(EVIL), 'reasoning is text');
    await reload(page);
    await ended(page, 3);
    same(await text.locator('script, img, svg, iframe, style').count(), 0, 'neither when it is read back');
    check(!await page.evaluate(() => window.evil), 'nothing ran');
  },

  async 'the policy stands behind all that'({ fresh, provokes }) {
    provokes(/^console: |^policy: |127\.0\.0\.2/);
    const { page } = await fresh();
    const { headers } = await fetch(url);
    check(headers.get('content-security-policy').startsWith("default-src 'self';"), 'the header is there');
    // In the page itself: each of these must fail, whatever came before it.
    const blocked = await page.evaluate(async () => {
      const trial = (f) => { try { f(); return 'ran'; } catch (e) { return e.name; } };
      const image = new Image();
      const results = {
        markup: trial(() => { document.createElement('div').innerHTML = '<b>x</b>'; }),
        script: trial(() => document.body.append(Object.assign(document.createElement('script'), { text: 'window.inline = 1' }))),
        image: await new Promise((resolve) => { image.onload = () => resolve('loaded'); image.onerror = () => resolve('refused'); image.src = 'http://127.0.0.2:9/x.png'; }),
        connect: await fetch('http://127.0.0.2:9/').then(() => 'sent', (e) => e.name),
      };
      return { ...results, inline: window.inline };
    });
    check(blocked.markup === 'TypeError' && blocked.script === 'TypeError', 'text does not become markup or script', blocked);
    await until(() => page.evaluate(() => window.violations.length >= 3), 'the browser says what it refused');
    check((await page.evaluate(() => window.violations.splice(0))).some((v) => v.startsWith('require-trusted-types-for')), 'also where text would have become markup');
    check(blocked.image === 'refused' && blocked.connect === 'TypeError' && !blocked.inline, 'no other host is reached', blocked);
  },

  async 'an answer can be stopped'({ fresh }) {
    const { page } = await fresh();
    const before = (await seen()).left;
    await say(page, 'slow 3000');
    await until(async () => (await answers(page).textContent()).includes('word4 '), 'words come');
    await page.locator('#stop').click();
    const answer = await ended(page, 1);
    const text = await answer.locator('.text').textContent();
    check((await answer.locator('.note').textContent()) === 'You stopped this answer.', 'it says that it was stopped');
    await until(async () => (await seen()).left === before + 1, 'the server sees that the client left');
    check(await answer.locator('.text').textContent() === text, 'nothing more comes');

    await say(page, 'slow 3000');
    await until(async () => (await answers(page).last().textContent()).includes('word2 '), 'words come again');
    await page.keyboard.press('Escape');
    await ended(page, 2);
    same((await seen()).chats.at(-1).messages.length, 3, 'what was said before the stop is sent again');

    await say(page, 'nothing');
    await page.locator('#stop').click();
    await until(async () => await page.locator('#send').isVisible(), 'it ends');
    same(await answers(page).count(), 2, 'of an answer that had not begun nothing is left');
    await page.getByRole('button', { name: 'Ask again' }).click();
    await page.locator('#stop').click();
    await until(async () => await page.locator('#send').isVisible(), 'it ends again');
  },

  async 'edit and retry'({ fresh }) {
    const { page } = await fresh();
    await ask(page, 'first', 1);
    await ask(page, 'second', 2);
    await page.locator('.message.assistant').last().getByRole('button', { name: 'Retry' }).click();
    await ended(page, 2);
    same((await seen()).chats.at(-1).messages.map((m) => m.content), ['first', 'You said: first', 'second'], 'a retry asks the same');
    await page.locator('.message.user').first().getByRole('button', { name: 'Edit' }).click();
    await page.locator('.editing textarea').press('Escape');
    check(await focused(page) === 'Edit', 'Escape leaves the text as it was and the focus where it came from', await focused(page));
    await page.keyboard.press('Enter');
    await page.locator('.editing textarea').fill('third');
    await page.getByRole('button', { name: 'Send again' }).click();
    const answer = await ended(page, 1);
    same(await answer.locator('.text').textContent(), 'You said: third', 'the new text is answered');
    same(await page.locator('.message').count(), 2, 'what came after is gone');
    same((await seen()).chats.at(-1).messages.map((m) => m.content), ['third'], 'only the new text is sent');
    await reload(page);
    await ended(page, 1);
    same(await page.locator('.message').count(), 2, 'also after a reload');
  },

  async 'conversations are kept, exported, deleted and imported'({ fresh }) {
    const { page } = await fresh();
    await ask(page, 'apples', 1);
    await page.locator('#new').click();
    await until(async () => await page.locator('.message').count() === 0, 'a new conversation');
    await page.locator('#model').selectOption('qwen3-8b');
    await ask(page, 'pears', 1);
    await reload(page);
    await ended(page, 1);
    await until(async () => await page.locator('#conversations a').count() === 2, 'they are listed');
    same(await page.locator('#conversations a').allTextContents(), ['pears', 'apples'], 'both, the newest first');
    same(await page.locator('.message.user .text').textContent(), 'pears', 'the address brings its conversation back');
    same(await page.locator('#model').inputValue(), 'qwen3-8b', 'with its model');
    await page.locator('#conversations a', { hasText: 'apples' }).click();
    await until(async () => await page.locator('.message.user .text').textContent() === 'apples', 'the other one');

    const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#export').click()]);
    check(/^hearth-conversations-\d{4}-\d\d-\d\d\.json$/.test(download.suggestedFilename()), 'the export has a name with its day', download.suggestedFilename());
    const file = join(shots, 'export.json');
    await download.saveAs(file);

    await page.getByRole('button', { name: 'Delete “pears”' }).click();
    await page.locator('#ask-dialog').getByRole('button', { name: 'Keep' }).click();
    same(await page.locator('#conversations a').count(), 2, 'a question stands before deleting');
    await page.getByRole('button', { name: 'Delete “pears”' }).click();
    await page.locator('#ask-yes').click();
    await until(async () => await page.locator('#conversations a').count() === 1, 'one is deleted');
    await page.locator('#delete-all').click();
    await page.locator('#ask-yes').click();
    await until(async () => await page.locator('#conversations a').count() === 0, 'all are deleted');
    await reload(page);
    await page.locator('#model option').first().waitFor({ state: 'attached' });
    same(await page.locator('.message, #conversations a').count(), 0, 'and stay deleted');

    await page.locator('#import-file').setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from('{"hearth_conversations": 1, "conversations": [{}]}') });
    await until(async () => /conversations\[0\]\.id is not a text/.test(await page.locator('#notice').textContent()), 'a wrong file is refused by the place');
    same(await page.locator('#conversations a').count(), 0, 'nothing of it is taken');
    await page.locator('#import-file').setInputFiles(file);
    await until(async () => await page.locator('#conversations a').count() === 2, 'the export is imported');
    await page.locator('#import-file').setInputFiles(file);
    await until(async () => (await page.locator('#notice').textContent()).includes('0 of 2'), 'again: they are there already');
    await page.locator('#conversations a', { hasText: 'pears' }).click();
    await until(async () => (await page.locator('.message.assistant .text').textContent()) === 'You said: pears', 'messages and all');
  },

  async 'hostile conversations in a file'({ fresh }) {
    const { page } = await fresh();
    const conversation = { id: 'h1', title: EVIL, created: 1, updated: 2, model: EVIL, settings: { temperature: 'hot', stop: 7, tools: 'x', system: {}, messages: [], evil: 1 },
      messages: [{ id: 'a', role: 'user', content: EVIL }, { id: 'b', role: 'assistant', content: ATTACKS.join('\n\n'), reasoning: EVIL, calls: [], model: EVIL, finish: EVIL, error: EVIL }] };
    const file = join(shots, 'hostile.json');
    await writeFile(file, JSON.stringify({ hearth_conversations: 1, conversations: [conversation] }));
    await page.locator('#import-file').setInputFiles(file);
    await page.locator('#conversations a').click();
    await until(async () => await page.locator('.message').count() === 2, 'it is shown');
    same(await page.locator('main img').count(), 0, 'as text');
    await ask(page, 'more', 2);
    const { messages, ...rest } = (await seen()).chats.at(-1);
    same(rest, { model: EVIL, stream: true, stream_options: { include_usage: true } }, 'settings that make no sense are not sent');
    same(messages.length, 3, 'messages are');
  },

  async 'a reload in the middle of an answer'({ fresh }) {
    const { page } = await fresh();
    await say(page, 'slow 3000');
    await until(async () => (await answers(page).textContent()).includes('word120 '), 'some of it is there and kept');
    await reload(page);
    await until(async () => await answers(page).count() === 1, 'it is there');
    check((await answers(page).locator('.text').textContent()).startsWith('word0 word1'), 'the answer so far is kept');
    check((await answers(page).locator('.note').textContent()).includes('cut off'), 'and said to be cut off');
  },

  async 'settings are sent, and refused where they make no sense'({ fresh }) {
    const { page } = await fresh();
    await page.locator('#settings-toggle').click();
    await page.locator('#setting-system').fill('Be brief.');
    await page.locator('#setting-temperature').fill('0.25');
    await page.locator('#setting-top_k').fill('40');
    await page.locator('#setting-seed').fill('0');
    await page.locator('#setting-stop').fill('END\n\n###');
    await page.locator('#setting-reasoning_effort').selectOption('low');
    await page.locator('#setting-max_completion_tokens').fill('0');
    await page.locator('#prompt').focus();
    const error = page.locator('#setting-max_completion_tokens-error');
    check(await error.isVisible() && (await error.textContent()).includes('between 1'), 'a wrong value is named', await error.textContent());
    check(await page.locator('#setting-max_completion_tokens').getAttribute('aria-invalid') === 'true', 'for screen readers too');
    await page.locator('#setting-max_completion_tokens').fill('100');
    await page.locator('#setting-tools').fill('{"a"');
    await page.locator('#prompt').focus();
    check((await page.locator('#setting-tools-error').textContent()).includes('JSON'), 'tools that are not JSON are refused');
    await page.locator('#setting-tools').fill('');
    await ask(page, 'hello', 1);
    const { messages, ...rest } = (await seen()).chats.at(-1);
    same(messages[0], { role: 'system', content: 'Be brief.' }, 'the system prompt is sent');
    same(rest, { model: 'ember', temperature: 0.25, top_k: 40, max_completion_tokens: 100, seed: 0, reasoning_effort: 'low', stop: ['END', '###'], stream: true,
      stream_options: { include_usage: true } }, 'the settings are sent, and no others');
    await reload(page);
    await ended(page, 1);
    same(await page.locator('#setting-temperature').inputValue(), '0.25', 'they are kept with the conversation');
    await page.locator('#new').click();
    same(await page.locator('#setting-system').inputValue(), 'Be brief.', 'a new conversation begins with them');
  },

  async 'tools are shown, and get their results'({ fresh }) {
    const { page } = await fresh();
    const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];
    await page.locator('#settings-toggle').click();
    await page.locator('#setting-tools').fill(JSON.stringify(tools));
    await page.locator('#settings-toggle').click();
    const answer = await ask(page, 'tool', 1);
    same((await seen()).chats.at(-1).tools, tools, 'tools are sent');
    same(await answer.locator('.call summary').textContent(), 'Calls weather', 'the call is named');
    same(await answer.locator('.call pre').textContent(), '{\n  "city": "Paris"\n}', 'its arguments are shown');
    await say(page, 'and then?');
    check(await page.locator('#notice').isVisible(), 'a call without a result is not passed over');
    await reload(page); // the form is there again
    await ended(page, 1);
    await page.getByLabel('Result of weather').fill('**sunny**');
    await page.getByRole('button', { name: 'Send results' }).click();
    const next = await ended(page, 2);
    same((await seen()).chats.at(-1).messages.slice(1), [
      { role: 'assistant', content: '', tool_calls: [{ id: 'call_7', type: 'function', function: { name: 'weather', arguments: '{"city": "Paris"}' } }] },
      { role: 'tool', tool_call_id: 'call_7', content: '**sunny**' }], 'the result goes back');
    same(await next.locator('.text').textContent(), 'The tool said: sunny', 'and is answered');
    same(await page.locator('.results').count(), 0, 'no result is asked for any more');
  },

  async 'reasoning is folded'({ fresh }) {
    const { page } = await fresh();
    const answer = await ask(page, 'think', 1);
    check(!await answer.locator('.thought').isVisible(), 'it is folded');
    check((await answer.locator('.reasoning summary').textContent()).startsWith('Reasoned for '), 'it says how long it took');
    await answer.locator('.reasoning summary').press('Enter');
    check(await answer.locator('.thought').isVisible(), 'a key opens it');
    same(await answer.locator('.text').textContent(), 'Then I answer.', 'the answer stands by itself');
  },

  async 'failures say what happened'({ fresh }) {
    const { page } = await fresh();
    const errors = { fail: 'The model fell over.', busy: 'The queue is full. It asks to try again in 7 s.', cut: 'The connection ended before the answer did.', garbage: 'not JSON' };
    let n = 0;
    for (const [what, message] of Object.entries(errors)) {
      const answer = await ask(page, what, ++n);
      check((await answer.locator('.note').textContent()).includes(message), `${what}: it is said`, await answer.locator('.note').textContent());
    }
    check((await answers(page).nth(2).locator('.text').textContent()) === 'Half of an ans', 'what came before is kept');
    await answers(page).last().getByRole('button', { name: 'Retry' }).click();
    await ended(page, n);
    same((await seen()).chats.at(-1).messages.map((m) => m.content), ['fail', 'busy', 'cut', 'Half of an ans', 'garbage'], 'answers that said nothing are not sent');
  },

  async 'a key is asked for'({ fresh }) {
    await setServer({ key: 'right-key' });
    try {
      const { page } = await fresh({}, undefined, '#key-dialog[open]');
      await page.keyboard.type('wrong-key');
      await page.keyboard.press('Enter');
      await page.locator('#key-wrong').waitFor();
      await page.keyboard.type('ünright');
      await page.keyboard.press('Enter');
      check(await page.locator('#key-dialog').isVisible(), 'what cannot be a key is not taken');
      await page.locator('#key').fill('right-key');
      await page.keyboard.press('Enter');
      await until(async () => (await page.locator('#model').textContent()).includes('qwen3-8b'), 'the models come');
      const answer = await ask(page, 'hello', 1);
      same(await answer.locator('.text').textContent(), 'You said: hello', 'and answers');
      same(await page.evaluate(() => [Object.values(sessionStorage), JSON.stringify(localStorage).includes('right-key')]), [['right-key'], false], 'it is kept for the session only');
      await reload(page);
      await until(async () => (await page.locator('#model').textContent()).includes('qwen3-8b'), 'after a reload it is not asked for again');

      await setServer({ key: 'other-key' });
      await say(page, 'again');
      await page.locator('#key-dialog').waitFor();
      await page.keyboard.press('Escape');
      const refused = await ended(page, 2);
      same(await refused.locator('.note').textContent(), 'This server wants a key.', 'who has none is told why there is no answer');
      check(await page.locator('#key-dialog').isHidden(), 'and not asked again at once');
    } finally {
      await setServer({ key: null });
    }
  },

  async 'machine: what is loaded, and what is being answered'({ fresh }) {
    const { page } = await fresh();
    await page.locator('nav a', { hasText: 'Machine' }).click();
    await page.locator('#machine-slots tr').nth(1).waitFor();
    await page.locator('#machine-models tr').first().waitFor(); // another answer of the server's
    same(await focused(page), 'machine-title', 'reading goes on at the title');
    same(await page.locator('nav a[aria-current]').textContent(), 'Machine', 'the link says where one is');
    same(await page.locator('#machine-models tr').first().locator('th, td').allTextContents(), ['ember', 'ready', '4.8 MB', '67.0 MB', '32,768'], 'a model');
    same(await page.locator('#machine-adapters tr').first().locator('th, td').allTextContents(), ['house-style', 'qwen3-8b', '84.0 MB'], 'an adapter');
    const row = await page.locator('#machine-slots tr').first().locator('th, td').allTextContents();
    same([...row.slice(0, 6), row[7]], ['r17', 'qwen3-8b', 'claude-code', 'writes', '20,000', '19,000 (95 %)', '31.3'], 'a request with its speed and what came from the cache');
    check((await page.locator('#machine-slots').textContent()).includes(EVIL), 'a client that calls itself markup is shown as text');
    check(/Hearth occupies6\.1 GB of 25\.0 GB/.test(await page.locator('#machine-tiles').textContent()), 'memory');
    check(/from the cache75 % of 200,000/.test(await page.locator('#machine-tiles').textContent()), 'cache hits');
    const before = row[6];
    await until(async () => await page.locator('#machine-slots tr').first().locator('td').nth(5).textContent() !== before, 'it stays up to date');
    await shoot(page, 'machine');
    await page.locator('nav a', { hasText: 'Chat' }).click();
    await page.waitForTimeout(300);
    const { polls } = await seen();
    await page.waitForTimeout(2500);
    same((await seen()).polls, polls, 'nothing is asked while nobody looks');
  },

  async 'ledger: here against there'({ fresh }) {
    const { page } = await fresh({ colorScheme: 'light' });
    await page.locator('nav a', { hasText: 'Ledger' }).click();
    await page.locator('#ledger-model tbody tr').nth(1).waitFor();
    same(await page.locator('#ledger-model tbody tr').nth(1).locator('th, td').allTextContents(), ['qwen3-8b', '$0.02', '$0.50', '11', '100,000', '80,000', '1,800', '8.00 Wh'], 'a model');
    check((await page.locator('#ledger-client').textContent()).includes(EVIL), 'a client that calls itself markup is shown as text');
    const days = await page.locator('#ledger-day tbody th').count();
    check(days >= 6 && days <= 7, 'the days', days);
    const total = (days * (days + 1)) / 2;
    const there = await page.locator('#ledger-tiles dd').nth(1).textContent();
    same(there, `$${(0.25 * total).toFixed(2)}`, 'the sum there');
    check((await page.locator('#ledger-note').textContent()).includes('estimated') && (await page.locator('#ledger-note').textContent()).includes('3 requests'), 'what must be known is said');
    const colours = () => page.evaluate(() => {
      const canvas = document.querySelector('#ledger-chart canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const found = new Set();
      for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) found.add(`rgb(${data[i]}, ${data[i + 1]}, ${data[i + 2]})`);
      return ['swatch-here', 'swatch-there'].map((id) => found.has(getComputedStyle(document.getElementById(id)).backgroundColor));
    });
    same(await colours(), [true, true], 'bars in both colours are drawn');
    await page.locator('#theme').selectOption('dark');
    same(await colours(), [true, true], 'and in those of the dark');
    await shoot(page, 'ledger-dark');
    await page.locator('#theme').selectOption('system');
    await shoot(page, 'ledger');
    await page.locator('#ledger-against').selectOption('large-model');
    await until(async () => await page.locator('#ledger-tiles dd').nth(1).textContent() === `$${(0.5 * total).toFixed(2)}`, 'another model there');
    await page.locator('#ledger-since').selectOption('7');
    await until(async () => await page.locator('#ledger-day tbody th').count() < days, 'fewer days');
    await setServer({ ledger: false });
    await reload(page);
    await until(async () => await page.locator('#ledger-error').textContent() === 'This server keeps no ledger.', 'a server without one');
    await setServer({ ledger: true });
  },

  async 'a phone'({ fresh }) {
    const { page } = await fresh({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
    const narrow = async (what) => same(await page.evaluate(() => [document.documentElement.scrollWidth, document.body.scrollWidth].map((w) => w <= innerWidth)), [true, true], `${what}: nothing is wider than the phone`);
    await narrow('empty');
    await page.locator('#prompt').fill(`echo ${MARKDOWN}\n\n\`\`\`\n${'long '.repeat(100)}\n\`\`\`\n\n${'x'.repeat(300)}\n\n|${' column |'.repeat(20)}\n|${'---|'.repeat(20)}\n`);
    await page.locator('#send').tap();
    await ended(page, 1);
    await narrow('chat');
    await shoot(page, 'phone-chat');
    await kept(page);
    check(!await page.locator('#conversations').isVisible(), 'the list is folded');
    await page.locator('#side-toggle').tap();
    check(await page.locator('#conversations a').isVisible(), 'and opens');
    await narrow('conversations');
    await page.locator('#new').tap();
    await until(async () => await page.locator('.message').count() === 0, 'a new conversation');
    check(!await page.locator('#conversations').isVisible(), 'it makes room for what was chosen');
    await page.locator('#settings-toggle').tap();
    await narrow('settings');
    await shoot(page, 'phone-settings');
    await page.locator('#prompt').fill('one');
    await page.locator('#prompt').press('Enter');
    same(await page.locator('#prompt').inputValue(), 'one\n', 'Enter makes a new line there');
    for (const name of ['Machine', 'Ledger']) {
      await page.locator('nav a', { hasText: name }).tap();
      await page.locator(name === 'Machine' ? '#machine-slots tr' : '#ledger-client tbody tr').nth(1).waitFor();
      await narrow(name);
      await shoot(page, `phone-${name.toLowerCase()}`);
    }
  },

  async 'with the keyboard alone'({ fresh }) {
    const { page } = await fresh();
    const { keyboard } = page;
    const toTop = () => page.evaluate(() => {
      document.body.tabIndex = -1;
      document.body.focus();
      document.body.removeAttribute('tabindex');
    });
    await reload(page);
    await until(async () => await focused(page) === 'prompt', 'writing can begin at once');
    await keyboard.type('hello');
    await keyboard.press('Enter');
    await ended(page, 1);
    same(await focused(page), 'prompt', 'the focus stays where one writes');
    await kept(page);
    await toTop();
    const order = [];
    for (let i = 0; i < 40; i++) {
      await keyboard.press('Tab');
      const where = await page.evaluate(() => {
        const node = document.activeElement;
        const style = getComputedStyle(node);
        const box = node.getBoundingClientRect();
        return { name: node.id || node.textContent.trim().slice(0, 30), seen: style.outlineStyle !== 'none' && box.width > 4 && box.height > 4 && box.bottom > 0 && box.right > 0 };
      });
      if (!where.seen) check(false, `the focus is visible on ${where.name}`);
      order.push(where.name);
      if (where.name === 'prompt') break;
    }
    const expected = ['skip', 'Hearth', 'Chat', 'Machine', 'Ledger', 'theme', 'new', 'export', 'import', 'delete-all', 'model', 'settings-toggle', 'scroll', 'Copy', 'Edit', 'Copy', 'Retry', 'prompt'];
    same(order.filter((n) => expected.includes(n)), expected, 'everything is reached, in the order in which it is read');
    check(order.length === expected.length + 2, 'with the conversation and its button to delete, and nothing else', order);

    // From the top to the content in one step, and to the settings and back.
    await toTop();
    await keyboard.press('Tab');
    await keyboard.press('Enter');
    same(await focused(page), 'main', 'the skip link leads to the content');
    await page.locator('#settings-toggle').focus();
    await keyboard.press('Enter');
    check(await page.locator('#settings').isVisible() && await page.locator('#settings-toggle').getAttribute('aria-expanded') === 'true', 'settings open');
    await keyboard.press('Tab');
    same(await focused(page), 'setting-system', 'and come next');
    await page.locator('#delete-all').focus();
    await keyboard.press('Enter');
    await page.locator('#ask-dialog').waitFor();
    same(await focused(page), 'Keep', 'the harmless answer is the first');
    await keyboard.press('Escape');
    await until(async () => await focused(page) === 'delete-all', 'Escape closes the question, and the focus returns');
    same(await page.locator('#conversations a').count(), 1, 'nothing was deleted');

    await page.locator('#conversations button').focus();
    await keyboard.press('Enter');
    await page.locator('#ask-dialog').waitFor();
    await keyboard.press('Shift+Tab');
    await keyboard.press('Enter');
    await until(async () => await page.locator('#conversations a').count() === 0, 'deleted by keys');
    await until(async () => await focused(page) === 'new', 'the focus is not lost');
  },

  async 'colours and motion'({ fresh }) {
    const { page, context } = await fresh({ colorScheme: 'dark', reducedMotion: 'reduce' });
    const light = (p) => p.evaluate(() => { const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number); return r + g + b > 384; });
    check(!await light(page), 'dark where the system is dark');
    await ask(page, `echo ${MARKDOWN}`, 1);
    await shoot(page, 'chat-dark');
    await page.locator('#theme').selectOption('light');
    check(await light(page), 'light where it was chosen');
    await reload(page);
    await ended(page, 1);
    check(await light(page), 'also after a reload');
    same(await page.locator('#theme').inputValue(), 'light', 'and the choice says so');
    await shoot(page, 'chat-light');
    const animation = async (p) => {
      await say(p, 'slow 3000');
      await until(async () => (await answers(p).last().textContent()).includes('word2 '), 'words come');
      return p.evaluate(() => getComputedStyle(document.querySelector('.tail > :last-child'), '::after').animationName);
    };
    same(await animation(page), 'none', 'nothing moves where the system asks for that');
    await context.pages()[0].emulateMedia({ reducedMotion: 'no-preference' });
    same(await page.evaluate(() => getComputedStyle(document.querySelector('.tail > :last-child'), '::after').animationName), 'blink', 'otherwise the end of the text blinks');
  },

  async 'accessibility, as axe sees it'({ fresh }) {
    const axe = await readFile(axePath, 'utf8');
    for (const [options, name] of [[{ colorScheme: 'light' }, 'light'], [{ colorScheme: 'dark' }, 'dark'], [{ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true }, 'phone']]) {
      const { page } = await fresh(options);
      const audit = async (where) => {
        await page.evaluate(axe);
        const found = await page.evaluate(async () => (await window.axe.run(document)).violations.map((v) => [v.id, v.nodes.map((n) => n.html.slice(0, 120))]));
        check(found.length === 0, `axe finds nothing: ${where}, ${name}`, found);
      };
      await audit('empty');
      await page.locator('#prompt').fill(`echo ${MARKDOWN}`);
      await page.locator('#composer').evaluate((f) => f.requestSubmit());
      await ended(page, 1);
      await page.locator('#settings-toggle').click();
      await page.locator('#setting-top_p').fill('7');
      await page.locator('#setting-top_k').focus();
      await page.getByRole('button', { name: 'Edit your message' }).click();
      await audit('chat, settings with an error, editing');
      await page.locator('.editing textarea').fill('think');
      await page.getByRole('button', { name: 'Send again' }).click();
      await ended(page, 1);
      await page.locator('#prompt').fill('tool');
      await page.locator('#composer').evaluate((f) => f.requestSubmit());
      await ended(page, 2);
      await audit('reasoning, and a call that waits');
      await page.goto(`${url}#machine`);
      await page.locator('#machine-slots tr').nth(1).waitFor();
      await page.locator('#machine-models tr').first().waitFor();
      await audit('machine');
      await page.goto(`${url}#ledger`);
      await page.locator('#ledger-client tbody tr').nth(1).waitFor();
      await page.locator('#view-ledger summary').click();
      await audit('ledger');
    }
    const { page } = await fresh();
    await page.evaluate(axe);
    await page.locator('#prompt').fill('x');
    await page.evaluate(() => document.getElementById('key-dialog').showModal());
    const found = await page.evaluate(async () => (await window.axe.run(document)).violations.map((v) => [v.id, v.nodes.map((n) => n.html.slice(0, 120))]));
    check(found.length === 0, 'axe finds nothing: the question for a key', found);
  },

  async 'a browser that keeps nothing'({ fresh }) {
    const { page } = await fresh({}, () => {
      for (const name of ['indexedDB', 'localStorage', 'sessionStorage']) Object.defineProperty(window, name, { get() { throw new DOMException('not here', 'SecurityError'); } });
    });
    const answer = await ask(page, 'hello', 1);
    same(await answer.locator('.text').textContent(), 'You said: hello', 'the page works');
    check((await page.locator('#conversations-none').textContent()).includes('until it is closed'), 'and says that nothing is kept');
    await kept(page);
    same(await page.locator('#conversations a').count(), 1, 'for now it is in the list');
  },

  async 'two tabs do not overwrite each other'({ fresh }) {
    const { page, context } = await fresh();
    await ask(page, 'apples', 1);
    await kept(page);
    const other = await open(context, new URL(page.url()).hash);
    await ended(other, 1);
    await ask(page, 'from the first tab', 2);
    await ask(other, 'from the second tab', 2);
    await until(async () => (await other.locator('#notice').textContent()).includes('kept as a copy'), 'the second tab is told');
    await until(async () => await other.locator('#conversations a').count() === 2, 'both are kept');
    check(new URL(page.url()).hash !== new URL(other.url()).hash, 'under two addresses');
    await reload(page);
    await ended(page, 2);
    same(await page.locator('.message.user .text').last().textContent(), 'from the first tab', 'the first is as it was');
    await reload(other);
    await ended(other, 2);
    same(await other.locator('.message.user .text').last().textContent(), 'from the second tab', 'and so is the second');
  },

  async 'an answer goes on while one looks elsewhere'({ fresh }) {
    const { page } = await fresh();
    await say(page, 'slow 200');
    await until(async () => (await answers(page).textContent()).includes('word2 '), 'words come');
    await page.locator('nav a', { hasText: 'Machine' }).click();
    await page.locator('#machine-slots tr').nth(1).waitFor();
    await page.locator('#machine-models tr').first().waitFor();
    await page.locator('nav a', { hasText: 'Chat' }).click();
    check((await answers(page).count()) === 1, 'back to where one was');
    await page.locator('#new').click();
    await ask(page, 'quick', 1);
    await page.locator('#conversations a', { hasText: 'slow 200' }).click();
    const answer = await ended(page, 1);
    await until(async () => (await answer.locator('.text').textContent()).includes('word199'), 'the first one is whole');
  },
};

await run(tests);
