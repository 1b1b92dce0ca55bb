/** docs/config.md, written from the schema so that the page and the program can't differ. */

import { describeValues, formatValue } from '../core/config/option.ts';
import { OPTIONS } from '../core/config/schema.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|');

export function configPage(): string {
  const lines = [
    '# Options',
    '',
    'Generated from `core/config/schema.ts` by `npm run generate`; edit that file.',
    '',
    'Each option can be set in the environment (`MAILMESH_SMTP_PORT=25`) or in the file that `MAILMESH_CONFIG` names',
    '(`smtpPort = 25`, one a line, `#` begins a comment line; or one JSON object, `{ "smtpPort": 25 }`). The environment',
    'wins over the file. An unknown name or a wrong value stops the start and says what would be right.',
    '',
    'Sizes are powers of 1024 (`512K`, `50M`, `5GiB`), times carry a unit (`500ms`, `30s`, `5m`, `24h`, `30d`); plain',
    'numbers are the unit named in the table. Port 0 takes any free port, which the start prints; `off` leaves that',
    'listener out. Relative paths start at the folder the command is run in.',
    '',
  ];
  for (const group of new Set(OPTIONS.map((option) => option.group))) {
    lines.push(`## ${group}`, '', '| Environment | File | Default | What it does | Values | Changes count | Since |');
    lines.push('| --- | --- | --- | --- | --- | --- | --- |');
    for (const option of OPTIONS.filter((candidate) => candidate.group === group)) {
      const values = describeValues(option) + (option.unit === '' ? '' : ` (${option.unit})`);
      const cells = [
        `\`${option.env}\``,
        `\`${option.name}\``,
        option.default === '' ? '' : `\`${formatValue(option, option.default)}\``,
        option.doc,
        values,
        option.reload === 'live' ? 'at once' : 'at start',
        option.since,
      ];
      lines.push(`| ${cells.map(cell).join(' | ')} |`);
    }
    lines.push('');
  }
  return lines.join('\n');
}
