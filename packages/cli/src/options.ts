import { LOG_LEVELS, parseClusterId, parseDigest, parseNodeId, parseZone } from '@sealift/core';
import { KEY_TYPES } from '@sealift/pki';
import { defaulted, list, type OptionTable, optional, required, toggle, variableOf } from './config.ts';
import {
  parseAuditQuota,
  parseByteCount,
  parseChoice,
  parseCount,
  parseDuration,
  parseEndpoint,
  parseHostName,
  parseKeySource,
  parseLife,
  parseNodeName,
  parsePublicRepository,
  parseRate,
  parseRegistry,
  parseRegistryFile,
  parseRegistryIssuer,
  parseRegistryKeySource,
  parseSecretPath,
  parseServiceAccount,
  parseSince,
  parseText,
} from './option-values.ts';
import { parsePlatform } from './preheat/image-content.ts';
import { parsePositiveShare, parseShare } from './rollout/share.ts';
import { RUNTIMES } from './setup/runtime-plan.ts';

const logLevel = defaulted('--log-level', parseChoice(LOG_LEVELS), {
  placeholder: 'LEVEL',
  help: 'least urgent lines to log: debug, info, warn or error',
  fallback: 'info',
});
const registry = list('--registry', parseRegistry, {
  placeholder: 'HOST[:PORT]',
  help: 'a registry whose blobs go peer to peer, as it stands in image names; may be given several times',
  isRequired: true,
});
const registryCa = list('--registry-ca', parseRegistryFile, {
  placeholder: 'REGISTRY=FILE',
  help: 'PEM file with the CA of a registry that the system does not trust; may be given several times',
});
const registryCerts = optional('--registry-certs', parseText, {
  placeholder: 'DIR',
  help: "directory with CAs and client certificates for registries, laid out as Docker's or containerd's certs.d; read at start",
});
const registryTokenKeys = list('--registry-token-keys', parseRegistryKeySource, {
  placeholder: 'REGISTRY=FILE|URL',
  help: 'keys that sign the tokens of a registry: a file with a JWKS, or with public keys and certificates in PEM, or the https URL of a JWKS; may be given several times',
});
const registryTokenIssuer = list('--registry-token-issuer', parseRegistryIssuer, {
  placeholder: 'REGISTRY=ISSUER',
  help: 'the only issuer whose tokens for a registry are judged without asking it; may be given several times',
});
const tokenCheck = defaulted('--token-check', parseChoice(['grant', 'registry']), {
  placeholder: 'CHECK',
  help: "what a peer must show to be served: the tracker's grant, or besides it the registry's own token (registry); the same on all nodes and the tracker",
  fallback: 'grant',
});
const trackerData = required('--data', parseText, {
  placeholder: 'DIR',
  help: "the tracker's data directory: CA, keys, join tokens, deny list and the seeder's blobs",
});
const caPassphraseFile = optional('--ca-passphrase-file', parseSecretPath, {
  placeholder: 'FILE',
  help: 'file (mode 0600) with the passphrase of the CA key; the key is stored AES-256-encrypted with it',
});

