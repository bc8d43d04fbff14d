import { randomBytes } from 'node:crypto';
import { batches } from '../src/database.js';
import { hashPassword, weakness } from '../src/passwords.js';
import { withDatabase } from './run.js';

const organisations = ['Harbour School', 'Lindenhof Academy', 'North Ridge College', 'Riverside Institute', 'Valley Music School'];
const roles = ['admin', 'organisation', 'student'];
const studentsEach = 120;

// An account without a password of its own gets a random one that is kept nowhere: nobody can sign in with it.
async function account(role) {
  const variable = `SEED_${role.toUpperCase()}_PASSWORD`;
  const given = process.env[variable];
  const reason = given && weakness(given);
  if (reason) throw new Error(`${variable} is ${reason}`);
  return { role, email: `${role}@example.org`, chosen: Boolean(given), password: await hashPassword(given ?? randomBytes(24).toString('base64')) };
}

const student = (organisationId, number) => ({
  organisationId,
  name: `Student ${organisationId}-${number}`,
  enrolledOn: new Date(Date.UTC(2025, number % 12, 1 + (number % 28))).toISOString().slice(0, 10),
});

// Every statement can run again: seeding twice changes nothing, but a password chosen later takes effect.
await withDatabase(async (database, log) => {
  const accounts = await Promise.all(roles.map(account));
  await database.transaction(async (transaction) => {
    await transaction.query(
      'INSERT INTO organisations (name) SELECT * FROM unnest($1::text[]) ON CONFLICT DO NOTHING',
      [organisations],
    );
    const { rows } = await transaction.query(
      'SELECT id FROM organisations WHERE name = ANY ($1) ORDER BY name',
      [organisations],
    );
    for (const { role, email, chosen, password } of accounts) {
      await transaction.query(
        `INSERT INTO accounts (email, role, organisation_id, password) VALUES ($1, $2, $3, $4)
         ON CONFLICT (email) DO UPDATE SET password = EXCLUDED.password WHERE $5`,
        [email, role, role === 'admin' ? null : rows[0].id, password, chosen],
      );
    }
    const students = rows.flatMap(({ id }) => Array.from({ length: studentsEach }, (_, number) => student(id, number + 1)));
    const { rows: [{ empty }] } = await transaction.query('SELECT NOT EXISTS (SELECT FROM students) AS empty');
    for (const batch of empty ? batches(students) : []) {
      await transaction.query(
        `INSERT INTO students (organisation_id, name, enrolled_on) SELECT * FROM unnest($1::bigint[], $2::text[], $3::date[])`,
        [batch.map((s) => s.organisationId), batch.map((s) => s.name), batch.map((s) => s.enrolledOn)],
      );
    }
  });
  const unknown = accounts.filter(({ chosen }) => !chosen).map(({ role }) => role);
  log.info({ organisations: organisations.length, withoutKnownPassword: unknown }, 'seed data is present');
});
