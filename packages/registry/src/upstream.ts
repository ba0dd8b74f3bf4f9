import { DOCKER_HUB, DOCKER_HUB_API, type RegistryHost } from '@sealift/core';

/** The registry's HTTPS origin, `https://host[:port]`. For `docker.io` that is the host of its API. */
export function upstreamOrigin(registry: RegistryHost): string {
  return `https://${registry === DOCKER_HUB ? DOCKER_HUB_API : registry}`;
}
