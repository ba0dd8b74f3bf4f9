import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { BlobRef, NodeId } from '@sealift/core';
import { parseClusterId, parseNodeId } from '@sealift/core';
import { checkCsr, createSigningRequest, SwarmCa, trackerConnectOptions } from '@sealift/pki';
import { TRACKER_PATHS, TrackerClient } from '@sealift/tracker-api';
import { Agent, request } from 'undici';
import type { WiredCluster } from '../conformance/wired-node.ts';

/** Files of a certificate, as libtorrent takes them. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate of the cluster, got with a join token as any enrolled host gets one. */
export class StockMember {
  readonly nodeId: NodeId;
  readonly files: CertificateFiles;
  readonly #agent: Agent;
  readonly #origin: string;

  private constructor(nodeId: NodeId, files: CertificateFiles, agent: Agent, origin: string) {
    this.nodeId = nodeId;
    this.files = files;
    this.#agent = agent;
    this.#origin = origin;
  }

  /** Enrols at the tracker of `cluster` and writes the certificate into `directory`. */
  static async enrol(cluster: WiredCluster, directory: string): Promise<StockMember> {
    const { state, tracker } = cluster;
    const origin = `https://127.0.0.1:${tracker.port}`;
    const trust = { trustAnchors: state.clusterInfo.trustAnchors, clusterId: state.clusterId };
    const { token } = state.joinTokens.create({ isReusable: false, ttlMs: 60_000 });
    const { csrPem, privateKeyPem } = await createSigningRequest();
    const stranger = new Agent({ connect: trackerConnectOptions(trust) });
    const client = new TrackerClient({ origin, dispatcher: () => stranger });
    const signal = AbortSignal.timeout(10_000);
    const { nodeId, certificate } = await client.enrol({ csr: csrPem, joinToken: token, name: 'stock' }, { signal });
    await stranger.destroy();
    const own = { certificatePem: certificate, privateKeyPem };
    const agent = new Agent({ connect: trackerConnectOptions({ ...trust, client: own }) });
    return new StockMember(parseNodeId(nodeId), await writeFiles(directory, own), agent, origin);
  }

  /** Asks the tracker for the metainfo of a blob. */
  async metainfo({ registry, repository, digest }: BlobRef): Promise<{ status: number; bytes: Buffer }> {
    const query = new URLSearchParams({ registry, repository, digest });
    const url = `${this.#origin}${TRACKER_PATHS.metainfo}?${query}`;
    const { statusCode, body } = await request(url, { dispatcher: this.#agent });
    return { status: statusCode, bytes: Buffer.from(await body.arrayBuffer()) };
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

/** The certificate of a node of another cluster that bears the same name. */
export async function foreignCertificate(directory: string): Promise<CertificateFiles> {
  const ca = await SwarmCa.create({ clusterId: parseClusterId('test') });
  const { csrPem, privateKeyPem } = await createSigningRequest();
  const profile = { role: 'node', id: parseNodeId('node-1'), ttlMs: 3_600_000 } as const;
  const { certificatePem } = await ca.issue(profile, await checkCsr(csrPem));
  return await writeFiles(directory, { certificatePem, privateKeyPem });
}

async function writeFiles(
  directory: string,
  { certificatePem, privateKeyPem }: { certificatePem: string; privateKeyPem: string },
): Promise<CertificateFiles> {
  await mkdir(directory, { recursive: true });
  const files = { certificate: path.join(directory, 'node.crt'), key: path.join(directory, 'node.key') };
  await writeFile(files.certificate, certificatePem);
  await writeFile(files.key, privateKeyPem, { mode: 0o600 });
  return files;
}
