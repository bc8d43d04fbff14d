import { Router } from 'express';
import { HttpError } from '../errors.js';
import { hashPassword, verifyPassword } from '../passwords.js';
import { email, parse, text } from '../validate.js';

const credentials = { email, password: text({ min: 1, max: 200 }) };
// Compared with when the account is unknown, so that the time taken does not tell which addresses exist.
const nobody = hashPassword('nobody has this password');

export function authRoutes({ database, sessions }) {
  const routes = Router();

  routes.post('/api/auth/sign-in', async (req, res) => {
    const given = parse(credentials, req.body);
    const { rows } = await database.query(
      'SELECT id, email, role, organisation_id AS "organisationId", password FROM accounts WHERE email = $1',
      [given.email],
    );
    const [account] = rows;
    const right = await verifyPassword(given.password, account?.password ?? (await nobody));
    if (!account || !right) throw new HttpError(401, 'E-mail or password is wrong');
    await sessions.start(res, account);
    const { password, ...visible } = account;
    res.json(visible);
  });

  routes.post('/api/auth/sign-out', async (req, res) => {
    await sessions.end(req, res);
    res.status(204).end();
  });

  routes.get('/api/me', sessions.only(), (req, res) => res.json(req.account));

  return routes;
}
