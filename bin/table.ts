/** Tables for people. Cells may hold text from mail: it is made printable and kept on one line. */

import { displayWidth, printable } from './format.ts';

export type Cell = string | number | boolean | null | undefined;

const CELL_MAX = 80;
const FACT_MAX = 1000;

function show(cell: Cell, most: number): string {
  if (cell === null || cell === undefined || cell === '') return '-';
  if (typeof cell === 'boolean') return cell ? 'yes' : 'no';
  const text = printable(String(cell));
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

const pad = (text: string, width: number, right: boolean): string => {
  const fill = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return right ? fill + text : text + fill;
};

/** Columns are as wide as their widest cell, cut at `most`; columns of numbers stand to the right. */
export function table(titles: readonly string[], rows: readonly (readonly Cell[])[], most = CELL_MAX): string {
  const texts = rows.map((row) => titles.map((_, column) => show(row[column], most)));
  const right = titles.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'));
  const widths = titles.map((title, column) =>
    Math.max(displayWidth(title), ...texts.map((row) => displayWidth(row[column]!))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => pad(cell, widths[column]!, right[column]!))
      .join('  ')
      .trimEnd();
  return [line(titles.map((title) => title.toUpperCase())), ...texts.map(line)].join('\n');
}

/** One thing's facts, a name and a value a line. */
export function facts(entries: readonly (readonly [name: string, value: Cell])[]): string {
  const width = Math.max(0, ...entries.map(([name]) => displayWidth(name)));
  return entries.map(([name, value]) => `${pad(name, width, false)}  ${show(value, FACT_MAX)}`).join('\n');
}
