/** A list that can be looked into at any place without copying it: a swarm has thousands of peers. */
export interface PeerList<T> {
  readonly length: number;
  at(index: number): T | undefined;
}

/** A {@link PeerList} that gains and loses members at the cost of one each. Its order means nothing. */
export class PeerSet<T extends object> implements PeerList<T> {
  readonly #members: T[] = [];
  readonly #places = new Map<T, number>();

  get length(): number {
    return this.#members.length;
  }

  at(index: number): T | undefined {
    return this.#members[index];
  }

  add(member: T): void {
    if (this.#places.has(member)) return;
    this.#places.set(member, this.#members.push(member) - 1);
  }

  delete(member: T): void {
    const place = this.#places.get(member);
    if (place === undefined) return;
    this.#places.delete(member);
    const last = this.#members.pop();
    if (last === undefined || last === member) return;
    this.#members[place] = last;
    this.#places.set(last, place);
  }
}
