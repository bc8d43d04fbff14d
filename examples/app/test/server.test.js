// The real process against a real database: TEST_DATABASE_URL=postgresql://… npm test
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import { environment } from './support.js';

const port = 3999;
const admin = { email: 'admin@example.org', password: 'correct horse battery' };
const env = { ...process.env, ...environment, PORT: String(port), SEED_ADMIN_PASSWORD: admin.password };
const script = (name, more = {}) => spawnSync('node', [`scripts/${name}.js`], { env: { ...env, ...more }, encoding: 'utf8' });

test('an incomplete environment ends the process with a message that names it', () => {
  const { status, stdout } = spawnSync('node', ['src/server.js'], { env: { ...env, DATABASE_URL: '' }, encoding: 'utf8' });
  assert.equal(status, 78);
  assert.match(JSON.parse(stdout).err.message, /DATABASE_URL is missing/);
});

test('build, migrate, seed, verify, serve, smoke test, stop', { skip: !process.env.TEST_DATABASE_URL && 'TEST_DATABASE_URL is not set' }, async () => {
  for (const name of ['build', 'migrate', 'migrate', 'seed', 'seed', 'verify']) {
    const { status, stdout, stderr } = script(name);
    assert.equal(status, 0, `${name}: ${stdout}${stderr}`);
    assert.ok(!stdout.includes(admin.password), `${name} prints a password`);
  }
  const server = spawn('node', ['src/server.js'], { env });
  server.stdout.setEncoding('utf8');
  assert.match((await once(server.stdout, 'data'))[0], /listening/);
  try {
    const { stdout, stderr, status } = script('smoke-test');
    assert.equal(status, 0, stdout + stderr);
    assert.doesNotMatch(stdout, /skipped/);

    // A request whose head has arrived is in flight when the signal comes; its body follows after.
    const request = http.request({ port, path: '/api/auth/sign-in', method: 'POST', headers: { 'Content-Type': 'application/json', Expect: '100-continue' } });
    request.flushHeaders();
    await once(request, 'continue');
    server.kill('SIGTERM');
    while (!/stopping/.test((await once(server.stdout, 'data'))[0]));
    request.end(JSON.stringify(admin));
    const [answer] = await once(request, 'response');
    answer.resume();
    assert.equal(answer.statusCode, 200);
    const [code] = await once(server, 'exit');
    assert.equal(code, 0);
  } finally {
    server.kill('SIGKILL');
  }
});
