// One stream a browser, however many tabs: the tab that holds the lock reads, the others hear it from a channel.

/** A tab that would lead: in line for the lock, holding it, or at rest. */
export class Candidate {
  #standing: AbortController | null = null;

  /** `lead` is called whenever this tab becomes the leader, with a signal of when it no longer is. */
  constructor(
    private readonly name: string,
    private readonly lead: (signal: AbortSignal) => void,
    private readonly locks: LockManager,
  ) {}

  /** Leads when it is this tab's turn. */
  stand(): void {
    this.#request(false);
  }

  /** Leads now; the one that did is asleep, and finds out when it wakes. */
  takeOver(): void {
    this.#request(true);
  }

  /** Leads no more, and waits for nothing; the next in line then leads. */
  rest(): void {
    this.#standing?.abort();
    this.#standing = null;
  }

  #request(steal: boolean): void {
    this.rest();
    const over = new AbortController();
    this.#standing = over;
    const held = new Promise<void>((resolve) => over.signal.addEventListener("abort", () => resolve()));
    void this.locks
      .request(`polylogue:${this.name}`, steal ? { steal } : { signal: over.signal }, async () => {
        if (over.signal.aborted) return;
        this.lead(over.signal);
        await held;
      })
      .catch(() => {
        if (over.signal.aborted) return;
        // Taken by another tab: this one was asleep, and stands in line again.
        this.stand();
      });
  }
}
