import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashPassword } from '../src/passwords.js';
import { commented } from '../src/requests.js';
import { fakeDatabase, serve } from './support.js';

const accounts = {
  admin: { id: 1, email: 'a@example.org', role: 'admin', organisationId: null },
  organisation: { id: 2, email: 'o@example.org', role: 'organisation', organisationId: 7 },
  student: { id: 3, email: 's@example.org', role: 'student', organisationId: 7 },
};
const signedInAs = (role, ...answers) => fakeDatabase([[/FROM sessions/, role ? [accounts[role]] : []], ...answers]);
const cookie = { Cookie: 'session=token' };

// What each role may do: the status it gets.
const matrix = [
  ['GET', '/api/me', { nobody: 401, student: 200, organisation: 200, admin: 200 }],
  ['GET', '/api/organisations', { nobody: 401, student: 200, organisation: 200, admin: 200 }],
  ['POST', '/api/organisations', { nobody: 401, student: 403, organisation: 403, admin: 201 }],
  ['GET', '/api/students', { nobody: 401, student: 403, organisation: 200, admin: 200 }],
  ['POST', '/api/students', { nobody: 401, student: 403, organisation: 201, admin: 201 }],
  ['GET', '/api/statistics', { nobody: 401, student: 403, organisation: 200, admin: 200 }],
];
const bodies = {
  '/api/organisations': { name: 'Harbour School' },
  '/api/students': { organisationId: 7, name: 'Ada', enrolledOn: '2026-01-31' },
};
for (const [method, path, roles] of matrix) {
  for (const [role, status] of Object.entries(roles)) {
    test(`${method} ${path} as ${role} answers ${status}`, async (t) => {
      const database = signedInAs(accounts[role] && role, [/INSERT INTO organisations/, [{ id: 9 }]], [/SELECT count/, [{ students: 1 }]]);
      const { ask, post } = await serve(t, { database });
      const answer = method === 'GET' ? await ask(path, { headers: cookie }) : await post(path, bodies[path], cookie);
      assert.equal(answer.status, status);
    });
  }
}

test('an organisation sees and adds to its own students only', async (t) => {
  const database = signedInAs('organisation');
  const { ask, post } = await serve(t, { database });
  await ask('/api/students?limit=10', { headers: cookie });
  assert.deepEqual(database.asked.at(-1).values, [0, 7, 10]);
  const foreign = await post('/api/students', { ...bodies['/api/students'], organisationId: 8 }, cookie);
  assert.equal(foreign.status, 403);
});

test('250 students are stored in batches of 100', async (t) => {
  const database = signedInAs('admin');
  const { post } = await serve(t, { database });
  const list = Array.from({ length: 250 }, () => bodies['/api/students']);
  assert.equal((await post('/api/students', list, cookie)).status, 201);
  const sizes = database.asked.filter(({ text }) => /INSERT INTO students/.test(text)).map(({ values }) => values[0].length);
  assert.deepEqual(sizes, [100, 100, 50]);
});

