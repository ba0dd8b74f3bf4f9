/** The members of a JSON object; none for any other value. A map, so that no name that a stranger chose meets a prototype. */
export function fieldsOf(value: unknown): ReadonlyMap<string, unknown> {
  return new Map(typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : []);
}
