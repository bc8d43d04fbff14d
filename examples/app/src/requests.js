import { AsyncLocalStorage } from 'node:async_hooks';

const current = new AsyncLocalStorage();

/** What `work` does, also later, is done for the request of this id. */
export const forRequest = (id, work) => current.run(id, work);

/**
 * The statement with the id of the request that it is done for, as PostgreSQL's log then tells it of errors and slow
 * statements: https://google.github.io/sqlcommenter/spec/. `identify` in app.js lets no id through that could end the comment.
 */
export function commented(text) {
  const id = current.getStore();
  return id ? `${text} /*request_id='${id}'*/` : text;
}
