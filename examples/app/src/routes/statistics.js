import { Router } from 'express';

export function statisticsRoutes({ database, sessions }) {
  const routes = Router();

  routes.get('/api/statistics', sessions.only('admin', 'organisation'), async (req, res) => {
    const { role, organisationId } = req.account;
    const scope = [role === 'admin' ? null : organisationId];
    const inScope = '($1::bigint IS NULL OR organisation_id = $1)';
    const [totals, byOrganisation, byMonth] = await Promise.all([
      database.query(
        `SELECT count(*)::int AS students, count(DISTINCT organisation_id)::int AS organisations
           FROM students WHERE ${inScope}`,
        scope,
      ),
      database.query(
        `SELECT o.name, count(*)::int AS students FROM students s JOIN organisations o ON o.id = s.organisation_id
          WHERE ($1::bigint IS NULL OR o.id = $1) GROUP BY o.id ORDER BY students DESC, o.name LIMIT 10`,
        scope,
      ),
      database.query(
        `SELECT to_char(enrolled_on, 'YYYY-MM') AS month, count(*)::int AS students FROM students
          WHERE ${inScope} GROUP BY month ORDER BY month DESC LIMIT 12`,
        scope,
      ),
    ]);
    res.json({ ...totals.rows[0], byOrganisation: byOrganisation.rows, byMonth: byMonth.rows });
  });

  return routes;
}
