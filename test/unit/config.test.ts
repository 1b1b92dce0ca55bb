/** The options: what is read from where, and that everything wrong is named with what would be right. */

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { staleFiles } from '../../bin/generate.ts';
import { ConfigError, loadConfig, nearest } from '../../core/config/load.ts';
import { envName, formatValue, parseBytes, parseValue } from '../../core/config/option.ts';
import { OPTIONS } from '../../core/config/schema.ts';

function problemsOf(env: Record<string, string>, file?: string): string[] {
  try {
    loadConfig(env, file);
  } catch (error) {
    assert(error instanceof ConfigError);
    return error.message.split('\n');
  }
  return [];
}

test('the names and defaults that scripts outside rely on', () => {
  const fixed: Record<string, string> = {
    MAILMESH_DATA_DIR: './data',
    MAILMESH_BIND: '127.0.0.1',
    MAILMESH_DOMAIN: 'mail.localhost',
    MAILMESH_SMTP_PORT: '2525',
    MAILMESH_SUBMISSION_PORT: '2587',
    MAILMESH_SUBMISSIONS_PORT: '2465',
    MAILMESH_LMTP_PORT: '2424',
    MAILMESH_IMAP_PORT: '2143',
    MAILMESH_IMAPS_PORT: '2993',
    MAILMESH_POP3_PORT: '2110',
    MAILMESH_POP3S_PORT: '2995',
    MAILMESH_HTTP_PORT: '8080',
    MAILMESH_TLS_CERT: 'self',
    MAILMESH_TLS_KEY: 'self',
    MAILMESH_INSECURE_AUTH: 'false',
  };
  const known = new Map(OPTIONS.map((option) => [option.env, formatValue(option, option.default)]));
  for (const [name, value] of Object.entries(fixed)) assert.equal(known.get(name), value, name);
});

test('defaults need nothing, are frozen, and the hostname follows the domain', () => {
  const config = loadConfig({ PATH: '/bin', OTHER: 'x' });
  assert(Object.isFrozen(config));
  assert.equal(config.hostname, 'mail.localhost');
  assert.equal(config.sizeBytesMax, 50 * 2 ** 20);
  assert.equal(config.tlsCert, null);
  assert.equal(loadConfig({ MAILMESH_DOMAIN: 'Example.ORG' }).hostname, 'example.org');
  assert.equal(loadConfig({ MAILMESH_HOSTNAME: 'mx.example.org' }).hostname, 'mx.example.org');
});

test('names, environment variables and sections are unique', () => {
  assert.equal(new Set(OPTIONS.map((option) => option.env)).size, OPTIONS.length);
  assert.equal(new Set(OPTIONS.map((option) => option.name)).size, OPTIONS.length);
  assert.equal(envName('pop3sPort'), 'MAILMESH_POP3S_PORT');
});

test('every default is a value of its own option, and is read back as it is written', () => {
  for (const option of OPTIONS)
    assert.equal(parseValue(option, formatValue(option, option.default)), option.default, option.name);
});

test('a file of lines and a file of JSON give the same', () => {
  const lines =
    '# limits\nsmtpPort = 25\n\nsizeBytesMax=10M\r\nhostname = "mx.example.org"\nimapPort = off\ncatchAll = no\n';
  const json =
    '{"smtpPort": 25, "sizeBytesMax": "10M", "hostname": "mx.example.org", "imapPort": null, "catchAll": false}';
  const config = loadConfig({}, lines);
  assert.deepEqual(loadConfig({}, json), config);
  assert.equal(config.smtpPort, 25);
  assert.equal(config.sizeBytesMax, 10 * 2 ** 20);
  assert.equal(config.imapPort, null);
  assert.equal(config.catchAll, false);
});

test('the environment wins over the file', () => {
  assert.equal(loadConfig({ MAILMESH_SMTP_PORT: '26' }, 'smtpPort = 25').smtpPort, 26);
});