test('signing in sets a cookie that scripts and other sites cannot use', async (t) => {
  const row = { ...accounts.admin, password: await hashPassword('correct horse battery') };
  const { post } = await serve(t, { database: fakeDatabase([[/FROM accounts/, [row]]]), production: true });
  const right = await post('/api/auth/sign-in', { email: 'a@example.org', password: 'correct horse battery' });
  assert.equal(right.status, 200);
  assert.equal('password' in (await right.json()), false);
  for (const attribute of [/HttpOnly/, /Secure/, /SameSite=Lax/, /Path=\//]) assert.match(right.headers.get('set-cookie'), attribute);
  const wrong = await post('/api/auth/sign-in', { email: 'a@example.org', password: 'something else' });
  assert.deepEqual([wrong.status, wrong.headers.get('set-cookie')], [401, null]);
});

test('a failure tells the client nothing but the request id, and the log everything but data', async (t) => {
  const failure = Object.assign(new Error('relation "students" does not exist'), { code: '42P01', detail: 'Key (email)=(a@example.org)' });
  const { ask, lines } = await serve(t, { database: signedInAs('admin', [/FROM students/, failure]) });
  const answer = await ask('/api/students?after=1', { headers: { ...cookie, 'X-Request-Id': 'request-1234' } });
  assert.equal(answer.status, 500);
  assert.deepEqual(await answer.json(), { error: { message: 'Something went wrong here', requestId: 'request-1234' } });
  const log = lines.join('');
  assert.match(log, /42P01/);
  assert.match(log, /"route":"\/api\/students"/);
  assert.match(log, /"requestId":"request-1234"/);
  for (const secret of ['token', 'a@example.org', 'after=1']) assert.ok(!log.includes(secret), `${secret} is in the log`);
});

test('each statement names its request, also that of a request with a body', async (t) => {
  const statements = [];
  const query = async (text) => { statements.push(commented(text)); return { rows: [] }; };
  const { ask, post } = await serve(t, { database: { ...fakeDatabase([]), query } });
  const sign = (id, password) => post('/api/auth/sign-in', { email: 'a@example.org', password }, { 'X-Request-Id': id });
  await Promise.all([sign('request-1', 'short'), sign('request-2', 'x'.repeat(150)), ask('/healthz', { headers: { 'X-Request-Id': 'request-3' } })]);
  const named = statements.map((text) => text.match(/^SELECT .* \/\*request_id='(.*)'\*\/$/)?.[1]);
  assert.deepEqual(named.sort(), ['request-1', 'request-2', 'request-3']);
  assert.equal(commented('SELECT 1'), 'SELECT 1');
});

test('the database fails when it is asked to, and the log says so', async (t) => {
  const { ask, lines } = await serve(t, { database: fakeDatabase([[/1 \/ 0/, new Error('division by zero')]]) });
  assert.equal((await ask('/diagnostics/error', { headers: { 'X-Request-Id': 'request-1234' } })).status, 500);
  assert.match(lines.join(''), /"message":"division by zero".*"requestId":"request-1234"/);
});

test('a request id of doubtful shape is replaced', async (t) => {
  const { ask } = await serve(t, { database: fakeDatabase([]) });
  const answer = await ask('/', { headers: { 'X-Request-Id': 'x"; drop' } });
  assert.match(answer.headers.get('x-request-id'), /^[0-9a-f-]{36}$/);
});

const refused = [
  ['unknown address', '/api/nothing', {}, 404],
  ['broken JSON', '/api/auth/sign-in', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{' }, 400],
  ['form', '/api/auth/sign-in', { method: 'POST', headers: { 'Content-Type': 'text/plain' }, body: '{}' }, 415],
  ['huge body', '/api/auth/sign-in', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify('x'.repeat(300_000)) }, 413],
  ['broken address', '/%', {}, 404],
];
for (const [what, path, options, status] of refused) {
  test(`${what}: ${status} as JSON, without a stack`, async (t) => {
    const { ask } = await serve(t, { database: fakeDatabase([]) });
    const answer = await ask(path, options);
    assert.equal(answer.status, status);
    const body = await answer.text();
    assert.ok(JSON.parse(body).error.requestId);
    assert.doesNotMatch(body, /\bat \/|node_modules/);
  });
}

test('the figures of the process are told, and nothing of it is logged', async (t) => {
  const { ask, lines } = await serve(t, { database: fakeDatabase([]) });
  const answer = await ask('/metrics');
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  const told = (await answer.text()).split('\n').filter((line) => line && !line.startsWith('#'));
  for (const line of told) assert.match(line, /^[a-z_]+(\{state="[a-z]+"\})? [\d.e-]+$/);
  const named = Object.fromEntries(told.map((line) => line.split(' ')));
  assert.ok(named.process_resident_memory_bytes > 10_000_000 && named.nodejs_eventloop_lag_seconds < 10);
  assert.equal(named['app_database_connections{state="busy"}'], '1');
  assert.deepEqual(lines, []);
});

test('health follows the database', async (t) => {
  const well = await (await serve(t, { database: fakeDatabase([]) })).ask('/healthz');
  assert.deepEqual([well.status, (await well.json()).status], [200, 'ok']);
  const ill = await (await serve(t, { database: fakeDatabase([[/SELECT 1/, new Error('refused')]]) })).ask('/healthz');
  assert.deepEqual([ill.status, (await ill.json()).database], [503, 'unreachable']);
});
