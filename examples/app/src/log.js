import pino from 'pino';

// `detail` and `where` of a database error quote rows, hence personal data: they are left out.
const err = ({ name, code, message, stack }) => ({ type: name, code, message, stack });

export const createLog = (options = {}, destination = undefined) =>
  pino(
    {
      base: { service: 'app', instance: process.env.PORT },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err },
      ...options,
    },
    destination,
  );
