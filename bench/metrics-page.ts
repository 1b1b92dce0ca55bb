/** What the server tells about itself at /metrics. */

import { get } from 'node:http';

function page(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/metrics' }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () => resolve(text));
    }).on('error', reject);
  });
}

function gauge(text: string, name: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  if (line === undefined) throw new Error(`no ${name} at /metrics`);
  return Number(line.slice(name.length + 1));
}

/**
 * How late the event loop came, p99, in milliseconds, since it was asked before: asking begins anew. Node's histogram
 * holds whole intervals of its sampling timer; the shortest one is the timer's period, which is no delay.
 */
export async function loopDelayMs(port: number): Promise<number> {
  const text = await page(port);
  const [p99, shortest] = ['p99', 'min'].map((what) => gauge(text, `nodejs_eventloop_lag_${what}_seconds`));
  return (p99! - shortest!) * 1000;
}
