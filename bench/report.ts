/** The table of a run as text, and its place in docs/benchmarks.md. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Figure, Row } from './measure.ts';

const FILE = join(import.meta.dirname, '..', 'docs', 'benchmarks.md');

export interface Measured {
  readonly row: Row;
  /** A text says why there is no figure. */
  readonly own: Figure | string;
  readonly peers: readonly { readonly name: string; readonly figure: Figure | string }[];
}

function show(value: number, unit: string): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const number = value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return unit.startsWith('/') || unit === '×' ? `${number}${unit}` : `${number} ${unit}`;
}

const shown = (figure: Figure | string, unit: string): string =>
  typeof figure === 'string' ? figure : show(figure.value, unit);

function target({ target: wanted, unit }: Row): string {
  if (wanted === null) return '';
  const limit = 'atLeast' in wanted ? wanted.atLeast : wanted.atMost;
  const number = limit.toLocaleString('en');
  const text = unit.startsWith('/') || unit === '×' ? `${number}${unit}` : `${number} ${unit}`;
  return `${'atLeast' in wanted ? '≥' : '≤'} ${text}`;
}

const moreIsBetter = ({ target: wanted, unit }: Row): boolean =>
  wanted === null ? unit.endsWith('/s') : 'atLeast' in wanted;

function verdict(row: Row, own: Figure | string): string {
  if (row.target === null || typeof own === 'string') return '';
  const reached = 'atLeast' in row.target ? own.value >= row.target.atLeast : own.value <= row.target.atMost;
  return reached ? 'reached' : 'missed';
}

/** How many times better than the peer. */
function ratio(row: Row, own: Figure | string, peer: Figure | string): string {
  if (typeof own === 'string' || typeof peer === 'string') return '';
  const times = moreIsBetter(row) ? own.value / peer.value : peer.value / own.value;
  return Number.isFinite(times) ? `${times.toFixed(2)}×` : '';
}

export function tableOf(measured: readonly Measured[]): string {
  const lines = ['| work | target | Mailmesh | | peer | ratio |', '| --- | --- | --- | --- | --- | --- |'];
  for (const { row, own, peers } of measured) {
    const peer = peers.map(({ name, figure }) => `${name}: ${shown(figure, row.unit)}`).join('<br>');
    const ratios = peers.map(({ figure }) => ratio(row, own, figure)).join('<br>');
    lines.push(
      `| ${row.work} | ${target(row)} | ${shown(own, row.unit)} | ${verdict(row, own)} | ${peer} | ${ratios} |`,
    );
  }
  return lines.join('\n');
}

export function notesOf(measured: readonly Measured[]): string {
  const lines: string[] = [];
  for (const { row, own, peers } of measured) {
    const all = [{ name: 'Mailmesh', figure: own }, ...peers];
    const notes = all.flatMap(({ name, figure }) =>
      typeof figure === 'string' || figure.note === undefined ? [] : [`${name}: ${figure.note}`],
    );
    if (notes.length > 0) lines.push(`- ${row.work}: ${notes.join('. ')}.`);
  }
  return lines.join('\n');
}

/** Replaces what stands between the section's marks, or adds the section at the end. */
export async function writeSection(name: string, text: string): Promise<string> {
  const begin = `<!-- ${name}: begin -->`;
  const end = `<!-- ${name}: end -->`;
  const section = `${begin}\n${text.trim()}\n${end}`;
  const before = await readFile(FILE, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return '# Benchmarks\n';
  });
  const from = before.indexOf(begin);
  const to = before.indexOf(end);
  const after =
    from >= 0 && to > from
      ? `${before.slice(0, from)}${section}${before.slice(to + end.length)}`
      : `${before.trimEnd()}\n\n${section}\n`;
  await writeFile(FILE, after);
  return FILE;
}
