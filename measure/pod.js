// A pod: an HTTP server of Node.js with slots, a queue and a limit of it, perhaps with a statement in PostgreSQL for each request.
// Its configuration is an entry of `config.pods` of a measured case, as JSON in the first argument.
'use strict';
const http = require('http');

const config = JSON.parse(process.argv[2]);
const slots = config.concurrency || 1;
const limit = config.queue_limit === null || config.queue_limit === undefined ? Infinity : config.queue_limit;
const queue = [];
let busy = 0;
let draining = false;

function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

// Milliseconds of a law.
function draw(law) {
  switch (law && law.kind) {
    case 'const': return 1000 * law.mean_s;
    case 'exp': return -1000 * law.mean_s * Math.log(1 - Math.random());
    case 'uniform': return 1000 * (law.lo_s + (law.hi_s - law.lo_s) * Math.random());
    case 'lognormal': return 1000 * Math.exp(Math.log(law.mean_s) - law.sigma ** 2 / 2 + law.sigma * normal());
    default: return 0;
  }
}

// Times of this pod, milliseconds: how long it took to connect to the database, how late timers were.
const stats = { db_connects: 0, db_connect_ms_mean: 0, timers: 0, late_ms_mean: 0 };

function note(count, mean, milliseconds) {
  stats[count]++;
  stats[mean] += (milliseconds - stats[mean]) / stats[count];
}

// The statement of a request.
let statement = null;
if (config.db) {
  const { Client, Pool } = require('pg');
  const { host, port, user, password, database } = config.db;
  const address = { host, port, user, password, database };
  const sleep = (client) => client.query('select pg_sleep($1)', [draw(config.db.work) / 1000]);
  if (config.db.mode === 'pool') {
    const pool = new Pool({ ...address, max: config.db.pool_max, min: config.db.pool_min || 0,
      idleTimeoutMillis: config.db.idle_ms || 10000, connectionTimeoutMillis: config.db.acquire_timeout_ms || 0 });
    pool.on('error', () => {});
    statement = async () => {
      const client = await pool.connect();
      try { await sleep(client); } finally { client.release(); }
    };
  } else {
    statement = async () => {
      const client = new Client(address);
      client.on('error', () => {});
      try {
        const begin = performance.now();
        await client.connect();
        note('db_connects', 'db_connect_ms_mean', performance.now() - begin);
        await sleep(client);
      } finally {
        client.end().catch(() => {});
      }
    };
  }
}

function answer(job, status, body) {
  job.done = true;
  if (!job.gone) {
    const headers = { 'Content-Length': Buffer.byteLength(body) };
    if (draining) headers.Connection = 'close';
    job.response.writeHead(status, headers);
    job.response.end(body);
  }
}

const body = 'x'.repeat(config.body_bytes === undefined ? 100 : config.body_bytes);

function release() {
  busy--;
  while (busy < slots && queue.length > 0) {
    start(config.queue_discipline === 'lifo' ? queue.pop() : queue.shift());
  }
}

function start(job) {
  busy++;
  const finish = async () => {
    let status = 200;
    if (statement) {
      try { await statement(); } catch (error) { status = 500; }
    }
    if (job.cancelled) return;
    answer(job, status, status === 200 ? body : 'error');
    release();
  };
  const milliseconds = draw(config.service);
  if (milliseconds <= 0) return void finish();
  const begin = performance.now();
  job.timer = setTimeout(() => {
    note('timers', 'late_ms_mean', performance.now() - begin - milliseconds);
    finish();
  }, milliseconds);
}

function left(job) {
  if (job.done) return;
  job.gone = true;
  if (!config.cancel_on_disconnect) return;
  const place = queue.indexOf(job);
  if (place >= 0) {
    queue.splice(place, 1);
  } else if (!job.cancelled) {
    job.cancelled = true;
    clearTimeout(job.timer);
    release();
  }
}

const server = http.createServer((request, response) => {
  request.resume();
  const job = { response };
  if (request.url === '/warm') return answer(job, 200, 'warm');
  if (request.url === '/stats') return answer(job, 200, JSON.stringify(stats));
  if (request.url.startsWith('/block/')) {
    answer(job, 200, 'blocked');
    const end = Date.now() + Number(request.url.slice(7));
    setImmediate(() => { while (Date.now() < end); });
    return;
  }
  response.on('close', () => left(job));
  if (busy < slots) start(job);
  else if (queue.length < limit) queue.push(job);
  else answer(job, config.reject_status || 503, 'busy');
});
server.keepAliveTimeout = config.keepalive_ms === undefined ? 75000 : config.keepalive_ms;
server.requestTimeout = 0;
server.headersTimeout = 0;
server.maxRequestsPerSocket = 0;
server.listen({ port: config.port, host: '127.0.0.1', backlog: config.backlog || 511 }, () => console.log('ready'));

process.on('SIGTERM', () => {
  if (config.on_sigterm !== 'drain') process.exit(0);
  draining = true;
  server.close(() => process.exit(0));
  server.closeIdleConnections();
  setTimeout(() => process.exit(0), config.drain_max_ms || 30000);
});
