import { once } from 'node:events';
import { createServer } from 'node:net';

/** What every machine has. */
const LOOPBACK = '127.0.0.1';

/** Where the parts of a demo listen. */
export interface LoopbackAddresses {
  readonly registry: string;
  readonly tracker: string;
  /** One for each node. */
  readonly nodes: readonly string[];
}

/**
 * An address of 127.0.0.0/8 for each part, as hosts on a network have their own; 127.0.0.1 for all of them where the
 * system takes no other, as macOS does.
 */
export async function chooseLoopbackAddresses(
  nodeCount: number,
  canListen: (host: string) => Promise<boolean> = canListenOn,
): Promise<LoopbackAddresses> {
  const nodes = Array.from({ length: nodeCount }, (_, index) => `127.0.0.${11 + index}`);
  const own = { registry: '127.0.0.2', tracker: '127.0.0.3', nodes };
  const answers = await Promise.all([own.registry, own.tracker, ...nodes].map((host) => canListen(host)));
  if (answers.every((answer) => answer)) return own;
  return { registry: LOOPBACK, tracker: LOOPBACK, nodes: nodes.map(() => LOOPBACK) };
}

async function canListenOn(host: string): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(0, host);
    await once(server, 'listening');
    return true;
  } catch {
    return false; // Most likely EADDRNOTAVAIL; whatever it is, the parts would meet it too.
  } finally {
    server.close();
  }
}
