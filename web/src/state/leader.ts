// One stream a browser, however many tabs: the tab that holds the lock reads, the others hear it from a channel.

export interface Leadership {
  /** Resolves when this tab is no longer interested; the next in line then leads. */
  release: () => void;
}

/** Calls `lead` when this tab becomes the leader of `name`; at once where the browser has no locks. */
export function campaign(name: string, lead: (signal: AbortSignal) => void): Leadership {
  const over = new AbortController();
  const held = new Promise<void>((resolve) => over.signal.addEventListener("abort", () => resolve()));
  // Locks need a secure context; without them every tab reads for itself, which is correct, only dearer.
  const locks = (navigator as { locks?: LockManager }).locks;
  if (!locks) {
    lead(over.signal);
  } else {
    void locks
      .request(`polylogue:${name}`, { signal: over.signal }, async () => {
        if (over.signal.aborted) return;
        lead(over.signal);
        await held;
      })
      .catch((error: unknown) => {
        // Given up while waiting in line.
        if (!over.signal.aborted) throw error;
      });
  }
  return { release: () => over.abort() };
}
