/**
 * What `promise` resolves to, or `undefined` once `ms` have passed. It goes on meanwhile, and its failure is that of this
 * call unless it comes later.
 */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
