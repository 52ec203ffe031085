// build.mjs: bundles src into a folder of static files: node build.mjs OUT. Run by build.sh, beside the node_modules of the lock file.

import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

const BYTES_MAX = 300 * 1000; // of all files, before they are compressed
const [out] = process.argv.slice(2);

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });

const { metafile } = await build({
  entryPoints: { app: 'src/main.js', theme: 'src/theme.js' },
  outdir: out,
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['chrome123', 'firefox121', 'safari17.5'], // the first with all that the page uses
  charset: 'utf8',
  legalComments: 'none', // licences.txt has them whole
  metafile: true,
  logLevel: 'warning',
});
for (const name of ['index.html', 'icon.svg']) await copyFile(join('src', name), join(out, name));

/** The licences of the packages whose code is in the bundle. */
async function licences() {
  const names = new Set(Object.keys(metafile.inputs).map((f) => /node_modules\/((?:@[^/]+\/)?[^/]+)\/[^]*/.exec(f)?.[1]).filter(Boolean));
  const parts = [];
  for (const name of [...names].sort()) {
    const folder = join('node_modules', name);
    const { version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    const file = (await readdir(folder)).find((f) => /^(licen[cs]e|copying)\b/i.test(f));
    if (!file) throw new Error(`${name} has no licence file`);
    parts.push(`${name} ${version} (${license})\n\n${(await readFile(join(folder, file), 'utf8')).trim()}\n`);
  }
  return `This page contains these packages, each under its own licence.\n\n${parts.join(`\n${'-'.repeat(78)}\n\n`)}`;
}
await writeFile(join(out, 'licences.txt'), await licences());

let sum = 0;
for (const name of (await readdir(out)).sort()) {
  const { size } = await stat(join(out, name));
  sum += size;
  console.log(`${String(size).padStart(8)} ${name}`);
}
console.log(`${String(sum).padStart(8)} in all`);
if (sum > BYTES_MAX) throw new Error(`the page has ${sum} bytes, more than ${BYTES_MAX}`);
