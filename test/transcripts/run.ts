/**
 * Runs the dialogues of a folder (README.md beside this file has their form) against engines that a protocol's host
 * makes. A failure shows the dialogue as it went, up to the line that differs.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { EngineFactory } from '../../core/mail/wire.ts';
import { type ConnectionOptions, TestConnection } from '../support/test-connection.ts';
import { type Dialogue, parseDialogues, type Step } from './parse.ts';
import { type Captures, matchLine, substitute } from './pattern.ts';

export type Header = ReadonlyMap<string, string>;

/** The server's side of one dialogue. */
export interface World {
  readonly engine: EngineFactory;
  readonly connection?: ConnectionOptions;
  /** Values of `$names` that are known from the start. */
  readonly captures?: Readonly<Record<string, string>>;
  /** Brings a new connection into the header's state; reads the greeting. */
  begin(connection: TestConnection, header: Header): Promise<void>;
  readonly actions?: Readonly<Record<string, (connection: TestConnection, args: string) => Promise<void> | void>>;
  close(): Promise<void>;
}

export type Host = (header: Header) => Promise<World>;

const TIMEOUT_MS = 20_000;
/** Of one line of the server's. */
const LINE_TIMEOUT_MS = 8_000;

/** Registers a test for each dialogue of the folder's files, in both chunkings. */
export function runTranscripts(folder: string, host: Host): void {
  // Side by side: most of the time is spent waiting for the disk.
  describe('transcripts', { concurrency: 8 }, () => {
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.txt'))) {
      for (const dialogue of parseDialogues(readFileSync(join(folder, file), 'utf8'), file)) {
        for (const [how, step] of CHUNKINGS) {
          test(`${file}: ${dialogue.title} (${how})`, { timeout: TIMEOUT_MS }, () => play(dialogue, host, step));
        }
      }
    }
  });
}

const LATE = Symbol('late');

const CHUNKINGS = [
  ['in lines', Number.POSITIVE_INFINITY],
  ['byte by byte', 1],
] as const;

async function play(dialogue: Dialogue, host: Host, step: number): Promise<void> {
  const world = await host(dialogue.header);
  const player = new Player(world, dialogue, step);
  try {
    await player.play();
  } finally {
    player.end();
    await world.close();
  }
}

class Player {
  readonly #world: World;
  readonly #dialogue: Dialogue;
  readonly #step: number;
  readonly #connections = new Map<number, TestConnection>();
  readonly #captures: Captures;
  /** As it went. */
  readonly #log: string[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(world: World, dialogue: Dialogue, step: number) {
    this.#world = world;
    this.#dialogue = dialogue;
    this.#step = step;
    this.#captures = new Map(Object.entries(world.captures ?? {}));
  }

  async play(): Promise<void> {
    for (const step of this.#dialogue.steps) await this.#do(step);
    for (const [number, connection] of this.#connections) this.#nothingLeft(number, connection);
  }

  end(): void {
    clearTimeout(this.#timer);
    for (const connection of this.#connections.values()) connection.end();
  }

  async #connection(number: number): Promise<TestConnection> {
    const known = this.#connections.get(number);
    if (known !== undefined) return known;
    const connection = new TestConnection(this.#world.engine, this.#world.connection);
    this.#connections.set(number, connection);
    await this.#world.begin(connection, this.#dialogue.header);
    return connection;
  }

  async #do(step: Step): Promise<void> {
    const connection = await this.#connection(step.connection);
    switch (step.t) {
      case 'client': {
        this.#nothingLeft(step.connection, connection);
        const bytes = substitute(step.bytes, this.#captures);
        this.#log.push(`${step.connection}C: ${JSON.stringify(bytes.slice(0, 400))}`);
        await connection.send(Buffer.from(bytes, 'latin1'), this.#step);
        return;
      }
      case 'server':
        for (let wanted = [...step.lines]; wanted.length > 0; ) {
          wanted = await this.#expect(step.connection, connection, wanted, step.skip);
        }
        return;
      case 'close': {
        const line = await connection.line();
        if (line !== null) this.#fail(step.connection, line, '<close>');
        return;
      }
      case 'action': {
        const action = this.#world.actions?.[step.name];
        assert.ok(action !== undefined, `no action ${step.name}`);
        await action(connection, substitute(step.args, this.#captures));
        return;
      }
    }
  }

  /** Reads one line that is like one of those wanted; gives the others. */
  async #expect(number: number, connection: TestConnection, wanted: string[], skip: boolean): Promise<string[]> {
    for (;;) {
      const line = await Promise.race([connection.line(), this.#late()]);
      if (line === LATE) return this.#fail(number, 'nothing', wanted.join('\n'));
      if (line === null) return this.#fail(number, '<close>', wanted.join('\n'));
      const found = wanted.findIndex((pattern) => matchLine(pattern, line, this.#captures));
      if (found >= 0) {
        this.#log.push(`${number}S: ${line}`);
        return wanted.filter((_, index) => index !== found);
      }
      if (!skip) return this.#fail(number, line, wanted.join('\n'));
      this.#log.push(`${number}S: ${line}`);
    }
  }

  /** Resolves when a line is overdue: a failure that shows the dialogue is better than the test's own timeout. */
  #late(): Promise<typeof LATE> {
    return new Promise((resolve) => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(resolve, LINE_TIMEOUT_MS, LATE);
    });
  }

  #nothingLeft(number: number, connection: TestConnection): void {
    const rest = connection.rest();
    if (rest !== '') this.#fail(number, rest, 'nothing more');
  }

  #fail(number: number, actual: string, expected: string): never {
    const { title, file } = this.#dialogue;
    assert.fail(
      `${file}: ${title}\n${this.#log.join('\n')}\nconnection ${number} sent\n  ${actual}\nwhere this was expected\n  ${expected}`,
    );
  }
}
