import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What `npm run build` made. */
export function loadAssets(directory = 'dist') {
  const page = join(directory, 'index.html');
  if (!existsSync(page)) throw new Error(`${page} is missing: run "npm run build" first`);
  return { page: readFileSync(page, 'utf8'), directory: join(directory, 'static') };
}
