/** Fires when whoever read our output is gone, as after `sealift demo | head -1`: a demo for nobody had better end. */
export function untilReaderIsGone(): AbortSignal {
  const gone = new AbortController();
  // The terminal that hangs up is a reader that is gone, too.
  process.once('SIGHUP', () => gone.abort());
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => gone.abort());
  return gone.signal;
}
