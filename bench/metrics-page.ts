/** What the server tells about itself at /metrics. */

import { get } from 'node:http';

export function readMetric(port: number, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/metrics' }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () => {
        const line = text.split('\n').find((one) => one.startsWith(`${name} `));
        if (line === undefined) reject(new Error(`no ${name} at /metrics`));
        else resolve(Number(line.slice(name.length + 1)));
      });
    }).on('error', reject);
  });
}
