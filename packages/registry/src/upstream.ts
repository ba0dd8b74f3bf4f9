import { parseRegistryHost, type RegistryHost } from '@sealift/core';

/** Docker Hub, as image names spell it. */
export const DOCKER_HUB: RegistryHost = parseRegistryHost('docker.io');

/** Where Docker Hub's distribution API lives: nothing answers `/v2/` at `docker.io` itself. */
const DOCKER_HUB_API: RegistryHost = parseRegistryHost('registry-1.docker.io');

/** The registry's HTTPS origin, `https://host[:port]`. For `docker.io` that is the host of its API. */
export function upstreamOrigin(registry: RegistryHost): string {
  return `https://${registry === DOCKER_HUB ? DOCKER_HUB_API : registry}`;
}
