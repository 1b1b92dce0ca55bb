/** Tagged BAD: the command does not follow the grammar. The message is shown to the client, so it never quotes it. */
export class BadSyntax extends Error {}
