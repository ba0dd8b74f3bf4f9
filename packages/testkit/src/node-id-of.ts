import { type NodeId, parseNodeId } from '@sealift/core';

/** A node id for a test, from a name that the reader can tell apart: `nodeIdOf('mallory')`. */
export function nodeIdOf(name: string): NodeId {
  return parseNodeId(name);
}
