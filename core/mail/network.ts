/** Whose connections are counted together, by limits and by the back-off after wrong passwords. */

/** One customer's network: an IPv6 host has a /64 to itself. */
export function networkOf(remote: string): string {
  if (!remote.includes(':')) return remote;
  if (remote.toLowerCase().startsWith('::ffff:') && remote.includes('.')) return remote.slice(7);
  const [head = '', tail] = remote.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':');
    while (groups.length + rest.length < 8) groups.push('0');
    groups.push(...rest);
  }
  return groups.slice(0, 4).join(':').toLowerCase();
}
