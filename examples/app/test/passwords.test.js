import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashPassword, verifyPassword, weakness } from '../src/passwords.js';

test('a password is verified against its hash, another is not', async () => {
  const stored = await hashPassword('correct horse battery');
  assert.match(stored, /^scrypt\$16384\$8\$5\$/);
  assert.equal(await verifyPassword('correct horse battery', stored), true);
  assert.equal(await verifyPassword('correct horse batterz', stored), false);
});

test('weak passwords are named as such', () => {
  assert.match(weakness('short'), /12 characters/);
  assert.match(weakness('aaaaaaaaaaaaaaaa'), /different/);
  assert.equal(weakness('correct horse battery'), undefined);
});
