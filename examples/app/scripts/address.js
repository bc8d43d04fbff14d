/** The instance to ask: the first argument, else the one this environment describes. */
export const address = new URL(process.argv[2] ?? `http://${process.env.HOST || '127.0.0.1'}:${process.env.PORT || 3000}`).origin;
