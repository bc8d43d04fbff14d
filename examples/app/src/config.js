// The environment contract: what the application needs, and what each value must look like.

const minimum = (length) => (value) => value.length >= length || `is shorter than ${length} characters`;
const matches = (pattern, wanted) => (value) => pattern.test(value) || `is not ${wanted}`;
const url = (...protocols) => (value) =>
  protocols.includes(protocolOf(value)) || `is not a URL starting with ${protocols.map((p) => `${p}//`).join(' or ')}`;

const rules = {
  NODE_ENV: matches(/^(production|development|test)$/, 'production, development or test'),
  DATABASE_URL: url('postgresql:', 'postgres:'),
  NEXT_PUBLIC_APP_URL: url('https:', 'http:'),
  NEXT_PUBLIC_SUPABASE_URL: url('https:', 'http:'),
  NEXT_PUBLIC_SUPABASE_ANON_KEY: minimum(20),
  SUPABASE_SERVICE_ROLE_KEY: minimum(20),
  MAILERSEND_API_KEY: minimum(10),
  EMAIL_FROM: matches(/^[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+$/, 'an e-mail address'),
  SESSION_SECRET: minimum(32),
  HOST: matches(/^[\w.:-]+$/, 'an address to listen on'),
  PORT: (value) => (/^\d+$/.test(value) && +value > 0 && +value < 65536) || 'is not a port from 1 to 65535',
};

const defaults = { HOST: '127.0.0.1', PORT: '3000' };

function protocolOf(value) {
  try {
    return new URL(value).protocol;
  } catch {
    return undefined; // Node 18 has no URL.canParse
  }
}

/** Every mistake in `env`, one sentence each; values are never repeated, since some are secrets. */
export function mistakes(env, names = Object.keys(rules)) {
  const given = { ...defaults, ...env };
  const found = names.flatMap((name) => {
    if (!given[name]) return [`${name} is missing`];
    const verdict = rules[name](given[name]);
    return verdict === true ? [] : [`${name} ${verdict}`];
  });
  if (found.length === 0 && given.NODE_ENV === 'production' && given.NEXT_PUBLIC_APP_URL?.startsWith('http:')) {
    found.push('NEXT_PUBLIC_APP_URL must start with https:// in production');
  }
  return found;
}

/** The configuration, or an error that names everything that is wrong with the environment at once. */
export function loadConfig(env = process.env, names = undefined) {
  const found = mistakes(env, names);
  if (found.length > 0) throw new Error(`The environment is incomplete (see .env.example): ${found.join('; ')}`);
  return {
    production: env.NODE_ENV === 'production',
    databaseUrl: env.DATABASE_URL,
    appUrl: env.NEXT_PUBLIC_APP_URL,
    sessionSecret: env.SESSION_SECRET,
    host: env.HOST || defaults.HOST,
    port: Number(env.PORT || defaults.PORT),
  };
}
