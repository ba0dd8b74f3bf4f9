import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import { isAppError, systemClock } from '@sealift/core';
import { fetchTrustAnchor, trackerConnectOptions } from '@sealift/pki';
import { TRACKER_PATHS } from '@sealift/tracker-api';
import { certificatesIn } from '../certificate-file.ts';
import type { NodeSettings } from '../node-settings.ts';
import type { Check } from './examination.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { nodeOf, type Subject } from './subject.ts';
import { codeOf, reasonOf, tlsFaultOf } from './tls-fault.ts';

/** Difference of clocks that does no harm, in ms: nodes take it for noise too. */
const NOISE_MS = 10_000;
/** Difference from which on certificates are refused, in ms: they begin a little more than so long before they are issued. */
const MAX_SKEW_MS = 5 * 60_000;
const CLOCK_ADVICE = 'Set the clock of the host that is wrong, with timedatectl set-ntp true for example.';

/** Whether the tracker answers, and is the one that the node was told to trust; learns its time. */
export function trackerCheck(subject: Subject): Check {
  return {
    id: 'tracker',
    needs: ['node'],
    examine: async ({ signal }) => {
      const { settings } = nodeOf(subject);
      try {
        const trustAnchors = await anchorsOf(settings, signal);
        const response = await ask(settings.origin, trustAnchors, signal);
        const date = Date.parse(response.headers.date ?? '');
        if (Number.isFinite(date)) subject.learned.trackerTime = { theirs: date, ours: systemClock.now() };
        if (response.statusCode !== 200) {
          return fail(
            `The tracker at ${settings.origin} answers ${response.statusCode}.`,
            'Look at its log: journalctl -u sealift-tracker -n 50',
          );
        }
        const proof =
          settings.fingerprint === null
            ? `its CA is in ${settings.trackerCa}`
            : `its CA has the fingerprint ${short(settings.fingerprint)}`;
        return ok(`The tracker answers at ${settings.origin}, and ${proof}.`);
      } catch (error) {
        return describe(error, settings);
      }
    },
  };
}

/** Whether this host and the tracker agree on the time. */
export function clockCheck(subject: Subject): Check {
  return {
    id: 'clock',
    needs: ['tracker'],
    examine: async () => {
      const { trackerTime } = subject.learned;
      if (trackerTime === undefined)
        return warn('The tracker does not say what time it is.', 'Compare the clocks by hand: date -u');
      const skewMs = trackerTime.ours - trackerTime.theirs;
      const seconds = Math.round(Math.abs(skewMs) / 1000);
      const difference = `The clock of this host is ${seconds} seconds ${skewMs > 0 ? 'ahead of' : 'behind'} that of the tracker`;
      if (Math.abs(skewMs) <= NOISE_MS) return ok("This host's clock and the tracker's agree.");
      if (Math.abs(skewMs) <= MAX_SKEW_MS)
        return warn(`${difference}. From five minutes on certificates are refused.`, CLOCK_ADVICE);
      return fail(`${difference}: certificates are refused.`, CLOCK_ADVICE);
    },
  };
}

async function anchorsOf({ origin, fingerprint, trackerCa }: NodeSettings, signal: AbortSignal): Promise<string> {
  // The file wins, as it does in the node.
  if (trackerCa !== null) return certificatesIn(await readFile(trackerCa, 'utf8')).join('\n');
  return await fetchTrustAnchor({ origin, fingerprint: fingerprint ?? '' }, { signal });
}

async function ask(origin: string, trustAnchors: string, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const { maxCachedSessions: _, ...options } = trackerConnectOptions({ trustAnchors });
  const request = https.get(`${origin}${TRACKER_PATHS.health}`, { ...options, agent: false, signal }, (response) => {
    response.resume();
    resolve(response);
  });
  request.on('error', reject);
  return await promise;
}

function describe(error: unknown, { origin, fingerprint, trackerCa }: NodeSettings): Finding {
  const newAddress =
    'Take a fresh address from the tracker (sealift token create prints it) and start the node with it.';
  if (isAppError(error, 'TRUST_ANCHOR_MISMATCH')) {
    return fail(
      `What answers at ${origin} is not the tracker that the node was told of: its CA has another fingerprint than ${short(fingerprint ?? '')}.`,
      `${newAddress} If it is the same, something stands between this host and the tracker.`,
    );
  }
  const fault = tlsFaultOf(error);
  if (fault === 'expired' || fault === 'early') {
    return fail(
      `By the clock of this host, the certificate of the tracker at ${origin} is not valid now.`,
      CLOCK_ADVICE,
    );
  }
  if (isAppError(error, 'CERTIFICATE_REJECTED') || fault === 'untrusted') {
    const source = trackerCa === null ? 'the CA that the node was told of' : `the CA in ${trackerCa}`;
    return fail(`What answers at ${origin} has no certificate of a tracker by ${source}.`, newAddress);
  }
  if (codeOf(error) === 'ENOENT' || codeOf(error) === 'EACCES') {
    return fail(
      `The file with the tracker's CA, ${trackerCa}, cannot be read.`,
      'Put it back, or start the node with the address that sealift token create prints.',
    );
  }
  const port = new URL(origin).port || '443';
  return fail(
    `The tracker does not answer at ${origin}: ${reasonOf(error)}. Pulls go to the registry until it does.`,
    `On its host: systemctl status sealift-tracker. If it runs, let TCP port ${port} through to it.`,
  );
}

function short(fingerprint: string): string {
  return `${fingerprint.slice(0, 'sha256:'.length + 12)}…`;
}
