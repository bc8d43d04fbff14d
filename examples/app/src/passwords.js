import { randomBytes, scrypt as scryptCallback, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const scrypt = promisify(scryptCallback);
const cost = { N: 16384, r: 8, p: 5 };
const derive = (password, salt, { N, r, p }) => scrypt(password, salt, 32, { N, r, p });

export async function hashPassword(password) {
  const salt = randomBytes(16);
  const key = await derive(password, salt, cost);
  return ['scrypt', cost.N, cost.r, cost.p, salt.toString('base64'), key.toString('base64')].join('$');
}

export async function verifyPassword(password, stored) {
  const [, N, r, p, salt, key] = stored.split('$');
  const expected = Buffer.from(key, 'base64');
  const actual = await derive(password, Buffer.from(salt, 'base64'), { N: +N, r: +r, p: +p });
  return timingSafeEqual(actual, expected);
}

/** Why a new password is refused, or undefined. */
export function weakness(password) {
  if (password.length < 12) return 'shorter than 12 characters';
  if (new Set(password).size < 6) return 'made of fewer than 6 different characters';
  return undefined;
}
