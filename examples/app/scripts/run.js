import { loadConfig } from '../src/config.js';
import { openDatabase } from '../src/database.js';
import { createLog } from '../src/log.js';

/** Runs `work` with the database of the environment; a failure is logged and is the exit status. */
export async function withDatabase(work) {
  const log = createLog();
  let database;
  try {
    database = openDatabase(loadConfig(process.env, ['DATABASE_URL']).databaseUrl, log, { max: 2 });
    await work(database, log);
  } catch (error) {
    log.fatal({ err: error }, 'failed');
    process.exitCode = 1;
  } finally {
    await database?.end();
  }
}
