import { DOCKER_HUB, isAppError } from '@sealift/core';
import { errnoOf } from '../failure.ts';
import { isSameAddress } from '../setup/proxy-conflicts.ts';
import { isLeftOut, withoutCredentials } from '../setup/proxy-variables.ts';
import { formatEndpoint } from '../setup/runtime-plan.ts';
import { prepareSetup } from '../setup/runtime-setup.ts';
import { SetupDisk } from '../setup/setup-disk.ts';
import { type DaemonInfo, readDaemonInfo } from './docker-daemon.ts';
import type { Check } from './examination.ts';
import { type Finding, fail, ok } from './finding.ts';
import { nodeOf, type Subject } from './subject.ts';
import { reasonOf } from './tls-fault.ts';

/** Whether the runtime comes to the node for this registry. */
export function runtimeCheck(subject: Subject): Check {
  return {
    id: 'runtime',
    needs: ['proxy', 'configured'],
    examine: async ({ signal }) => {
      if (subject.runtime !== 'docker') return judgeFiles(subject);
      try {
        return judgeDaemon(subject, await readDaemonInfo(subject.dockerSocket, { signal }));
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === 'EACCES' || errno === 'EPERM') {
          return fail(`This user may not ask dockerd at ${subject.dockerSocket}.`, 'Run the same command with sudo.');
        }
        return fail(
          `dockerd does not answer at ${subject.dockerSocket}: ${reasonOf(error)}.`,
          'Start it: systemctl start docker. If its socket lies elsewhere, name it with --docker-socket. For another runtime give --runtime containerd or --runtime podman.',
        );
      }
    },
  };
}

/** dockerd tells what it uses: its files may have changed since it was started. */
function judgeDaemon(subject: Subject, { httpsProxy, noProxy, mirrors }: DaemonInfo): Finding {
  const { registry } = subject.image;
  const address = `http://${formatEndpoint(nodeOf(subject).proxy)}`;
  const isSame = (url: string): boolean => isSameAddress(url, address);
  const advice = `Type: sealift setup docker ${flagsOf(subject)}, then: systemctl restart docker`;
  if (registry === DOCKER_HUB) {
    return mirrors.some(isSame)
      ? ok(`dockerd asks the node first for images of Docker Hub.`)
      : fail('dockerd does not ask the node for images of Docker Hub.', advice);
  }
  if (httpsProxy === '') return fail('dockerd uses no proxy, so its pulls go past the node.', advice);
  if (!isSame(httpsProxy)) {
    return fail(
      `dockerd uses another proxy, ${withoutCredentials(httpsProxy)}, and so goes past the node at ${address}.`,
      `Take the other proxy out of the settings of dockerd. ${advice}`,
    );
  }
  if (isLeftOut(registry, noProxy)) {
    return fail(
      `dockerd's NO_PROXY (${noProxy.join(',')}) leaves ${registry} out, so it goes past the node.`,
      'Take it out of NO_PROXY in the settings of docker.service, then: systemctl daemon-reload && systemctl restart docker',
    );
  }
  return ok(`dockerd uses the node as its proxy, ${address}.`);
}

/** containerd and podman read their files at each pull. */
function judgeFiles(subject: Subject): Finding {
  const { runtime, image, root } = subject;
  const { proxy } = nodeOf(subject);
  const advice = `Type: sealift setup ${runtime} ${flagsOf(subject)}`;
  try {
    const { diff } = prepareSetup(runtime, { registries: [image.registry], listen: proxy }, new SetupDisk(root));
    return diff === ''
      ? ok(`${runtime} is set up to ask the node for images of ${image.registry}.`)
      : fail(`${runtime} is not set up to ask the node for images of ${image.registry}.`, advice);
  } catch (error) {
    if (!isAppError(error, 'CONFIG_INVALID')) throw error;
    const reason = String(error.details['reason']).trim().replace(/\s+/g, ' ');
    return fail(`The settings of ${runtime} are in the way: ${reason}.`, `Mend that. ${advice}`);
  }
}

function flagsOf(subject: Subject): string {
  const { settings, proxy } = nodeOf(subject);
  return [...settings.registries.map((registry) => `--registry ${registry}`), `--listen ${formatEndpoint(proxy)}`].join(
    ' ',
  );
}
