/** What a check of the doctor says. */

export interface Finding {
  readonly check: string;
  /** `fail`: it will not work; `warn`: it works but should be looked at; `info`: nothing to do. */
  readonly status: 'ok' | 'info' | 'warn' | 'fail';
  readonly detail: string;
}

export const finding = (check: string, status: Finding['status'], detail: string): Finding => ({
  check,
  status,
  detail,
});
