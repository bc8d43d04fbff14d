import { Router } from 'express';
import { batches } from '../database.js';
import { HttpError } from '../errors.js';
import { date, id, integer, optional, parse, text } from '../validate.js';

const page = { after: optional(integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), 0), limit: optional(integer({ min: 1, max: 100 }), 50) };
const student = { organisationId: optional(id), name: text({ min: 2, max: 120 }), enrolledOn: date };
const most = 1000;

export function studentRoutes({ database, sessions }) {
  const routes = Router();

  // Paged by key, not by offset: page 1000 costs what page 1 costs.
  routes.get('/api/students', sessions.only('admin', 'organisation'), async (req, res) => {
    const { after, limit } = parse(page, { ...req.query });
    const { role, organisationId } = req.account;
    const { rows } = await database.query(
      `SELECT id, organisation_id AS "organisationId", name, enrolled_on::text AS "enrolledOn" FROM students
        WHERE id > $1 AND ($2::bigint IS NULL OR organisation_id = $2) ORDER BY id LIMIT $3`,
      [after, role === 'admin' ? null : organisationId, limit],
    );
    res.json({ students: rows, next: rows.length === limit ? rows.at(-1).id : null });
  });

  /** Takes one student or a list of them; a list is stored as a whole or not at all. */
  routes.post('/api/students', sessions.only('admin', 'organisation'), async (req, res) => {
    const list = Array.isArray(req.body) ? req.body : [req.body];
    if (list.length === 0 || list.length > most) throw new HttpError(400, `From 1 to ${most} students are expected`);
    const students = list.map((item) => placed(parse(student, item), req.account));
    const ids = await database.transaction(async (transaction) => {
      const created = [];
      for (const batch of batches(students)) created.push(...(await insert(transaction, batch)));
      return created;
    });
    res.status(201).json({ ids });
  });

  return routes;
}

function placed(item, { role, organisationId }) {
  if (role === 'admin') {
    if (!item.organisationId) throw new HttpError(400, 'The input is not valid', { organisationId: 'is missing' });
    return item;
  }
  if (item.organisationId && item.organisationId !== organisationId) {
    throw new HttpError(403, 'Your role may add students to its own organisation only');
  }
  return { ...item, organisationId };
}

async function insert(transaction, batch) {
  const { rows } = await transaction.query(
    `INSERT INTO students (organisation_id, name, enrolled_on)
     SELECT * FROM unnest($1::bigint[], $2::text[], $3::date[]) RETURNING id`,
    [batch.map((s) => s.organisationId), batch.map((s) => s.name), batch.map((s) => s.enrolledOn)],
  ).catch((error) => {
    if (error.code === '23503') throw new HttpError(400, 'The input is not valid', { organisationId: 'does not exist' });
    throw error;
  });
  return rows.map((row) => row.id);
}
