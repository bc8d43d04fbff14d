import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig, mistakes } from '../src/config.js';
import { environment } from './support.js';

test('a complete environment is accepted', () => {
  assert.deepEqual(mistakes(environment), []);
  assert.equal(loadConfig(environment).port, 3000);
});

const wrong = [
  ['DATABASE_URL', 'mysql://app@localhost/app', /^DATABASE_URL is not a URL starting with postgresql:/],
  ['DATABASE_URL', '', /^DATABASE_URL is missing/],
  ['NEXT_PUBLIC_SUPABASE_URL', 'project.supabase.co', /^NEXT_PUBLIC_SUPABASE_URL is not a URL/],
  ['NEXT_PUBLIC_SUPABASE_ANON_KEY', 'short', /^NEXT_PUBLIC_SUPABASE_ANON_KEY is shorter than 20/],
  ['EMAIL_FROM', 'notifications', /^EMAIL_FROM is not an e-mail address/],
  ['SESSION_SECRET', 'x'.repeat(31), /^SESSION_SECRET is shorter than 32/],
  ['NODE_ENV', 'prod', /^NODE_ENV is not production, development or test/],
  ['PORT', '65536', /^PORT is not a port/],
];
for (const [name, value, expected] of wrong) {
  test(`${name}="${value}" is refused`, () => {
    const found = mistakes({ ...environment, [name]: value });
    assert.equal(found.length, 1);
    assert.match(found[0], expected);
  });
}

test('production wants HTTPS', () => {
  const env = { ...environment, NODE_ENV: 'production', NEXT_PUBLIC_APP_URL: 'http://example.com' };
  assert.match(mistakes(env)[0], /https/);
});

test('the message names every mistake and repeats no value', () => {
  const env = { ...environment, SESSION_SECRET: 'hunter2', EMAIL_FROM: undefined };
  assert.throws(() => loadConfig(env), (error) => {
    assert.match(error.message, /SESSION_SECRET.*EMAIL_FROM|EMAIL_FROM.*SESSION_SECRET/);
    assert.doesNotMatch(error.message, /hunter2/);
    return true;
  });
});
