import { type Static, Type } from 'typebox';

// Limits of every body. Each is the largest honest value with room to spare; fastify refuses longer bodies before parsing.
/** Longest PEM of a P-256 signing request, in characters; an honest one has about 500. */
export const MAX_CSR_LENGTH = 4096;
/** Longest Authorization header that we pass on, in characters: large JWTs with x5c chains are about 6,000. */
export const MAX_AUTHORIZATION_LENGTH = 16_384;
/** Longest service account token, in characters: a projected one has about 1,200. */
export const MAX_SERVICE_ACCOUNT_TOKEN_LENGTH = 8192;
/** Longest grant, in characters. */
export const MAX_GRANT_LENGTH = 4096;
/**
 * Longest manifest that a cluster keeps and hands on, in bytes. Registries must take 4 MiB; the indexes of the largest images
 * have some ten KiB, and a longer one passes through.
 */
export const MAX_MANIFEST_BYTES = 512 * 1024;
/** Grants refreshed in one call. */
export const MAX_GRANTS_PER_REFRESH = 256;

const closed = { additionalProperties: false } as const;
const Csr = Type.String({
  minLength: 1,
  maxLength: MAX_CSR_LENGTH,
  description: 'PKCS #10 in PEM; only its public key is used',
});
const NodeName = Type.String({
  minLength: 1,
  maxLength: 63,
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$',
  description: 'What people call this host; never an identity',
});
const Grant = Type.String({ minLength: 1, maxLength: MAX_GRANT_LENGTH });
const Jwk = Type.Object({
  kid: Type.String({ description: 'RFC 7638 thumbprint' }),
  kty: Type.Literal('EC'),
  crv: Type.Literal('P-256'),
  x: Type.String(),
  y: Type.String(),
});

/** A public key as the tracker publishes it. */
export type PublicJwk = Static<typeof Jwk>;

/** What is public about a cluster: everything a node needs to judge its peers, nothing secret. */
export const ClusterInfo = Type.Object(
  {
    clusterId: Type.String(),
    trustAnchors: Type.String({ description: 'The swarm CA certificates in PEM; two during a rotation' }),
    grantKeys: Type.Array(Jwk, { description: 'Keys that sign grants' }),
    contentKeys: Type.Array(Jwk, { description: 'Keys that sign piece hashes' }),
  },
  closed,
);
export type ClusterInfo = Static<typeof ClusterInfo>;

/** `POST /v1/enrol`: a certificate for a join token, or for a service account token; one of the two. */
export const EnrolRequest = Type.Object(
  {
    csr: Csr,
    joinToken: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    serviceAccountToken: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: MAX_SERVICE_ACCOUNT_TOKEN_LENGTH,
        description: 'A projected token of a Kubernetes service account; never logged',
      }),
    ),
    name: Type.Optional(NodeName),
  },
  closed,
);
export type EnrolRequest = Static<typeof EnrolRequest>;

/** `POST /v1/renew`: a certificate for a new key, over a connection that shows the present certificate. */
export const RenewRequest = Type.Object({ csr: Csr }, closed);
export type RenewRequest = Static<typeof RenewRequest>;

/** Answer to enrolment and renewal. */
export const EnrolAnswer = Type.Object(
  {
    nodeId: Type.String(),
    certificate: Type.String({ description: 'The leaf in PEM' }),
    notAfter: Type.Integer({ description: 'End of the certificate, in ms since the epoch' }),
    cluster: ClusterInfo,
  },
  closed,
);
export type EnrolAnswer = Static<typeof EnrolAnswer>;

/** `POST /v1/join`: asks for the right to one blob. */
export const JoinRequest = Type.Object(
  {
    registry: Type.String({ maxLength: 300 }),
    repository: Type.String({ maxLength: 255 }),
    digest: Type.String({ maxLength: 71 }),
    authorization: Type.Optional(
      Type.String({
        maxLength: MAX_AUTHORIZATION_LENGTH,
        description: "The runtime's own header for the registry; never logged",
      }),
    ),
    intent: Type.Union([Type.Literal('pull'), Type.Literal('check')], {
      description: '`check` asks for right and size only, and never makes the seeder read',
    }),
    csr: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: MAX_CSR_LENGTH,
        description: 'Only without a client certificate: enrols by the registry credentials that this very call proves',
      }),
    ),
    name: Type.Optional(NodeName),
  },
  closed,
);
export type JoinRequest = Static<typeof JoinRequest>;

