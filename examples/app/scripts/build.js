// Copies public/ to dist/static/ under names that carry a hash of the content, so that browsers and
// proxies may keep them for ever, and writes the page that refers to them.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { parse } from 'node:path';

const hashed = (name, content) => {
  const { name: stem, ext } = parse(name);
  return `${stem}.${createHash('sha256').update(content).digest('hex').slice(0, 10)}${ext}`;
};

rmSync('dist', { recursive: true, force: true });
mkdirSync('dist/static', { recursive: true });
let page = readFileSync('public/index.html', 'utf8');
for (const name of readdirSync('public').filter((file) => file !== 'index.html')) {
  const content = readFileSync(`public/${name}`);
  writeFileSync(`dist/static/${hashed(name, content)}`, content);
  page = page.replaceAll(`/static/${name}"`, `/static/${hashed(name, content)}"`);
}
writeFileSync('dist/index.html', page);
console.log(`dist/: ${readdirSync('dist/static').join(' ')}`);
