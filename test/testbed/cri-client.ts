import { once } from 'node:events';
import { type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';

/** What a call of containerd's CRI plugin came to. */
export interface CriAnswer {
  /** 0 is success (grpc.io, status codes). */
  readonly status: number;
  readonly message: string;
}

/** Longest wait for a pull, in ms. */
const PULL_TIMEOUT_MS = 60_000;

/**
 * Pulls an image as a kubelet does: `PullImage` of the Container Runtime Interface, with the credentials of a pod. We speak the
 * little of gRPC that this takes ourselves, since Debian has no client for it.
 */
export async function pullByCri(
  socketPath: string,
  { image, username, password }: { image: string; username: string; password: string },
): Promise<CriAnswer> {
  const session = connectHttp2('http://localhost', { createConnection: () => connect(socketPath) });
  try {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/runtime.v1.ImageService/PullImage',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    // PullImageRequest: image = 1 { image = 1 }, auth = 2 { username = 1, password = 2 }.
    stream.end(frame(Buffer.concat([field(1, field(1, image)), field(2, field(1, username), field(2, password))])));
    return await answerOf(stream);
  } finally {
    session.destroy();
  }
}

/** A call that fails at once has its status in the head of the answer, any other one at its end. */
async function answerOf(stream: ClientHttp2Stream): Promise<CriAnswer> {
  const signal = AbortSignal.timeout(PULL_TIMEOUT_MS);
  let said: Record<string, unknown> = {};
  for (const event of ['response', 'trailers']) stream.on(event, (headers: object) => (said = { ...said, ...headers }));
  stream.resume();
  await once(stream, 'end', { signal });
  return { status: Number(said['grpc-status']), message: decodeURIComponent(String(said['grpc-message'] ?? '')) };
}

/** Not compressed, with the length in front. */
function frame(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** A length-delimited field of a protobuf message. */
function field(number: number, ...parts: readonly (string | Buffer)[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)));
  if (content.length > 127 * 128) throw new Error('the length would take three bytes');
  const length = content.length < 128 ? [content.length] : [(content.length & 127) | 128, content.length >> 7];
  return Buffer.concat([Buffer.from([number * 8 + 2, ...length]), content]);
}
