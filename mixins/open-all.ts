/** Opens all parts of a node's stores at once, and closes what was opened in the opposite order. */

export interface Part {
  open(): Promise<void>;
  close(): Promise<void>;
}

/** Each is waited for, also when another one fails: whatever opened is closed. Resolves with what closes all. */
export async function openAll(parts: readonly Part[]): Promise<() => Promise<void>> {
  const opened = await Promise.allSettled(parts.map((part) => part.open()));
  const open = parts.filter((_, i) => opened[i]!.status === 'fulfilled');
  const close = async (): Promise<void> => {
    for (const part of open.reverse()) await part.close();
  };
  const failed = opened.find((result) => result.status === 'rejected');
  if (failed === undefined) return close;
  await close();
  throw failed.reason;
}
