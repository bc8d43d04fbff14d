import { createServer } from 'node:http';
import { createApp } from './app.js';
import { loadAssets } from './assets.js';
import { loadConfig } from './config.js';
import { openDatabase } from './database.js';
import { createLog } from './log.js';

const log = createLog();
try {
  start();
} catch (error) {
  log.fatal({ err: error }, 'the application cannot start');
  process.exitCode = 78; // EX_CONFIG: starting again does not help
}

function start() {
  const config = loadConfig();
  const database = openDatabase(config.databaseUrl, log);
  const server = createServer(createApp({ config, database, log, assets: loadAssets() }));
  server.on('error', (error) => {
    log.fatal({ err: error }, 'the server cannot listen');
    process.exit(1);
  });
  // Longer than proxies keep idle connections, so that they never send a request into one that is being closed.
  server.keepAliveTimeout = 75_000;
  server.listen(config.port, config.host, () => log.info({ host: config.host, port: config.port }, 'listening'));
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stop(signal, server, database));
}

// Requests in flight are answered; connections that proxies keep open are closed as they fall idle.
async function stop(signal, server, database) {
  log.info({ signal }, 'stopping');
  setTimeout(() => process.exit(1), 10_000).unref();
  server.keepAliveTimeout = 1;
  const closed = new Promise((resolve) => { server.close(resolve); });
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  await closed;
  clearInterval(sweep);
  await database.end();
  log.info('stopped');
}