/** `sealift tracker`. */
export const TRACKER_OPTIONS = {
  data: trackerData,
  cluster: defaulted('--cluster', parseClusterId, {
    placeholder: 'NAME',
    help: 'the name of the cluster; fixed at first start, part of every certificate and swarm id',
    fallback: 'sealift',
  }),
  listen: defaulted('--listen', parseEndpoint, {
    placeholder: 'HOST:PORT',
    help: 'where nodes reach the tracker over HTTPS',
    fallback: '0.0.0.0:7443',
  }),
  name: list('--name', parseHostName, {
    placeholder: 'NAME',
    help: "a DNS name or IP address in the tracker's own certificate and in printed addresses; may be given several times",
  }),
  registry,
  registryCa,
  registryCerts,
  registryCertsSuffice: toggle(
    '--registry-certs-suffice',
    "take a registry's yes to the tracker's own client certificate for a yes to any node of the cluster",
  ),
  registryTokenKeys,
  registryTokenIssuer,
  tokenCheck,
  publicRepository: list('--public-repository', parsePublicRepository, {
    placeholder: 'REGISTRY/REPOSITORY',
    help: 'let stock BitTorrent clients with a certificate of the cluster fetch the blobs of this repository without a grant, where the registry lets anybody pull them; may be given several times',
  }),
  seederListen: defaulted('--seeder-listen', parseEndpoint, {
    placeholder: 'HOST:PORT',
    help: 'where peers reach the seeder over mutual TLS',
    fallback: '0.0.0.0:7444',
  }),
  seederAddress: optional('--seeder-address', parseEndpoint, {
    placeholder: 'IP:PORT',
    help: 'the seeder address to hand to peers; needed where --seeder-listen is 0.0.0.0',
  }),
  quota: defaulted('--quota', parseByteCount, {
    placeholder: 'BYTES',
    help: "most bytes that the seeder's blobs may take on disk",
    fallback: '50GiB',
  }),
  uploadLimit: optional('--upload-limit', parseRate, {
    placeholder: 'BYTES',
    help: 'most bytes per second that the seeder sends to peers',
  }),
  zone: optional('--zone', parseZone, {
    placeholder: 'NAME',
    help: 'the zone (site, rack) of the seeder; of other zones only a few nodes fetch from it, each piece once per zone',
  }),
  auditQuota: defaulted('--audit-quota', parseAuditQuota, {
    placeholder: 'BYTES',
    help: 'most bytes that the audit log may take; past it the oldest part is removed, which is logged',
    fallback: '1GiB',
  }),
  certificateTtl: defaulted('--certificate-ttl', parseDuration, {
    placeholder: 'DURATION',
    help: 'life of a node certificate; nodes renew at two thirds of it',
    fallback: '1h',
  }),
  enrolWithRegistryToken: toggle(
    '--enrol-with-registry-token',
    'also enrol nodes that have no join token but registry credentials which the registry has just accepted for a blob',
  ),
  kubernetesIssuer: optional('--kubernetes-issuer', parseText, {
    placeholder: 'ISSUER',
    help: 'also enrol nodes by service account tokens of this issuer, as the API server of a Kubernetes cluster calls itself',
  }),
  kubernetesAudience: defaulted('--kubernetes-audience', parseText, {
    placeholder: 'AUDIENCE',
    help: 'the audience that a service account token must be made for',
    fallback: 'sealift',
  }),
  kubernetesSubject: list('--kubernetes-subject', parseServiceAccount, {
    placeholder: 'NAMESPACE:NAME',
    help: 'a service account whose tokens enrol; may be given several times',
  }),
  kubernetesJwks: optional('--kubernetes-jwks', parseKeySource, {
    placeholder: 'FILE|URL',
    help: "the Kubernetes cluster's public keys as a JWKS file, or the https URL of its API server's /openid/v1/jwks",
  }),
  kubernetesCa: optional('--kubernetes-ca', parseText, {
    placeholder: 'FILE',
    help: 'PEM file with the CA of that URL',
  }),
  kubernetesTokenFile: optional('--kubernetes-token-file', parseSecretPath, {
    placeholder: 'FILE',
    help: "the tracker's own service account token, where that URL asks for one",
  }),
  caPassphraseFile,
  logLevel,
} as const satisfies OptionTable;

