/**
 * Dialogues in the form of RFC examples: `C:` is sent as one line, `S:` is the beginning of a reply line that must come
 * next. Lines of C that follow each other without an S between are sent in one piece, so groups are pipelined.
 */

import assert from 'node:assert/strict';
import type { Harness } from './smtp-harness.ts';

export async function dialogue(to: Harness, text: string): Promise<void> {
  const lines = text
    .split('\n')
    .map((line) => line.replace(/^\s+/, ''))
    .filter((line) => line !== '');
  let group = '';
  let replies: string[] = [];
  for (const [index, line] of lines.entries()) {
    const rest = line.slice(3);
    if (line.startsWith('C:')) {
      assert.deepEqual(replies, [], `replies left over before: ${line}`);
      group += `${rest}\r\n`;
      if (lines[index + 1]?.startsWith('C:')) continue;
      replies = (await to.say(group)).split('\r\n').slice(0, -1);
      group = '';
    } else {
      const reply = replies.shift() ?? 'no reply';
      assert.ok(reply.startsWith(rest), `line ${index + 1} of the dialogue: expected "${rest}", got "${reply}"`);
    }
  }
  assert.deepEqual(replies, [], 'replies left over at the end');
}
