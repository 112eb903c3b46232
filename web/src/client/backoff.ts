// How long to wait before the next try: exponential, with full jitter, so that a restart is not met by a storm.

const FIRST_MS = 250;
const MOST_MS = 15_000;

export class Backoff {
  #tries = 0;

  constructor(private readonly random: () => number = Math.random) {}

  /** True until the first failure since the last success. */
  get fresh(): boolean {
    return this.#tries === 0;
  }

  reset(): void {
    this.#tries = 0;
  }

  /** Milliseconds to wait, never less than the server asked for. */
  next(atLeastMs = 0): number {
    const ceiling = Math.min(MOST_MS, FIRST_MS * 2 ** this.#tries);
    this.#tries += 1;
    return atLeastMs + ceiling * (0.5 + this.random() / 2);
  }
}
