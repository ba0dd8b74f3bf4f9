/**
 * `node scripts/demo.ts [--docker] [option]…`: the demo. Without `--docker` this process becomes `sealift demo`; with it,
 * real Docker daemons on a testbed of this machine pull the image.
 */
const args = process.argv.slice(2);
if (args.includes('--docker')) {
  const { runDockerDemo } = await import('./docker-demo.ts');
  await runDockerDemo(args);
} else {
  process.argv.splice(2, Number.POSITIVE_INFINITY, 'demo', ...args);
  await import('../packages/cli/src/main.ts');
}
