/**
 * Reads every blob and compares all of its checksums. Damage is named by pack, offset and ref (or file); `repair` drops
 * the rows of blobs whose bytes are gone, so that putting them again writes them anew. Puts and reads go on meanwhile.
 */

import fs from 'node:fs';
import type { BlobRef } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import { packFile } from './blob-appender.ts';
import { blobFile, blobFileRefs, fileProblem } from './blob-file.ts';
import { refText } from './blob-index.ts';
import { closeFile, errorCode, openFile } from './blob-io.ts';
import { PACK_HEADER, recordProblem, scanPack } from './blob-pack.ts';
import { type BlobParts, turn } from './blob-parts.ts';
import { adoptFile } from './blob-recover.ts';

interface Lost {
  readonly ref: Uint8Array;
  readonly pack: number;
  readonly offset: number;
}

/** So much is checked between two turns of the event loop. */
const STEP_BYTES = 512 * 1024;

export async function verifyBlobs(parts: BlobParts, repair: boolean, now: number): Promise<readonly Damage[]> {
  const { index, appender, reader, stuck } = parts;
  const broken = await index.integrity();
  const hint = 'the index can be made again from the packs: stop, delete it, start';
  if (broken.length > 0) return broken.map((one) => ({ ...one, detail: `${one.detail} (${hint})` }));
  const damages: Damage[] = [];
  await index.settled();
  const packs = new Set([
    ...appender.ends.keys(),
    ...(await index.packs()).filter((row) => row.count > 0).map((row) => row.pack),
  ]);
  const lost: Lost[] = [];
  for (const pack of packs) if (pack !== 0) await verifyPack(parts, pack, repair, damages, lost);
  await verifyFiles(parts, repair, damages);
  await verifyNames(parts, repair, damages, now);
  if (repair && lost.length > 0) {
    await index.drop(lost);
    for (const { ref } of lost) reader.forget(refText(ref));
    stuck.clear();
  }
  if (repair) await index.recount();
  return damages;
}

interface PackFindings {
  readonly sound: Set<number>;
  /** How many of the sound ones a row names. */
  named: number;
  readonly problems: Map<number, string>;
}

async function scan({ folder, index }: BlobParts, pack: number, end: number, damages: Damage[]): Promise<PackFindings> {
  const findings: PackFindings = { sound: new Set(), named: 0, problems: new Map() };
  let fd: number;
  try {
    fd = await openFile(packFile(folder, pack), 'r');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    damages.push({ what: packFile(folder, pack), detail: 'the file is gone', repaired: false });
    return findings;
  }
  try {
    let since = 0;
    for await (const found of scanPack(fd, PACK_HEADER.length, end)) {
      if (found.t === 'gap') continue;
      const { offset, header, payload } = found;
      const problem = recordProblem(header, payload);
      const location = index.find(header.ref);
      if (problem === null) findings.sound.add(offset);
      else findings.problems.set(offset, problem);
      if (problem === null && location?.pack === pack && location.offset === offset) findings.named++;
      // Without a row it may have been lost at a recovery: the operator hears of it, though nothing can be done.
      if (problem !== null && location === undefined)
        damages.push({ what: place(pack, offset, header.ref), detail: `${problem}; no row names it`, repaired: false });
      since += header.size;
      if (since > STEP_BYTES) await turn();
      if (since > STEP_BYTES) since = 0;
    }
  } finally {
    await closeFile(fd);
  }
  return findings;
}

const place = (pack: number, offset: number, ref: BlobRef): string => `pack ${pack}, offset ${offset}, blob ${ref}`;

async function verifyPack(
  parts: BlobParts,
  pack: number,
  repair: boolean,
  damages: Damage[],
  lost: Lost[],
): Promise<void> {
  const { index, appender } = parts;
  const end = appender.ends.get(pack) ?? 0;
  const { sound, named, problems } = await scan(parts, pack, end, damages);
  await index.settled();
  const sums = (await index.packs()).find((row) => row.pack === pack);
  if (named === (sums?.count ?? 0)) return;
  let count = 0;
  for (const row of await index.rowsOf(pack)) {
    count++;
    // Put since the scan began.
    if (row.offset >= end && row.offset + row.stored <= (appender.ends.get(pack) ?? 0)) continue;
    if (sound.has(row.offset)) continue;
    const detail = problems.get(row.offset) ?? (row.offset >= end ? 'the pack is cut short' : 'there is no record');
    damages.push({ what: place(pack, row.offset, refText(row.ref)), detail, repaired: repair });
    lost.push({ ref: row.ref, pack, offset: row.offset });
  }
  if (sums !== undefined && sums.count !== count && pack !== appender.current)
    damages.push({ what: `pack ${pack}`, detail: `${count} blobs, ${sums.count} counted`, repaired: repair });
}

async function verifyFiles(
  { folder, index, files, reader }: BlobParts,
  repair: boolean,
  damages: Damage[],
): Promise<void> {
  for (const row of await index.rowsOf(0)) {
    const ref = refText(row.ref);
    const file = blobFile(folder, ref);
    const problem = await problemOf(file, ref);
    // Collected while the list was being read.
    if (problem === null || index.find(ref) === undefined) continue;
    damages.push({ what: `file ${file}, blob ${ref}`, detail: problem, repaired: repair });
    if (!repair) continue;
    await index.drop([{ ref: row.ref, pack: 0, offset: 0 }]);
    reader.forget(ref);
    files.forget(file);
    setAside(file);
  }
}

/** Files that no row names: a sound one gets its row back. */
async function verifyNames(parts: BlobParts, repair: boolean, damages: Damage[], now: number): Promise<void> {
  const { folder, index, isWriting } = parts;
  for (const ref of blobFileRefs(folder)) {
    if (isWriting(ref) || index.find(ref) !== undefined) continue;
    const file = blobFile(folder, ref);
    const problem = await problemOf(file, ref);
    if (isWriting(ref) || index.find(ref) !== undefined) continue;
    damages.push({ what: `file ${file}, blob ${ref}`, detail: problem ?? 'no row names it', repaired: repair });
    if (repair && problem === null) await adoptFile(parts, ref, now);
    else if (repair) setAside(file);
  }
}

/** Keeps a damaged file as evidence under a name that no blob has. */
function setAside(file: string): void {
  if (fs.existsSync(file)) fs.renameSync(file, `${file}.damaged`);
}

async function problemOf(file: string, ref: BlobRef): Promise<string | null> {
  let fd: number;
  try {
    fd = await openFile(file, 'r');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    return 'the file is gone';
  }
  try {
    return await fileProblem(fd, file, ref);
  } finally {
    await closeFile(fd);
  }
}
