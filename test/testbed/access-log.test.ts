import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blobTraffic, parseAccessLogLine } from './access-log.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const line = (method: string, status: number, bytes: number) =>
  `10.77.0.2 - - [21/Nov/2026:20:40:53 +0000] "${method} /v2/team-a/app/blobs/${DIGEST} HTTP/1.1" ${status} ${bytes} "" "agent"`;

test('a line of the combined format becomes an entry, another line does not', () => {
  assert.deepEqual(parseAccessLogLine(line('GET', 200, 7)), {
    client: '10.77.0.2',
    method: 'GET',
    path: `/v2/team-a/app/blobs/${DIGEST}`,
    status: 200,
    bytes: 7,
  });
  assert.equal(parseAccessLogLine('time="2026" level=info msg="listening on 10.77.0.1:5000, tls"'), undefined);
});

test('blob traffic counts reads with content only, and sums their bytes', () => {
  const lines = [
    line('HEAD', 200, 0),
    line('GET', 401, 150),
    line('GET', 200, 5),
    line('GET', 206, 3),
    line('PUT', 201, 0),
  ];
  const entries = lines.map(parseAccessLogLine).filter((entry) => entry !== undefined);
  assert.deepEqual(blobTraffic(entries), new Map([[DIGEST, { gets: 2, bytes: 8 }]]));
});
