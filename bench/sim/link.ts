import type { BlockRange } from '@sealift/bittorrent';
import { OutstandingRequests } from '../../packages/peer/src/outstanding-requests.ts';
import type { PickerPeer } from '../../packages/peer/src/picker.ts';
import type { RequestWindow } from '../../packages/peer/src/request-window.ts';
import type { SimNode } from './sim-node.ts';

/** One end of a connection: what its node knows of the node at the other end. */
export class Link {
  readonly node: SimNode;
  readonly remote: SimNode;
  /** The other end. */
  mirror!: Link;
  /** What the other node has, as far as it said. */
  handle: PickerPeer | undefined;
  /** Pieces that it has and we lack. */
  wantedCount = 0;
  /** Whether we told it that we want something. */
  isInterested = false;
  /** Whether it refuses to serve us. */
  isChoked = true;
  /** Whether we refuse to serve it. */
  isChoking = true;
  /** Blocks that we asked it for. */
  readonly outstanding = new OutstandingRequests();
  readonly window: RequestWindow;
  lastBlockAt = 0;
  snubs = 0;
  givenSinceRound = 0;
  /** Pieces that a super-seeder has shown here; `undefined` where all are shown. */
  revealed: Set<number> | undefined;
  /** Blocks that it asked us for. */
  uploads: BlockRange[] = [];
  isOpen = true;

  constructor(node: SimNode, remote: SimNode, window: RequestWindow) {
    this.node = node;
    this.remote = remote;
    this.window = window;
  }
}