/** `sealift node`. */
export const NODE_OPTIONS = {
  tracker: required('--tracker', parseText, {
    placeholder: 'URL',
    help: "the tracker's address with the fingerprint of its CA, as `sealift token create` prints it: https://host:7443#sha256:<hex>",
  }),
  trackerCa: optional('--tracker-ca', parseText, {
    placeholder: 'FILE',
    help: "PEM file with the tracker's CA, instead of the fingerprint in --tracker",
  }),
  joinTokenFile: optional('--join-token-file', parseSecretPath, {
    placeholder: 'FILE',
    help: 'file (mode 0600) with the join token; without it the node enrols by the registry credentials of its first pull',
  }),
  serviceAccountTokenFile: optional('--service-account-token-file', parseSecretPath, {
    placeholder: 'FILE',
    help: "a projected Kubernetes service account token for the tracker's audience, instead of a join token; read at each enrolment",
  }),
  name: optional('--name', parseNodeName, {
    placeholder: 'NAME',
    help: 'what people call this node; the host name by default',
  }),
  data: required('--data', parseText, {
    placeholder: 'DIR',
    help: "the node's data directory: its blobs and its admin socket",
  }),
  registry,
  registryCa,
  registryTokenKeys,
  registryTokenIssuer,
  tokenCheck,
  listen: defaulted('--listen', parseEndpoint, {
    placeholder: 'HOST:PORT',
    help: "the proxy's loopback address, for the runtime's HTTPS_PROXY",
    fallback: '127.0.0.1:3128',
  }),
  dangerouslyListenOnAnyAddress: toggle(
    '--dangerously-listen-on-any-address',
    'let the proxy listen on an address other than loopback: whoever reaches it can use it, and plain HTTP crosses the network',
  ),
  peerListen: defaulted('--peer-listen', parseEndpoint, {
    placeholder: 'HOST:PORT',
    help: 'where other peers reach this node over mutual TLS',
    fallback: '0.0.0.0:7445',
  }),
  peerAddress: optional('--peer-address', parseEndpoint, {
    placeholder: 'IP:PORT',
    help: 'the peer address to announce; by default the address from which the tracker sees this node',
  }),
  registryCerts,
  certsDirectory: optional('--certs-directory', parseText, {
    placeholder: 'DIR',
    help: "the runtime's trust directory, for Docker /etc/docker/certs.d; the intercept CA is written there and removed at stop",
  }),
  interceptCaFile: optional('--intercept-ca-file', parseText, {
    placeholder: 'FILE',
    help: 'also write the intercept CA certificate to this file, for runtimes that take a CA file; removed at stop',
  }),
  quota: defaulted('--quota', parseByteCount, {
    placeholder: 'BYTES',
    help: 'most bytes that cached blobs may take on disk',
    fallback: '20GiB',
  }),
  uploadLimit: optional('--upload-limit', parseRate, {
    placeholder: 'BYTES',
    help: 'most bytes per second that this node sends to peers',
  }),
  downloadLimit: optional('--download-limit', parseRate, {
    placeholder: 'BYTES',
    help: 'most bytes per second that this node fetches from peers; what it fetches from the registry is not counted',
  }),
  zone: optional('--zone', parseZone, {
    placeholder: 'NAME',
    help: 'the zone (site, rack) of this node; what another node of the zone has or fetches is not fetched from other zones',
  }),
  stopTimeout: defaulted('--stop-timeout', parseDuration, {
    placeholder: 'DURATION',
    help: 'how long running responses may go on when the node is asked to end; another request ends it at once',
    fallback: '30s',
  }),
  logLevel,
} as const satisfies OptionTable;

/** `sealift token create`. */
export const TOKEN_OPTIONS = {
  data: trackerData,
  reusable: toggle(
    '--reusable',
    'let any number of nodes enrol with it until it ends; otherwise it is spent after one',
  ),
  ttl: defaulted('--ttl', parseDuration, { placeholder: 'DURATION', help: 'life of the join token', fallback: '10m' }),
  out: required('--out', parseText, { placeholder: 'FILE', help: 'where to write the secret, with mode 0600' }),
  caPassphraseFile,
} as const satisfies OptionTable;

/** `sealift deny` and `sealift allow`. */
export const DENY_OPTIONS = { data: trackerData, caPassphraseFile } as const satisfies OptionTable;

/** `sealift revoke`. */
export const REVOKE_OPTIONS = {
  data: trackerData,
  digest: optional('--digest', parseDigest, {
    placeholder: 'DIGEST',
    help: 'only this blob, as sha256:<hex>, instead of the whole repository',
  }),
  list: toggle('--list', 'show the revocations that count still, one line of JSON each'),
  caPassphraseFile,
} as const satisfies OptionTable;

/** `sealift ca status` and `sealift ca rotate`. */
export const CA_OPTIONS = { data: trackerData, caPassphraseFile } as const satisfies OptionTable;

/** `sealift ca retire`. */
export const CA_RETIRE_OPTIONS = {
  ...CA_OPTIONS,
  force: toggle('--force', 'retire the old CA although nodes depend on it: those have to enrol again'),
} as const satisfies OptionTable;