/** What a seeder offers for a blob. `batches` are signed hash batches (docs/protocol.md), base64, in order. */
const SwarmOffer = Type.Object({
  kind: Type.Literal('swarm'),
  size: Type.Integer(),
  pieceLength: Type.Integer(),
  batches: Type.Array(Type.String()),
  seeder: Type.Optional(
    Type.Object(
      {
        nodeId: Type.String(),
        host: Type.String({ maxLength: 253 }),
        port: Type.Integer({ minimum: 1, maximum: 65_535 }),
      },
      {
        description: 'Where to dial at once, while the swarm is so new that an announce would name hardly anybody else',
      },
    ),
  ),
});
const InlineOffer = Type.Object({
  kind: Type.Literal('inline'),
  bytes: Type.String({ description: 'The whole blob, base64' }),
});
/** The right is proven but nobody reads the blob for peers now, so the caller reads from the registry itself. */
const NoOffer = Type.Object({ kind: Type.Literal('none'), size: Type.Optional(Type.Integer()), reason: Type.String() });

/** Answer to a join. `denied` is not an error: the request passes through to the registry's own refusal. */
export const JoinAnswer = Type.Union([
  Type.Object(
    {
      verdict: Type.Literal('granted'),
      swarmId: Type.String(),
      grant: Grant,
      grantExpiresAt: Type.Integer({ description: 'ms since the epoch' }),
      offer: Type.Union([SwarmOffer, InlineOffer, NoOffer]),
      enrolment: Type.Optional(EnrolAnswer),
    },
    closed,
  ),
  Type.Object({ verdict: Type.Literal('denied'), reason: Type.String() }, closed),
  Type.Object({ verdict: Type.Literal('unavailable'), reason: Type.String() }, closed),
]);
export type JoinAnswer = Static<typeof JoinAnswer>;

/** `POST /v1/manifest`: the bytes of one manifest, for whoever may pull it. */
export const ManifestRequest = Type.Object(
  {
    registry: Type.String({ maxLength: 300 }),
    repository: Type.String({ maxLength: 255 }),
    digest: Type.String({ maxLength: 71 }),
    authorization: Type.Optional(
      Type.String({
        maxLength: MAX_AUTHORIZATION_LENGTH,
        description: "The runtime's own header for the registry; never logged",
      }),
    ),
  },
  closed,
);
export type ManifestRequest = Static<typeof ManifestRequest>;

/** Answer to that. `denied` and `unavailable` are as in a join: the request passes through to the registry. */
export const ManifestAnswer = Type.Union([
  Type.Object(
    {
      verdict: Type.Literal('granted'),
      mediaType: Type.String({ maxLength: 100, description: 'As the registry called it' }),
      bytes: Type.String({
        maxLength: Math.ceil(MAX_MANIFEST_BYTES / 3) * 4,
        description: 'The manifest, base64. The receiver compares it with the digest',
      }),
    },
    closed,
  ),
  Type.Object({ verdict: Type.Literal('denied'), reason: Type.String() }, closed),
  Type.Object({ verdict: Type.Literal('unavailable'), reason: Type.String() }, closed),
]);
export type ManifestAnswer = Static<typeof ManifestAnswer>;

/** `POST /v1/grants`: new grants for old ones of the same node, before they end or after a certificate renewal. */
export const RefreshRequest = Type.Object(
  { grants: Type.Array(Grant, { minItems: 1, maxItems: MAX_GRANTS_PER_REFRESH }) },
  closed,
);
export type RefreshRequest = Static<typeof RefreshRequest>;

/** One entry for each grant of the request, in its order; `grant` is absent where it is not renewed. */
export const RefreshAnswer = Type.Object(
  {
    grants: Type.Array(
      Type.Object({
        swarmId: Type.Optional(Type.String()),
        grant: Type.Optional(Grant),
        expiresAt: Type.Optional(Type.Integer()),
      }),
    ),
  },
  closed,
);
export type RefreshAnswer = Static<typeof RefreshAnswer>;

/** `POST /v1/reports`: a peer that sent a piece which fails its signed hash. */
export const ReportRequest = Type.Object(
  {
    swarmId: Type.String({ maxLength: 40 }),
    nodeId: Type.String({ maxLength: 63 }),
    kind: Type.Literal('corrupt-piece'),
  },
  closed,
);
export type ReportRequest = Static<typeof ReportRequest>;

/** `POST /v1/reach`: has the tracker dial this node where it listens for peers. The address is that of the caller. */
export const ReachRequest = Type.Object({ port: Type.Integer({ minimum: 1, maximum: 65_535 }) }, closed);
export type ReachRequest = Static<typeof ReachRequest>;

/** Answer to that. A no says nothing of its reason. */
export const ReachAnswer = Type.Object(
  {
    address: Type.String({ maxLength: 64, description: 'Where the tracker sees this node' }),
    isReached: Type.Boolean(),
  },
  closed,
);
export type ReachAnswer = Static<typeof ReachAnswer>;

/** The body of every refusal outside /announce. */
export const ErrorBody = Type.Object({ code: Type.String(), message: Type.String() }, closed);
export type ErrorBody = Static<typeof ErrorBody>;
