import express from 'express';
import { randomUUID } from 'node:crypto';
import { HttpError } from './errors.js';
import { forRequest } from './requests.js';
import { authRoutes } from './routes/auth.js';
import { diagnosticsRoutes } from './routes/diagnostics.js';
import { healthRoutes } from './routes/health.js';
import { metricsRoutes } from './routes/metrics.js';
import { organisationRoutes } from './routes/organisations.js';
import { statisticsRoutes } from './routes/statistics.js';
import { studentRoutes } from './routes/students.js';
import { createSessions } from './sessions.js';

export function createApp({ config, database, log, assets }) {
  const parts = { database, log, sessions: createSessions({ config, database }) };
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);

  app.use(metricsRoutes(parts)); // asked for every few seconds, which would fill the log
  app.use(identify, logRequests(log));
  app.use(healthRoutes(parts), diagnosticsRoutes(parts));
  app.get('/', (req, res) => res.set('Cache-Control', 'no-cache').type('html').send(assets.page));
  app.use('/static', express.static(assets.directory, { immutable: true, maxAge: '1y', index: false }));

  app.use('/api', (req, res, next) => { res.set('Cache-Control', 'no-store'); next(); });
  app.use('/api', onlyJson, express.json({ limit: '256kb', strict: true }));
  app.use(authRoutes(parts), organisationRoutes(parts), studentRoutes(parts), statisticsRoutes(parts));

  app.use(() => { throw new HttpError(404, 'Not found'); });
  app.use(answerErrors(log));
  return app;
}

function identify(req, res, next) {
  const given = req.get('X-Request-Id');
  req.id = given && /^[\w.-]{8,128}$/.test(given) ? given : randomUUID();
  res.set('X-Request-Id', req.id);
  forRequest(req.id, next);
}

// The route's pattern is logged, never the address that was asked for: that may carry personal data.
function logRequests(log) {
  return (req, res, next) => {
    const started = performance.now();
    res.on('close', () => {
      const ms = Math.round((performance.now() - started) * 10) / 10;
      const route = req.route?.path ?? (req.baseUrl || null);
      const level = res.statusCode >= 500 ? 'error' : 'info';
      log[level]({ requestId: req.id, method: req.method, route, status: res.statusCode, ms }, 'request');
    });
    next();
  };
}

// A cross-site form cannot send JSON without a preflight, so this also stops forged requests.
function onlyJson(req, res, next) {
  if (req.method === 'POST' && Number(req.get('Content-Length') ?? 1) > 0 && !req.is('application/json')) {
    throw new HttpError(415, 'application/json is expected');
  }
  next();
}

// Express recognises an error handler by its four parameters.
function answerErrors(log) {
  return (error, req, res, next) => {
    if (res.headersSent) return next(error);
    const status = error.status >= 400 && error.status < 500 ? error.status : 500;
    const known = error instanceof HttpError;
    if (status === 500) log.error({ err: error, requestId: req.id }, 'request failed');
    const message = known ? error.message : status === 500 ? 'Something went wrong here' : 'The request is not valid';
    res.status(status).json({ error: { message, fields: error.fields, requestId: req.id } });
  };
}
