// harness.mjs: what the browser tests share: a Chromium, pages that watch what goes wrong on them, and counting.

import { createRequire } from 'node:module';
import { join } from 'node:path';

const [url, work, shots, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(join(work, 'package.json'))('playwright-core');
export const axePath = join(work, 'node_modules/axe-core/axe.min.js');
export { shots, url };

const PATIENCE_MS = 60000; // for what must happen: a slow machine is not an error
const counts = { passed: 0, failed: 0 };
const problems = []; // what no page may do, whatever the test
let expected = null; // but for what a test provokes
let browser;

export function check(good, what, shown) {
  counts[good ? 'passed' : 'failed']++;
  if (!good) console.log(`FAILED: ${what}${shown === undefined ? '' : `\n  ${JSON.stringify(shown).slice(0, 2000)}`}`);
  return good;
}

export const same = (got, want, what) => check(JSON.stringify(got) === JSON.stringify(want), what, { got, want });

/** Waits until f() is true; says what did not happen otherwise. */
export async function until(f, what) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    if (await f()) return;
    if (Date.now() > end) throw new Error(`did not happen: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 40); });
  }
}

/** What the mock server has seen. */
export const seen = async () => (await fetch(new URL('mock/log', url))).json();
export const setServer = (settings) => fetch(new URL('mock/set', url), { method: 'POST', body: JSON.stringify(settings) });

/** A page in a browser of its own, with nothing kept from before. */
async function fresh(options = {}, prepare = undefined, ready = undefined) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  await context.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
  });
  if (prepare) await context.addInitScript(prepare);
  return { context, page: await open(context, '', ready) };
}

/** `ready`: what is there when it can be used. */
export async function open(context, hash = '', ready = '#model option') {
  const page = await context.newPage();
  page.on('pageerror', (e) => problems.push(`error: ${e.message}`));
  page.on('request', (r) => {
    if (!r.url().startsWith(url) && !r.url().startsWith('blob:')) problems.push(`a request to ${r.url()}`);
  });
  page.on('console', (m) => { // what the server refused is reported there too, and is part of tests
    if (m.type() === 'error' && !m.text().startsWith('Failed to load resource')) problems.push(`console: ${m.text()}`);
  });
  await page.goto(url + hash);
  await page.locator(ready).first().waitFor({ state: 'attached' });
  return page;
}

/** Closes it, after a look at what its pages must never have done. */
async function close(context) {
  for (const page of context.pages()) {
    problems.push(...(await page.evaluate(() => window.violations)).map((v) => `policy: ${v}`));
    if (await page.evaluate(() => window.evil)) problems.push('a script of a model, a client or a file ran');
  }
  await context.close();
}

// ---- what a person does

export async function say(page, text) {
  await page.locator('#prompt').fill(text);
  await page.locator('#prompt').press('Enter');
}

export const answers = (page) => page.locator('.message.assistant');

/** Until the last answer has ended. */
export async function ended(page, n) {
  await until(async () => await answers(page).count() === n && await page.locator('#send').isVisible(), `answer ${n} ends`);
  return answers(page).nth(n - 1);
}

export async function ask(page, text, n) {
  await say(page, text);
  return ended(page, n);
}

/** Until what was said is kept: an answer is shown a moment before it is in the browser's database. */
export const kept = (page) => until(async () => await page.locator('#conversations').getAttribute('aria-busy') === null, 'the conversation is kept');

export async function reload(page) {
  await kept(page);
  await page.reload();
}

export const focused = (page) => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());

/** Runs each test with pages of its own; { name: async ({ fresh, provokes }) => … }. */
export async function run(tests) {
  browser = await chromium.launch({
    executablePath,
    args: ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      ...(process.getuid() === 0 ? ['--no-sandbox'] : [])],
  });
  for (const [name, test] of Object.entries(tests)) {
    const contexts = [];
    const failedBefore = counts.failed;
    expected = null;
    const tools = {
      provokes: (pattern) => { expected = pattern; },
      fresh: async (...a) => {
        const made = await fresh(...a);
        contexts.push(made.context);
        return made;
      },
    };
    try {
      await test(tools);
    } catch (e) {
      check(false, `${name}: ${e.message}`);
    }
    if (counts.failed > failedBefore) await contexts[0]?.pages()[0]?.screenshot({ path: join(shots, `failed-${name.replaceAll(/\W+/g, '-')}.png`) }).catch(() => {});
    for (const context of contexts) await close(context);
    const wrong = problems.splice(0).filter((p) => !expected?.test(p));
    check(wrong.length === 0, `${name}: on no page anything goes wrong`, wrong);
    if (counts.failed > failedBefore) console.log(`  (in: ${name})`);
  }
  await browser.close();
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  process.exitCode = counts.failed ? 1 : 0;
}
