import { Router } from 'express';
import { basename } from 'node:path';

// The process was started in its release's directory; the `current` link may point elsewhere by now.
const release = basename(process.cwd());

export function healthRoutes({ database, log, limit = 2_000 }) {
  const routes = Router();

  routes.get('/healthz', async (req, res) => {
    const about = { release, instance: process.env.PORT ?? null };
    res.set('Cache-Control', 'no-store');
    try {
      await within(limit, database.query('SELECT 1'));
      res.json({ status: 'ok', database: 'ok', ...about });
    } catch (error) {
      log.error({ err: error, requestId: req.id }, 'health check failed');
      res.status(503).json({ status: 'unavailable', database: 'unreachable', ...about });
    }
  });

  return routes;
}

async function within(milliseconds, promise) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}
