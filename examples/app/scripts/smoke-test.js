import assert from 'node:assert/strict';
import { address } from './address.js';

const ask = (path, options = {}) => fetch(`${address}${path}`, { signal: AbortSignal.timeout(5_000), ...options });
const post = (path, body, headers = {}) =>
  ask(path, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) });

const tests = {
  async 'the instance is healthy'() {
    assert.equal((await ask('/healthz')).status, 200);
  },
  async 'the page and its assets are served'() {
    const page = await (await ask('/')).text();
    const assets = [...page.matchAll(/\/static\/[\w.-]+/g)].map(([path]) => path);
    assert.ok(assets.length > 0, 'the page names no asset');
    for (const { status } of await Promise.all(assets.map((path) => ask(path)))) assert.equal(status, 200);
  },
  async 'a stranger is asked to sign in'() {
    assert.equal((await ask('/api/statistics')).status, 401);
  },
  async 'a wrong password is refused'() {
    assert.equal((await post('/api/auth/sign-in', { email: 'admin@example.org', password: 'wrong' })).status, 401);
  },
  async 'the administrator signs in and sees statistics'() {
    if (!process.env.SEED_ADMIN_PASSWORD) return 'skipped: SEED_ADMIN_PASSWORD is not set';
    const entry = await post('/api/auth/sign-in', { email: 'admin@example.org', password: process.env.SEED_ADMIN_PASSWORD });
    assert.equal(entry.status, 200);
    const headers = { Cookie: entry.headers.get('set-cookie').split(';')[0] };
    assert.ok((await (await ask('/api/statistics', { headers })).json()).students > 0);
    assert.equal((await post('/api/auth/sign-out', {}, headers)).status, 204);
    assert.equal((await ask('/api/me', { headers })).status, 401);
  },
};

for (const [name, test] of Object.entries(tests)) {
  try {
    console.log(`${(await test()) ?? 'ok'}: ${name}`);
  } catch (error) {
    console.error(`FAILED: ${name}: ${error.message}`);
    process.exitCode = 1;
  }
}
