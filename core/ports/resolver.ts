/** DNS as message authentication and `doctor` need it: bounded in time, cached, and never fatal. */

export type RecordType = 'A' | 'AAAA' | 'MX' | 'TXT' | 'PTR' | 'CNAME' | 'NS' | 'TLSA';

export interface Resolver {
  /**
   * Records in the shape of node's `dns.promises.resolve`. Rejects with an Error whose `code` is ENOTFOUND or ENODATA
   * where there are none, and ETIMEOUT or ESERVFAIL, within `resolverTimeoutMs`, where none could be had.
   */
  resolve(name: string, type: RecordType): Promise<unknown[]>;
}
