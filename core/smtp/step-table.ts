/** Every SMTP command there is here: one file in steps/ each. */

import type { SmtpKind } from './environment.ts';
import type { Step } from './step.ts';
import { auth } from './steps/auth.ts';
import { bdat } from './steps/bdat.ts';
import { data } from './steps/data.ts';
import { expn } from './steps/expn.ts';
import { ehlo, helo, lhlo } from './steps/hello.ts';
import { help } from './steps/help.ts';
import { mail } from './steps/mail.ts';
import { noop } from './steps/noop.ts';
import { quit } from './steps/quit.ts';
import { rcpt } from './steps/rcpt.ts';
import { rset } from './steps/rset.ts';
import { starttls } from './steps/starttls.ts';
import { vrfy } from './steps/vrfy.ts';

const STEPS: readonly Step[] = [
  helo,
  ehlo,
  lhlo,
  starttls,
  auth,
  mail,
  rcpt,
  data,
  bdat,
  rset,
  noop,
  vrfy,
  expn,
  help,
  quit,
];

/** The commands that a kind of listener knows, by verb. */
export const stepTable = (kind: SmtpKind): ReadonlyMap<string, Step> =>
  new Map(STEPS.filter((step) => step.kinds.includes(kind)).map((step) => [step.verb, step]));
