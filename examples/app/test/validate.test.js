import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batches } from '../src/database.js';
import { date, email, id, integer, optional, parse, text } from '../src/validate.js';

const refused = [
  [text({ max: 3 }), 'long', /1 to 3/],
  [text({ max: 9 }), 7, /string/],
  [text({ max: 9 }), 'a\u0000b', /control/],
  [email, 'nobody', /e-mail/],
  [integer({ min: 1, max: 9 }), '1e1', /whole number/],
  [integer({ min: 1, max: 9 }), 10, /1 to 9/],
  [id, "1' OR '1'='1", /whole number/],
  [date, '2026-02-30', /date/],
  [date, '2026-1-1', /date/],
];
for (const [field, value, reason] of refused) {
  test(`${JSON.stringify(value)} is refused: ${reason}`, () => {
    assert.throws(() => parse({ field }, { field: value }), (error) => {
      assert.equal(error.status, 400);
      assert.match(error.fields.field, reason);
      return true;
    });
  });
}

test('clean values come out, trimmed and lower case', () => {
  const schema = { email, name: text({ max: 9 }), on: date, page: optional(id, 1) };
  assert.deepEqual(
    parse(schema, { email: ' A@Example.ORG ', name: ' Ada ', on: '2024-02-29' }),
    { email: 'a@example.org', name: 'Ada', on: '2024-02-29', page: 1 },
  );
});

test('unknown fields and things that are no object are refused', () => {
  assert.throws(() => parse({}, { role: 'admin' }), ({ fields }) => fields.role === 'is not known here');
  for (const input of [null, 'text', [], undefined]) assert.throws(() => parse({}, input), { status: 400 });
});

test('batches hold at most a hundred and lose nothing', () => {
  const slices = [...batches(Array.from({ length: 250 }, (_, i) => i))];
  assert.deepEqual(slices.map((slice) => slice.length), [100, 100, 50]);
  assert.equal(slices.flat().at(-1), 249);
});
