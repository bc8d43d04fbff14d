import { HttpError } from './errors.js';

// A field is a function from what came in to a clean value; it throws the reason for which it refuses.
const refuse = (reason) => { throw reason; };

export const text = ({ min = 1, max }) => (value) => {
  if (typeof value !== 'string') return refuse('must be a string');
  const clean = value.normalize('NFC').trim();
  if (clean.length < min || clean.length > max) return refuse(`must have ${min} to ${max} characters`);
  return /[\u0000-\u001f\u007f]/.test(clean) ? refuse('must not contain control characters') : clean;
};

export const email = (value) => {
  const clean = text({ min: 3, max: 254 })(value).toLowerCase();
  return /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(clean) ? clean : refuse('must be an e-mail address');
};

export const integer = ({ min, max }) => (value) => {
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return Number.isInteger(number) && number >= min && number <= max
    ? number
    : refuse(`must be a whole number from ${min} to ${max}`);
};

export const id = integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

export const date = (value) =>
  typeof value === 'string' && /^\d{4}-\d\d-\d\d$/.test(value) && new Date(value).toJSON()?.startsWith(value)
    ? value
    : refuse('must be a date like 2026-01-31');

export const optional = (field, fallback) => (value) => (value === undefined ? fallback : field(value));

/** The fields of `schema` taken from `input`; a 400 that names each wrong or unknown one. */
export function parse(schema, input) {
  if (input === null || typeof input !== 'object' || Array.isArray(input)) {
    throw new HttpError(400, 'A JSON object is expected');
  }
  const clean = {};
  const wrong = {};
  for (const [name, field] of Object.entries(schema)) {
    try {
      clean[name] = field(input[name]);
    } catch (reason) {
      if (typeof reason !== 'string') throw reason;
      wrong[name] = reason;
    }
  }
  for (const name of Object.keys(input)) if (!Object.hasOwn(schema, name)) wrong[name] = 'is not known here';
  if (Object.keys(wrong).length > 0) throw new HttpError(400, 'The input is not valid', wrong);
  return clean;
}
