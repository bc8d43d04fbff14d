import { Router } from 'express';
import { setImmediate } from 'node:timers/promises';

/** What this process tells Prometheus. The edge keeps the path to itself. */
export function metricsRoutes({ database }) {
  const routes = Router();
  routes.get('/metrics', async (req, res) => {
    const asked = performance.now();
    await setImmediate();
    const lag = (performance.now() - asked) / 1000;
    res.set({ 'Cache-Control': 'no-store', 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' });
    res.send(written(lag, database.connections()));
  });
  return routes;
}

function written(lag, { open, idle, waiting }) {
  const { user, system } = process.cpuUsage();
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  const figures = [
    ['process_cpu_seconds_total', 'counter', 'Processor time', [['', (user + system) / 1e6]]],
    ['process_resident_memory_bytes', 'gauge', 'Memory in RAM', [['', rss]]],
    ['process_start_time_seconds', 'gauge', 'When it started', [['', performance.timeOrigin / 1000]]],
    ['nodejs_heap_size_total_bytes', 'gauge', 'Heap of V8', [['', heapTotal]]],
    ['nodejs_heap_size_used_bytes', 'gauge', 'Heap of V8 in use', [['', heapUsed]]],
    ['nodejs_eventloop_lag_seconds', 'gauge', 'How long the event loop let this request wait', [['', lag]]],
    ['app_database_connections', 'gauge', 'Connections to the pooler', [['{state="busy"}', open - idle], ['{state="idle"}', idle]]],
    ['app_database_requests_waiting', 'gauge', 'Requests that wait for a connection', [['', waiting]]],
  ];
  return figures
    .map(([name, type, help, samples]) => [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} ${type}`,
      ...samples.map(([labels, value]) => `${name}${labels} ${value}`),
      '',
    ].join('\n'))
    .join('');
}