/** `sealift audit`. */
export const AUDIT_OPTIONS = {
  data: trackerData,
  event: list('--event', parseText, {
    placeholder: 'NAME',
    help: 'only lines of this event, such as grant_issued; may be given several times',
  }),
  node: optional('--node', parseNodeId, { placeholder: 'NODE-ID', help: 'only lines about this node' }),
  repository: optional('--repository', parseText, { placeholder: 'NAME', help: 'only lines about this repository' }),
  since: optional('--since', parseSince, {
    placeholder: 'WHEN',
    help: 'only lines from then on: a time ago as 90m or 7d, or a moment as 2027-01-15T08:00Z',
  }),
  json: toggle('--json', 'print the lines as they are, one JSON object each'),
  follow: toggle('--follow', 'go on with what is added, until it is asked to end'),
} as const satisfies OptionTable;

const root = defaulted('--root', parseText, {
  placeholder: 'DIR',
  help: 'work below another root directory, that of an image for example',
  fallback: '/',
});

/** `sealift setup docker`, `containerd` and `podman`. */
export const SETUP_OPTIONS = {
  registry,
  listen: defaulted('--listen', parseEndpoint, {
    placeholder: 'HOST:PORT',
    help: "where the node's proxy listens, as `sealift node` has it",
    fallback: '127.0.0.1:3128',
  }),
  root,
  dryRun: toggle('--dry-run', 'show what would change, and write nothing'),
} as const satisfies OptionTable;

/** `sealift uninstall`. */
export const UNINSTALL_OPTIONS = {
  root,
  dryRun: toggle('--dry-run', 'show what would change, and write nothing'),
} as const satisfies OptionTable;

/** `sealift status`. */
export const STATUS_OPTIONS = {
  data: required('--data', parseText, { placeholder: 'DIR', help: "the node's data directory" }),
  json: toggle('--json', 'print one line of JSON'),
} as const satisfies OptionTable;

/** `sealift doctor`. */
export const DOCTOR_OPTIONS = {
  data: defaulted('--data', parseText, {
    placeholder: 'DIR',
    help: "the node's data directory",
    fallback: '/var/lib/sealift',
  }),
  runtime: defaulted('--runtime', parseChoice(RUNTIMES), {
    placeholder: 'RUNTIME',
    help: 'the container runtime that pulls: docker, containerd or podman',
    fallback: 'docker',
  }),
  certsDirectory: defaulted('--certs-directory', parseText, {
    placeholder: 'DIR',
    help: 'where the runtime looks for trust anchors of registries',
    fallback: '/etc/docker/certs.d',
  }),
  dockerSocket: defaulted('--docker-socket', parseText, {
    placeholder: 'FILE',
    help: 'the socket of dockerd',
    fallback: '/var/run/docker.sock',
  }),
  authFile: optional('--auth-file', parseText, {
    placeholder: 'FILE',
    help: 'the logins to try, as docker login and podman login keep them; ~/.docker/config.json of this user by default',
  }),
  root,
  json: toggle('--json', 'print one line of JSON'),
} as const satisfies OptionTable;

/** `sealift health`. */
export const HEALTH_OPTIONS = {
  data: required('--data', parseText, { placeholder: 'DIR', help: 'the data directory of a node or a tracker' }),
  listen: defaulted('--listen', parseEndpoint, {
    placeholder: 'HOST:PORT',
    help: 'where the tracker listens; a node is asked through its data directory',
    fallback: '0.0.0.0:7443',
  }),
} as const satisfies OptionTable;

/** `sealift store verify`. */
export const STORE_VERIFY_OPTIONS = {
  data: required('--data', parseText, {
    placeholder: 'DIR',
    help: 'the data directory of a node, or of a tracker, whose process does not run',
  }),
  repair: toggle(
    '--repair',
    'unmark what is false and remove what cannot be trusted; it is fetched again when it is asked for',
  ),
  quota: optional('--quota', parseByteCount, {
    placeholder: 'BYTES',
    help: 'also hold what the blobs count against this quota',
  }),
  json: toggle('--json', 'print one line of JSON'),
  caPassphraseFile,
} as const satisfies OptionTable;