test('an unknown name is refused with the nearest one', () => {
  assert.deepEqual(problemsOf({ MAILMESH_SMPT_PORT: '25' }), [
    'MAILMESH_SMPT_PORT: "25": there is no such option; MAILMESH_SMTP_PORT?',
  ]);
  assert.deepEqual(problemsOf({}, 'smtp_port = 25'), ['smtp_port: "25": there is no such option; smtpPort?']);
  assert.match(problemsOf({}, 'MAILMESH_SMTP_PORT = 25')[0]!, /smtpPort\?$/);
  assert.match(problemsOf({ MAILMESH_ZZZZZZZZZZZZZZZZZZZZZ: '1' })[0]!, /there is no such option \(docs\/config\.md/);
  assert.equal(nearest('prot', ['port', 'bind']), 'port');
});

test('a wrong value is refused with what would be right', () => {
  const cases: [string, string, RegExp][] = [
    ['MAILMESH_SMTP_PORT', 'abc', /"abc": a port from 0 \(any free one\) to 65535, or off$/],
    ['MAILMESH_SMTP_PORT', '65536', /a port/],
    ['MAILMESH_SMTP_PORT', '-1', /a port/],
    ['MAILMESH_SMTP_PORT', '', /a port/],
    ['MAILMESH_BIND', 'not a host', /an address or host name/],
    ['MAILMESH_BIND', '300.1.1.1', /an address or host name/],
    ['MAILMESH_DOMAIN', 'a..b', /a domain name/],
    ['MAILMESH_INSECURE_AUTH', 'maybe', /true or false$/],
    ['MAILMESH_SIZE_BYTES_MAX', 'big', /a size such as .* from 64KiB to 2GiB$/],
    ['MAILMESH_IMAP_IDLE_TIMEOUT_MS', '29m', /a time such as .* of at least 30m$/],
    ['MAILMESH_LOG_LEVEL', 'loud', /one of trace, debug/],
    ['MAILMESH_RECIPIENTS_MAX', '99', /from 100 to 50000/],
    ['MAILMESH_SPAM_THRESHOLD', '1.5', /a number from 0 to 1, or model/],
    ['MAILMESH_DATA_DIR', '', /a path/],
  ];
  for (const [name, value, right] of cases) {
    const problems = problemsOf({ [name]: value });
    assert.equal(problems.length, 1, name);
    assert.match(problems[0]!, right);
    assert(problems[0]!.startsWith(`${name}: "`));
  }
});

test('all problems are listed at once, each on one line', () => {
  const problems = problemsOf(
    { MAILMESH_SMTP_PORT: 'x\ny', MAILMESH_BIND: '' },
    'nothing here\nfoo = 1\nsmtpPort = 1\nsmtpPort = 2',
  );
  assert.equal(problems.length, 5);
});

test('a broken JSON file, nested values and a file naming a file are refused', () => {
  assert.match(problemsOf({}, '{"smtpPort": ')[0]!, /not JSON/);
  assert.match(problemsOf({}, '{"smtpPort": {"a": 1}}')[0]!, /a text, a number/);
  assert.match(problemsOf({}, 'config = other')[0]!, /only the environment/);
});

test('what may hold a password is not shown, whatever is wrong with where it stands', () => {
  const address = 'mongodb://user:hush@host/x?tls=true';
  const cases: [Record<string, string>, string?][] = [
    [{ MAILMESH_MONGO_URI: address }],
    [{ MAILMESH_WHATEVER: address }],
    [{ MAILMESH_NATS_PASSWORD: 'hush' }],
    [{ MAILMESH_MONGO_URL: `x${address}` }],
    [{ MAILMESH_MONGO_URL: address }],
    [{}, `mongoURL = ${address}`],
    [{}, `mongoUrl: ${address}`],
    [{}, 'natsUrl: nats://hush@host'],
    [{}, 'natsPassword hush'],
    [{}, `mongoUrl = ${address}\nmongoUrl = ${address}`],
    [{}, `{"mongoUrl": "${address}" "smtpPort": 25}`],
    [{}, '{"natsPassword": hush}'],
    [{}, `{"mongoUrl": ["${address}"]}`],
    [{}, '{"password": {"nats": "hush"}}'],
  ];
  for (const [env, file] of cases) {
    const problems = problemsOf(env, file);
    assert.ok(problems.length > 0, JSON.stringify([env, file]));
    assert.doesNotMatch(problems.join('\n'), /hush/);
  }
});

test('certificate and key come together or not at all', () => {
  assert.match(problemsOf({ MAILMESH_TLS_CERT: 'c.pem' })[0]!, /goes together with MAILMESH_TLS_KEY/);
  assert.match(problemsOf({ MAILMESH_TLS_KEY: 'k.pem' })[0]!, /goes together with MAILMESH_TLS_CERT/);
  assert.deepEqual(problemsOf({ MAILMESH_TLS_CERT: 'c.pem', MAILMESH_TLS_KEY: 'k.pem' }), []);
});

test('login without TLS is refused unless the bind address is loopback', () => {
  for (const bind of ['127.0.0.1', '127.9.9.9', '::1', 'localhost'])
    assert.deepEqual(problemsOf({ MAILMESH_INSECURE_AUTH: 'true', MAILMESH_BIND: bind }), [], bind);
  for (const bind of ['0.0.0.0', '::', '192.0.2.1', '127.evil.example', 'mail.example.org'])
    assert.match(problemsOf({ MAILMESH_INSECURE_AUTH: 'true', MAILMESH_BIND: bind })[0]!, /only with a loopback/, bind);
});

test('two listeners on one port are refused; any number may take a free one', () => {
  assert.match(problemsOf({ MAILMESH_SMTP_PORT: '2143' })[0]!, /has that port already/);
  assert.deepEqual(problemsOf({ MAILMESH_SMTP_PORT: '0', MAILMESH_IMAP_PORT: '0', MAILMESH_POP3_PORT: 'off' }), []);
});

test('sizes are powers of 1024 in every spelling', () => {
  for (const text of ['5G', '5g', '5GB', '5GiB', '5 GiB', '5368709120', '5120M'])
    assert.equal(parseBytes(text), 5 * 2 ** 30, text);
  for (const text of ['', 'G', '5X', '-5', '5G5', '1e9', '0x10', '1.3', '9'.repeat(20)])
    assert.equal(parseBytes(text), undefined, text);
  assert.equal(parseBytes('1.5K'), 1536);
});

test('any text in any option is a value or one clear problem, never another error', () => {
  fc.assert(
    fc.property(fc.constantFrom(...OPTIONS), fc.string({ unit: 'binary', maxLength: 40 }), (option, text) => {
      if (option.name === 'config') return;
      const problems = problemsOf({ [option.env]: text });
      for (const line of problems) assert(line.startsWith(option.env) || line.startsWith('MAILMESH_'), line);
    }),
  );
});

test('any file is read or refused with ConfigError', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => void problemsOf({}, text)));
  fc.assert(fc.property(fc.json(), (text) => void problemsOf({}, ` {"x": ${text}}`)));
});

test('no option is without effect: each is read somewhere', async () => {
  const rooms = ['core', 'drivers', 'mixins', 'services'].map((room) => new URL(`../../${room}/`, import.meta.url));
  const texts: string[] = [];
  for (const room of rooms) {
    const entries = await readdir(room, { recursive: true, withFileTypes: true });
    for (const { name, parentPath } of entries)
      if (name.endsWith('.ts') && !parentPath.endsWith('config'))
        texts.push(await readFile(`${parentPath}/${name}`, 'utf8'));
  }
  const words = new Set(texts.flatMap((text) => text.match(/\b[a-z][A-Za-z0-9]+\b/g) ?? []));
  // The file that holds the others is read before them, by the command.
  const unread = OPTIONS.filter(({ name }) => name !== 'config' && !words.has(name)).map(({ name }) => name);
  assert.deepEqual(unread, []);
});

test('generated files are fresh', async () => {
  assert.deepEqual(await staleFiles(), []);
});
