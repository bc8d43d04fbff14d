import { Router } from 'express';
import { HttpError } from '../errors.js';
import { parse, text } from '../validate.js';

const organisation = { name: text({ min: 2, max: 120 }) };

export function organisationRoutes({ database, sessions }) {
  const routes = Router();

  routes.get('/api/organisations', sessions.only(), async (req, res) => {
    const { role, organisationId } = req.account;
    const { rows } = await database.query(
      `SELECT id, name, created_at AS "createdAt" FROM organisations
        WHERE $1::bigint IS NULL OR id = $1 ORDER BY name LIMIT 100`,
      [role === 'admin' ? null : organisationId],
    );
    res.json({ organisations: rows });
  });

  routes.post('/api/organisations', sessions.only('admin'), async (req, res) => {
    const { name } = parse(organisation, req.body);
    const { rows } = await database.query(
      'INSERT INTO organisations (name) VALUES ($1) ON CONFLICT (name) DO NOTHING RETURNING id, name',
      [name],
    );
    if (rows.length === 0) throw new HttpError(409, 'An organisation of this name exists');
    res.status(201).json(rows[0]);
  });

  return routes;
}
