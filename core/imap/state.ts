/** The states of a connection, RFC 9051 §3, and the sets of them that commands are allowed in. */

export type State = 'not-authenticated' | 'authenticated' | 'selected';

export const ANY_STATE: readonly State[] = ['not-authenticated', 'authenticated', 'selected'];
export const LOGGED_IN: readonly State[] = ['authenticated', 'selected'];
export const SELECTED: readonly State[] = ['selected'];
