/** Roles: together they are all services, any subset may be named, and each node needs only what its services need. */

import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { test } from 'node:test';
import { ConfigError, loadConfig } from '../../core/config/load.ts';
import { STAGES } from '../../core/filter/verdict.ts';
import { needsCertificate, needsMailboxes, ROLE_NAMES, ROLES, SERVICES, servicesOf } from '../../core/mesh/roles.ts';

const MESH = { MAILMESH_MONGO_URL: 'mongodb://u:secret@h/db', MAILMESH_NATS_URL: 'nats://u:secret@h' };
const problem = (env: Record<string, string>): string => {
  try {
    loadConfig(env);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message;
  }
  return assert.fail('no problem');
};

test('every service has a file, and the roles beside `all` are all services together', async () => {
  for (const name of SERVICES) await access(new URL(`../../services/${name}.service.ts`, import.meta.url));
  const parts = ROLE_NAMES.filter((role) => role !== 'all').flatMap((role) => [...ROLES[role]]);
  assert.deepEqual(new Set(parts), new Set(SERVICES));
  for (const stage of STAGES)
    assert.ok(
      ROLES.filter.some((name) => name === stage),
      stage,
    );
});

test('services are those of the roles, or those named, in starting order and each once', () => {
  assert.deepEqual(servicesOf({ role: 'all', services: null }), SERVICES);
  assert.deepEqual(servicesOf({ role: 'edge', services: null }), ['lmtp', 'submission', 'smtp', 'pop3', 'imap']);
  assert.deepEqual(servicesOf({ role: 'all', services: 'imap,mailbox,imap' }), ['mailbox', 'imap']);
  const both = servicesOf({ role: 'trainer,gateway', services: null });
  assert.equal(new Set(both).size, both.length);
  assert.ok(both.includes('model') && both.includes('trainer') && both.includes('gateway'));
});

test('only listeners need a certificate, and only those who write mailboxes for people need somebody who does', () => {
  const of = (role: string) => servicesOf({ role, services: null });
  assert.deepEqual(
    ROLE_NAMES.filter((role) => needsCertificate(of(role))),
    ['all', 'edge', 'intake', 'access'],
  );
  assert.deepEqual(
    ROLE_NAMES.filter((role) => needsMailboxes(of(role))),
    ['all', 'edge', 'access', 'gateway'],
  );
});

test('a mesh is configured whole or not at all, and nothing shows its passwords', () => {
  const config = loadConfig({ ...MESH, MAILMESH_ROLE: 'edge, filter', MAILMESH_NODE_ID: 'node-1' });
  assert.deepEqual([config.role, config.nodeId], ['edge,filter', 'node-1']);
  for (const name of Object.keys(MESH) as (keyof typeof MESH)[]) {
    const line = problem({ [name]: MESH[name] });
    assert.equal(line.split('\n').length, 1);
    assert.match(line, /goes together with MAILMESH_(MONGO|NATS)_URL$/);
    assert.doesNotMatch(line, /secret/);
    assert.doesNotMatch(problem({ ...MESH, [name]: 'http://u:secret@h' }), /secret/);
  }
  assert.match(problem({ MAILMESH_ROLE: 'edge' }), /only in a mesh/);
  assert.match(problem({ MAILMESH_SERVICES: 'smtp' }), /only in a mesh/);
  assert.match(problem({ ...MESH, MAILMESH_ROLE: 'edge,nothing' }), /one or several, parted by commas, of all, edge/);
  assert.match(problem({ ...MESH, MAILMESH_NODE_ID: 'a.b' }), /a name of at most 63/);
  assert.equal(loadConfig({ ...MESH, MAILMESH_NATS_URL: 'nats://a:4222,tls://b' }).natsUrl, 'nats://a:4222,tls://b');
});
