import { createApp } from '../src/app.js';
import { createLog } from '../src/log.js';

export const environment = {
  NODE_ENV: 'test',
  DATABASE_URL: process.env.TEST_DATABASE_URL ?? 'postgresql://app:secret@localhost:6432/app',
  NEXT_PUBLIC_APP_URL: 'https://example.com',
  NEXT_PUBLIC_SUPABASE_URL: 'https://project.supabase.co',
  NEXT_PUBLIC_SUPABASE_ANON_KEY: 'a'.repeat(40),
  SUPABASE_SERVICE_ROLE_KEY: 's'.repeat(40),
  MAILERSEND_API_KEY: 'mlsn.0123456789',
  EMAIL_FROM: 'notifications@example.com',
  SESSION_SECRET: 'x'.repeat(32),
};

/** A database that answers the first statement that matches, and remembers what it was asked. */
export function fakeDatabase(answers) {
  const asked = [];
  const query = async (text, values) => {
    asked.push({ text, values });
    const [, rows] = answers.find(([pattern]) => pattern.test(text)) ?? [null, []];
    if (rows instanceof Error) throw rows;
    return { rows };
  };
  const connections = () => ({ open: 3, idle: 2, waiting: 0 });
  return { asked, query, connections, transaction: (work) => work({ query }) };
}

/** Serves the application on a free port for the length of one test; returns fetch and the lines it logged. */
export async function serve(t, { database, production = false }) {
  const lines = [];
  const log = createLog({}, { write: (line) => lines.push(line) });
  const config = { production, sessionSecret: environment.SESSION_SECRET };
  const app = createApp({ config, database, log, assets: { page: '<h1>Page</h1>', directory: 'public' } });
  const server = await new Promise((resolve) => { const s = app.listen(0, '127.0.0.1', () => resolve(s)); });
  t.after(() => { server.closeAllConnections(); server.close(); });
  const origin = `http://127.0.0.1:${server.address().port}`;
  const ask = (path, options) => fetch(origin + path, options);
  const post = (path, body, headers = {}) =>
    ask(path, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) });
  return { ask, post, lines };
}
