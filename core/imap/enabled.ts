/** What ENABLE (RFC 9051 §6.3.1) or a command that implies it has switched on for the rest of the connection. */
export interface Enabled {
  condstore: boolean;
  qresync: boolean;
  utf8: boolean;
}
