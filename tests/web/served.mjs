// served.mjs: the page with the server it was made for, `hearth serve`, and no fake between: node served.mjs URL WORK SHOTS CHROMIUM. test_web.py starts it,
// a second time with a server that has a key (in HEARTH_TEST_KEY) and answers one request at a time.

import { join } from 'node:path';
import { ask, check, run, same, say, shots, until, url } from './harness.mjs';

const key = process.env.HEARTH_TEST_KEY;
const headers = { 'Content-Type': 'application/json', 'User-Agent': 'streamer/1.0', ...(key && { Authorization: `Bearer ${key}` }) };
const api = async (path) => (await fetch(new URL(path, url), { headers })).json();
const shoot = (page, name) => page.screenshot({ path: join(shots, `served-${name}.png`) });
const cells = (row) => row.locator('th, td').allTextContents();

/** An answer that does not end by itself. */
async function streaming() {
  const stop = new AbortController();
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'Go on for ever.' }], stream: true, max_tokens: 30000, ignore_eos: true });
  const response = await fetch(new URL('v1/chat/completions', url), { method: 'POST', headers, body, signal: stop.signal });
  (async () => { for await (const _ of response.body) { /* what is not read would be cut */ } })().catch(() => {});
  return stop;
}

async function settle(page, tokens) {
  await page.locator('#settings-toggle').click();
  await page.getByLabel('Most tokens').fill(String(tokens));
  await page.getByLabel('Seed').fill('7');
  await page.getByLabel('Seed').blur();
  await page.locator('#settings-toggle').click();
}

const open = {
  async 'the person is asked for the key'({ fresh }) {
    const { page } = await fresh({}, undefined, '#key-dialog[open]');
    await page.locator('#key').fill('not-this-one');
    await page.keyboard.press('Enter');
    await page.locator('#key-wrong').waitFor();
    await page.locator('#key').fill(key);
    await page.keyboard.press('Enter');
    await page.locator('#model option').first().waitFor({ state: 'attached' });
    await settle(page, 5);
    const answer = await ask(page, 'Who are you?', 1);
    check(await answer.locator('.measures').count() === 1, 'and has an answer');
    await page.locator('nav a', { hasText: 'Machine' }).click();
    await until(async () => (await page.locator('#machine-models').textContent()).includes('ember'), 'and sees the machine');
    const running = await streaming(); // it has the only place: what comes now waits
    await page.locator('nav a', { hasText: 'Chat' }).click();
    await say(page, 'Are you there?');
    await until(async () => (await api('slots')).map((s) => s.state).includes('queued'), 'a second question waits');
    await page.locator('#stop').click();
    await page.locator('#send').waitFor();
    await until(async () => (await api('slots')).length === 1, 'what the person stops is taken back');
    running.abort();
    await page.locator('nav a', { hasText: 'Ledger' }).click();
    await until(async () => (await page.locator('#ledger-client').textContent()).includes('me'), 'and the ledger, in which the client has the name of the key');
  },
};

const tests = {
  async 'a conversation'({ fresh }) {
    const { page } = await fresh();
    same(await page.locator('#model option').allTextContents(), ['ember'], 'the model that is served');
    await settle(page, 24);
    const answer = await ask(page, 'What is the capital of France? '.repeat(30), 1);
    check((await answer.locator('.text').textContent()).trim().length > 3, 'the model answers', await answer.textContent());
    // No rate where the answer came all at once.
    check(/tokens read.* \d+ written · first after [\d.]+ s( · [\d.,]+ tokens\/s)?$/.test(await answer.locator('.measures').textContent()), 'and it is told what that took', await answer.locator('.measures').textContent());
    const second = await ask(page, 'And of Spain?', 2);
    check(/of them from the cache/.test(await second.locator('.measures').textContent()), 'what was said before comes from the cache', await second.locator('.measures').textContent());
    await shoot(page, 'chat');
    const rows = (await api('api/ledger?by=client')).rows.filter((r) => r.key === 'browser');
    same(rows.map((r) => [r.requests, r.tokens_cached > 0]), [[2, true]], 'both stand in the ledger');
  },

  async 'the machine'({ fresh }) {
    const running = await streaming();
    const { page } = await fresh();
    await page.locator('nav a', { hasText: 'Machine' }).click();
    await until(async () => (await page.locator('#machine-slots').textContent()).includes('streamer'), 'who is answered');
    const slot = await cells(page.locator('#machine-slots tr').first());
    check(/^[0-9a-f]{16}$/.test(slot[0]) && slot[1] === 'ember' && slot[2] === 'streamer', 'a request', slot);
    await until(async () => { const c = await cells(page.locator('#machine-slots tr').first()); return c[3] === 'writes' && Number(c[6].replaceAll(',', '')) > 0 && parseFloat(c[7].replaceAll(',', '')) > 0; }, 'how fast it writes');
    await page.locator('#machine-models td').first().waitFor(); // the machine is asked for beside the slots
    await until(async () => (await page.locator('#machine-tiles').textContent()) !== '', 'the tiles come');
    const model = await cells(page.locator('#machine-models tr').first());
    same(model.slice(0, 3), ['ember', 'ready', '4.8 MB'], 'the model');
    check(/Hearth occupies.*MB of .*Prefix cache in memory.*Requests.*Running for/.test(await page.locator('#machine-tiles').textContent()), 'the tiles', await page.locator('#machine-tiles').textContent());
    await shoot(page, 'machine');
    running.abort();
    await until(async () => (await page.locator('#machine-slots').textContent()).includes('Nothing is being answered.'), 'and it is gone when its client is');
  },

  async 'the ledger'({ fresh }) {
    const { page } = await fresh();
    await page.locator('nav a', { hasText: 'Ledger' }).click();
    await page.locator('#ledger-client tbody tr').nth(1).waitFor();
    const report = await api('api/ledger?by=model');
    const row = await cells(page.locator('#ledger-model tbody tr').first());
    const n = report.rows[0];
    same([row[0], ...row.slice(3, 7)], ['ember', ...[n.requests, n.tokens_in, n.tokens_cached, n.tokens_out].map((x) => x.toLocaleString('en'))], 'the sums are those of the report');
    same(await page.locator('#ledger-client tbody th').allTextContents(), ['browser', 'streamer'], 'the clients');
    same(await page.locator('#ledger-against').inputValue(), report.against, 'the model of the price table');
    check((await page.locator('#ledger-note').textContent()).includes('Energy'), 'what is known of the energy');
    await page.locator('#ledger-against').selectOption('gpt-4o');
    await until(async () => (await page.locator('#ledger-chart').getAttribute('aria-label')).includes('with gpt-4o'), 'against another model');
    await shoot(page, 'ledger');
  },
};

await run(key ? open : tests);
