import { migrations } from './migrations.js';
import { withDatabase } from './run.js';

const unindexed = `
  SELECT c.conrelid::regclass || ' (' || c.conname || ')' AS name FROM pg_constraint c
   WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace AND NOT EXISTS (
     SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
        AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)`;

await withDatabase(async (database, log) => {
  const [ran, keys, admins] = await Promise.all([
    database.query('SELECT name FROM migrations ORDER BY name'),
    database.query(unindexed),
    database.query(`SELECT count(*)::int AS count FROM accounts WHERE role = 'admin'`),
  ]);
  const names = new Set(ran.rows.map((row) => row.name));
  const problems = [
    ...migrations.filter(({ name }) => !names.has(name)).map(({ name }) => `migration ${name} did not run`),
    ...keys.rows.map(({ name }) => `foreign key without an index: ${name}`),
    ...(admins.rows[0].count === 0 ? ['no administrator: run "npm run db:seed:production"'] : []),
  ];
  if (problems.length > 0) throw new Error(problems.join('; '));
  log.info({ migrations: names.size, admins: admins.rows[0].count }, 'database is as this release expects it');
});
