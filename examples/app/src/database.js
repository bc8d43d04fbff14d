import pg from 'pg';
import { commented } from './requests.js';

// Keys are bigint, which pg hands over as text; they stay far below the 2^53 that a number holds exactly.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

// The pooler hands a server connection to a client for one transaction only: nothing here may rely on the
// session (SET, LISTEN, named prepared statements, session locks).
export function openDatabase(databaseUrl, log, { max = 10 } = {}) {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    query_timeout: 10_000,
    application_name: 'airworthy-example',
  });
  // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
  pool.on('error', (error) => log.warn({ err: error }, 'idle database connection lost'));

  return {
    query: (text, values) => pool.query({ text: commented(text), values }),
    end: () => pool.end(),
    connections: () => ({ open: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),

    async transaction(work) {
      const client = await pool.connect();
      let broken;
      try {
        await client.query('BEGIN');
        const result = await work({ query: (text, values) => client.query({ text: commented(text), values }) });
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch((failure) => { broken = failure; });
        throw error;
      } finally {
        client.release(broken);
      }
    },
  };
}

/** `items` in slices of `size`, so that no statement grows with its input. */
export function* batches(items, size = 100) {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
