/** Small example messages for tests. */

/** The n-th example: its subject and Message-ID name it. */
export const exampleMessage = (n: number): string =>
  [
    `From: Bob <bob@mail.example>`,
    `To: alice@mail.example`,
    `Subject: message ${n}`,
    `Message-ID: <${n}@mail.example>`,
    `Date: Mon, 7 Nov 1994 08:49:37 +0000`,
    '',
    `This is message ${n}.`,
    '',
  ].join('\r\n');