const dockerCa = required('--ca', parseText, {
  placeholder: 'DIR',
  help: 'the directory of the Docker CA: ca.pem and the encrypted ca-key.pem',
});
const keyType = defaulted('--key-type', parseChoice(KEY_TYPES), {
  placeholder: 'TYPE',
  help: 'the kind of key to make: p-256 or rsa-4096',
  fallback: 'p-256',
});
const passphraseFile = optional('--passphrase-file', parseSecretPath, {
  placeholder: 'FILE',
  help: 'file (mode 0600) with the passphrase of the CA key; without it, it is asked for on the terminal',
});
const overwrite = toggle('--overwrite', 'replace files that exist, keys among them');
const leafTtl = defaulted('--ttl', parseLife, {
  placeholder: 'DURATION',
  help: 'life of the certificate, never longer than that of the CA',
  fallback: '365d',
});
const alsoTrust = list('--also-trust', parseText, {
  placeholder: 'FILE',
  help: 'PEM file with another CA to write into ca.pem, while one CA takes the place of the other; may be given several times',
});
const certificateOut = required('--out', parseText, {
  placeholder: 'DIR',
  help: 'where to write ca.pem, the certificate and its key',
});

/** `sealift docker-tls init`. */
export const DOCKER_TLS_INIT_OPTIONS = {
  ca: dockerCa,
  keyType,
  ttl: defaulted('--ttl', parseLife, { placeholder: 'DURATION', help: 'life of the CA', fallback: '3650d' }),
  passphraseFile,
  overwrite,
} as const satisfies OptionTable;

/** `sealift docker-tls client`. */
export const DOCKER_TLS_CLIENT_OPTIONS = {
  ca: dockerCa,
  out: certificateOut,
  keyType,
  ttl: leafTtl,
  alsoTrust,
  passphraseFile,
  overwrite,
} as const satisfies OptionTable;

/** `sealift docker-tls server`. */
export const DOCKER_TLS_SERVER_OPTIONS = {
  ca: dockerCa,
  out: certificateOut,
  name: list('--name', parseHostName, {
    placeholder: 'NAME',
    help: 'a DNS name or IP address by which clients reach the daemon; may be given several times',
    isRequired: true,
  }),
  listen: defaulted('--listen', parseEndpoint, {
    placeholder: 'HOST:PORT',
    help: 'where dockerd is to listen, for the settings that are printed',
    fallback: '0.0.0.0:2376',
  }),
  installDir: defaulted('--install-dir', parseText, {
    placeholder: 'DIR',
    help: "where the files will lie on the daemon's host, for the settings that are printed",
    fallback: '/etc/docker/tls',
  }),
  json: toggle('--json', 'print the settings as one line of JSON'),
  keyType,
  ttl: leafTtl,
  alsoTrust,
  passphraseFile,
  overwrite,
} as const satisfies OptionTable;

/** `sealift docker-tls show`. */
export const DOCKER_TLS_SHOW_OPTIONS = {
  within: defaulted('--within', parseDuration, {
    placeholder: 'DURATION',
    help: 'a certificate that ends within this time is a problem',
    fallback: '30d',
  }),
  json: toggle('--json', 'print one line of JSON for each certificate'),
} as const satisfies OptionTable;

/** `sealift docker-tls renew`. */
export const DOCKER_TLS_RENEW_OPTIONS = {
  ca: dockerCa,
  newKey: toggle('--new-key', 'make a new key as well; otherwise the certificate is for the same one'),
  ttl: leafTtl,
  alsoTrust,
  passphraseFile,
} as const satisfies OptionTable;

