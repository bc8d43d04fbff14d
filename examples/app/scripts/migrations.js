import { readFileSync, readdirSync } from 'node:fs';

const directory = new URL('../migrations/', import.meta.url);

export const migrations = readdirSync(directory)
  .filter((name) => /^\d{3}_\w+\.sql$/.test(name))
  .sort()
  .map((name) => ({ name, sql: readFileSync(new URL(name, directory), 'utf8') }));
