/** What a check has found. Advice says what to type; it is one line. */
export type Finding =
  | { readonly status: 'ok'; readonly finding: string }
  | { readonly status: 'warn' | 'fail'; readonly finding: string; readonly advice: string };

/** All is well. */
export function ok(finding: string): Finding {
  return { status: 'ok', finding };
}

/** It works, but not as meant, or not for long. */
export function warn(finding: string, advice: string): Finding {
  return { status: 'warn', finding, advice };
}

/** It does not work. */
export function fail(finding: string, advice: string): Finding {
  return { status: 'fail', finding, advice };
}