/** `sealift rollout`. */
export const ROLLOUT_OPTIONS = {
  hosts: required('--hosts', parseText, {
    placeholder: 'FILE',
    help: 'file with the dockerds: host[:port] to a line, or a JSON array of those and of objects with host, certDir and nodeData',
  }),
  certDir: required('--cert-dir', parseText, {
    placeholder: 'DIR',
    help: 'directory with ca.pem, cert.pem and key.pem, as sealift docker-tls client writes it',
  }),
  wave: defaulted('--wave', parsePositiveShare, {
    placeholder: 'COUNT|PERCENT',
    help: 'how many hosts pull at the same time; the next ones begin when all of these have ended',
    fallback: '100%',
  }),
  maxUnavailable: defaulted('--max-unavailable', parseShare, {
    placeholder: 'COUNT|PERCENT',
    help: 'how many hosts may fail; with one more, no further wave begins',
    fallback: '0',
  }),
  timeout: defaulted('--timeout', parseDuration, {
    placeholder: 'DURATION',
    help: 'longest time for one host',
    fallback: '15m',
  }),
  credentialsFile: optional('--credentials-file', parseSecretPath, {
    placeholder: 'FILE',
    help: 'file (mode 0600) with user:password, or JSON with username and password, identitytoken or registrytoken; - is standard input',
  }),
  dockerConfig: optional('--docker-config', parseText, {
    placeholder: 'DIR',
    help: 'directory of the config.json that docker login has written; by default that of the docker command',
  }),
  state: optional('--state', parseText, {
    placeholder: 'FILE',
    help: 'keep what is done in this file, and go on from it',
  }),
  json: toggle('--json', 'print lines of JSON on a terminal as well'),
} as const satisfies OptionTable;

/** `sealift preheat`. */
export const PREHEAT_OPTIONS = {
  tracker: optional('--tracker', parseText, {
    placeholder: 'URL',
    help: 'the tracker whose seeder shall have the image, with the fingerprint of its CA, as `sealift token create` prints it',
  }),
  trackerCa: NODE_OPTIONS.trackerCa,
  joinTokenFile: optional('--join-token-file', parseSecretPath, {
    placeholder: 'FILE',
    help: 'file (mode 0600) with a join token: a preheat enrols as a node does, for the time that it takes',
  }),
  serviceAccountTokenFile: NODE_OPTIONS.serviceAccountTokenFile,
  nodes: list('--nodes', parseEndpoint, {
    placeholder: 'HOST:PORT',
    help: 'the proxy of a node that shall have the image too, on loopback: of this machine, or at the near end of an SSH tunnel; may be given several times',
  }),
  platform: list('--platform', parsePlatform, {
    placeholder: 'OS/ARCH[/VARIANT]',
    help: 'only what is for this platform, such as linux/amd64; all platforms by default; may be given several times',
  }),
  registryCa,
  registryCerts,
  credentialsFile: ROLLOUT_OPTIONS.credentialsFile,
  dockerConfig: ROLLOUT_OPTIONS.dockerConfig,
  timeout: defaulted('--timeout', parseDuration, {
    placeholder: 'DURATION',
    help: 'longest time for all of it',
    fallback: '1h',
  }),
  json: ROLLOUT_OPTIONS.json,
} as const satisfies OptionTable;

/** `sealift demo`. */
export const DEMO_OPTIONS = {
  json: toggle('--json', 'end with one line of JSON on standard output'),
  nodes: defaulted('--nodes', parseCount, {
    placeholder: 'COUNT',
    help: 'how many nodes pull at once, 1 to 16',
    fallback: '3',
  }),
  registryRate: defaulted('--registry-rate', parseByteCount, {
    placeholder: 'BYTES',
    help: "the throw-away registry's uplink, in bytes per second",
    fallback: '32MiB',
  }),
  keep: toggle('--keep', 'keep the directory with the logs of all parts, and print its name'),
  logLevel,
} as const satisfies OptionTable;

/** Every environment variable that some command reads. */
export const KNOWN_VARIABLES: ReadonlySet<string> = new Set(
  [
    TRACKER_OPTIONS,
    NODE_OPTIONS,
    TOKEN_OPTIONS,
    DENY_OPTIONS,
    REVOKE_OPTIONS,
    CA_RETIRE_OPTIONS,
    AUDIT_OPTIONS,
    SETUP_OPTIONS,
    STATUS_OPTIONS,
    DOCTOR_OPTIONS,
    HEALTH_OPTIONS,
    STORE_VERIFY_OPTIONS,
    DOCKER_TLS_INIT_OPTIONS,
    DOCKER_TLS_SERVER_OPTIONS,
    DOCKER_TLS_SHOW_OPTIONS,
    DOCKER_TLS_RENEW_OPTIONS,
    ROLLOUT_OPTIONS,
    PREHEAT_OPTIONS,
    DEMO_OPTIONS,
  ].flatMap((table) => Object.values(table).map(variableOf)),
);
