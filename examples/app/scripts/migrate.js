import { migrations } from './migrations.js';
import { withDatabase } from './run.js';

// One transaction for the whole: two releases that migrate at once wait for each other, and a migration
// that fails takes back those before it. A session lock would not survive the pooler.
await withDatabase((database, log) => database.transaction(async (transaction) => {
  await transaction.query(`SELECT pg_advisory_xact_lock(hashtext('airworthy-example migrations'))`);
  await transaction.query(`CREATE TABLE IF NOT EXISTS migrations (
    name text PRIMARY KEY, ran_at timestamptz NOT NULL DEFAULT now())`);
  const { rows } = await transaction.query('SELECT name FROM migrations');
  const done = new Set(rows.map((row) => row.name));
  const missing = migrations.filter(({ name }) => !done.has(name));
  for (const { name, sql } of missing) {
    await transaction.query(sql);
    await transaction.query('INSERT INTO migrations (name) VALUES ($1)', [name]);
  }
  log.info({ ran: missing.map(({ name }) => name), total: migrations.length }, 'database schema is current');
}));
