import { createHmac, randomBytes } from 'node:crypto';
import { HttpError } from './errors.js';

const cookie = 'session';
const lifetime = 8 * 60 * 60 * 1000;

export function createSessions({ database, config }) {
  // The database keeps a keyed hash: whoever reads the table cannot sign in with it.
  const digest = (token) => createHmac('sha256', config.sessionSecret).update(token).digest();
  const attributes = { httpOnly: true, sameSite: 'lax', secure: config.production, path: '/' };

  const tokenOf = (req) =>
    req.headers.cookie?.split(';').map((pair) => pair.trim().split('=')).find(([name]) => name === cookie)?.[1];

  async function accountOf(req) {
    const token = tokenOf(req);
    if (!token) return undefined;
    const { rows } = await database.query(
      `SELECT a.id, a.email, a.role, a.organisation_id AS "organisationId"
         FROM sessions s JOIN accounts a ON a.id = s.account_id
        WHERE s.id = $1 AND s.expires_at > now()`,
      [digest(token)],
    );
    return rows[0];
  }

  return {
    async start(res, account) {
      const token = randomBytes(32).toString('base64url');
      await Promise.all([
        database.query(
          `INSERT INTO sessions (id, account_id, expires_at) VALUES ($1, $2, now() + $3 * interval '1 millisecond')`,
          [digest(token), account.id, lifetime],
        ),
        database.query('DELETE FROM sessions WHERE account_id = $1 AND expires_at <= now()', [account.id]),
      ]);
      res.cookie(cookie, token, { ...attributes, maxAge: lifetime });
    },

    async end(req, res) {
      const token = tokenOf(req);
      if (token) await database.query('DELETE FROM sessions WHERE id = $1', [digest(token)]);
      res.clearCookie(cookie, attributes);
    },

    /** Lets only accounts of these roles through; all roles when none is named. */
    only: (...roles) => async (req, res, next) => {
      req.account = await accountOf(req);
      if (!req.account) throw new HttpError(401, 'Please sign in');
      if (roles.length > 0 && !roles.includes(req.account.role)) throw new HttpError(403, 'Your role may not do this');
      next();
    },
  };
}
