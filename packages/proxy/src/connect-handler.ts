import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { AppError, type Clock, isAppError, type Logger, type RegistryHost } from '@sealift/core';
import type { InterceptCa } from '@sealift/pki';
import { type ConnectTarget, parseConnectTarget } from './connect-target.ts';
import { Distrust } from './distrust.ts';
import { refuseSocket } from './error-answer.ts';
import { intercept } from './interception.ts';
import type { ProxyLimits } from './limits.ts';
import { isLoopbackAddress } from './loopback.ts';
import { openTunnel } from './tunnel.ts';

/** What a {@link ConnectHandler} is given. */
export interface ConnectHandlerOptions {
  /** The registries to stand in for; every other target gets a blind tunnel. */
  readonly registries: ReadonlySet<RegistryHost>;
  readonly interceptCa: Pick<InterceptCa, 'secureContextFor'> | undefined;
  readonly limits: ProxyLimits;
  readonly clock: Clock;
  readonly log: Logger;
  /** The proxy's own port, to which no tunnel may lead. */
  readonly ownPort: () => number;
  /** Gets the TLS socket of an intercepted connection before anything was read from it, to answer what is said there. */
  readonly onIntercepted: (tlsSocket: TLSSocket, client: Socket, registry: RegistryHost) => void;
  /** The connection was made before its client could believe `interceptCa`. */
  readonly isEarly: (client: Socket) => boolean;
  /** Is told of a client that now talks to somebody else. */
  readonly onTunnel: (client: Socket) => void;
}

/** Answers CONNECT requests (RFC 9110 §9.3.6): a configured registry is intercepted, all else is tunnelled blind. */
export class ConnectHandler {
  readonly #options: ConnectHandlerOptions;
  readonly #distrust: Distrust;
  #pending = 0;

  constructor(options: ConnectHandlerOptions) {
    this.#options = options;
    this.#distrust = new Distrust({ clock: options.clock, durationMs: options.limits.distrustMs });
  }

  /** Takes over the socket of a CONNECT request. Never throws: what goes wrong is answered there. */
  async handle(request: IncomingMessage, client: Socket, head: Buffer): Promise<void> {
    const { limits, log } = this.#options;
    this.#pending += 1;
    try {
      if (this.#pending > limits.maxPendingConnects)
        throw new AppError('TOO_MANY_REQUESTS', { reason: 'try again soon' });
      const target = parseConnectTarget(request.url ?? '', { maxLength: limits.maxConnectTargetLength });
      if (await this.#intercepted(target, client, head)) return;
      await openTunnel({ client, head, target, limits, admit: (upstream) => this.#refuseLoop(upstream) });
      this.#options.onTunnel(client);
    } catch (error) {
      if (client.destroyed) return;
      log.warn('connect_refused', { error });
      if (isAppError(error)) refuseSocket(client, error);
      else client.destroy();
    } finally {
      this.#pending -= 1;
    }
  }

  async #intercepted(target: ConnectTarget, client: Socket, head: Buffer): Promise<boolean> {
    const { registries, interceptCa, isEarly, onIntercepted, log } = this.#options;
    const { registry } = target;
    if (interceptCa === undefined || !registries.has(registry)) return false;
    if (isEarly(client)) this.#distrust.begin(registry);
    if (this.#distrust.has(registry)) return false;
    const adopt = (tlsSocket: TLSSocket): void => onIntercepted(tlsSocket, client, registry);
    const onFailed = (error: Error): void => {
      if (!this.#distrust.failed(registry, error)) return;
      log.warn('intercept_distrusted', { registry, tunnelledForMs: this.#options.limits.distrustMs, error });
    };
    try {
      await intercept({ client, head, registry, interceptCa, adopt, onFailed });
      return true;
    } catch (error) {
      // Without a leaf the runtime can still pull from the registry itself, and verify it itself.
      log.warn('connect_refused', { registry, reason: 'not intercepted, tunnelled instead', error });
      return false;
    }
  }

  /** A tunnel to ourselves could be nested without end. Names are no help here: only the address that answered is. */
  #refuseLoop(upstream: Socket): void {
    const { remoteAddress, localAddress, remotePort } = upstream;
    const isThisMachine = isLoopbackAddress(remoteAddress) || remoteAddress === localAddress;
    if (isThisMachine && remotePort === this.#options.ownPort()) {
      throw new AppError('CONNECT_TARGET_INVALID', { reason: 'it is the proxy itself' });
    }
  }
}
