// An application that does what the test asks of it, on the ports of the instances: what the example application never does.
import { createServer } from 'node:http';
import { brotliCompressSync } from 'node:zlib';

let news = 0;
let broken = 0;

function answer(request, response, port) {
  const { pathname, searchParams } = new URL(request.url, 'http://upstream');
  response.setHeader('X-Instance', port);
  if (pathname.startsWith('/news/')) {
    if (searchParams.has('cookie')) response.setHeader('Set-Cookie', 'sid=1');
    if (searchParams.has('private')) response.setHeader('Cache-Control', 'private');
    return response.end('news '.concat(++news)); // systemd-run takes a dollar for its own
  }
  if (pathname.startsWith('/events/')) { // and never ends
    response.setHeader('Content-Type', 'text/event-stream');
    return response.write('data: first\n\n');
  }
  if (pathname === '/static/packed.0123456789.js') {
    response.setHeader('Content-Type', 'text/javascript');
    response.setHeader('Content-Encoding', 'br');
    return response.end(brotliCompressSync('// packed by the application'));
  }
  if (pathname === '/broken/'.concat(port)) {
    broken += 1;
    return request.socket.destroy();
  }
  if (pathname === '/unchanged') {
    response.statusCode = 304;
    return response.end();
  }
  if (pathname === '/cookies') {
    response.setHeader('Set-Cookie', ['session=1; SameSite=None', 'admin_session=1; SameSite=Strict']);
  }
  response.setHeader('Content-Type', 'application/json');
  return response.end(JSON.stringify({ port, broken, headers: request.headers }));
}

for (const port of [3000, 3001]) {
  const server = createServer((request, response) => answer(request, response, port));
  server.on('upgrade', (request, socket) => { // as a WebSocket is, without its frames
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.pipe(socket);
  });
  server.listen(port, '127.0.0.1');
}
