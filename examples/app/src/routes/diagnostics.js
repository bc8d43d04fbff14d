import { Router } from 'express';

/** Lets the database fail, so that an error can be followed through all logs. The edge keeps the path to itself. */
export function diagnosticsRoutes({ database }) {
  const routes = Router();
  routes.get('/diagnostics/error', async () => database.query('SELECT 1 / 0'));
  return routes;
}
