import { address } from './address.js';

const response = await fetch(`${address}/healthz`, { signal: AbortSignal.timeout(5_000) });
console.log(`${address}: ${response.status} ${await response.text()}`);
process.exitCode = response.ok ? 0 : 1;
