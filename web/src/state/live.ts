// A turn that runs now, outside React: reads its stream, reduces it, and tells whoever looks once a painted frame.
import { ApiError } from "../client/errors";
import { ask, type Link, type Read, type StreamHooks } from "../client/stream";
import type { PlacedEvent } from "../types/api";
import { Cell, type Schedule } from "./store";
import { apply, EMPTY, type Turn } from "./turn";

export interface Live {
  readonly turn: Turn;
  readonly link: Link;
  /** A refusal, in words for the reader; null while all is well. */
  readonly problem: string | null;
  /** The refusal's code, where the API gave one. */
  readonly code: string | null;
  /** What else the refusal says: of a quota what, how much, and when it begins anew. */
  readonly told: unknown;
}

export class LiveTurn {
  readonly live: Cell<Live>;
  readonly #over = new AbortController();
  readonly #hooks: StreamHooks;

  constructor(
    private readonly read: Read,
    seed: Turn = EMPTY,
    private readonly now: () => number = Date.now,
    schedule?: Schedule,
  ) {
    const first: Live = { turn: seed, link: "connecting", problem: null, code: null, told: null };
    this.live = schedule ? new Cell<Live>(first, schedule) : new Cell<Live>(first);
    this.#hooks = { onLink: (link) => this.live.set({ ...this.live.get(), link }) };
  }

  /** Sends a prompt, a retry or a further model, and reads to the end of the turn. What goes wrong is in `live`. */
  ask(path: string, body: unknown, key: string): Promise<void> {
    return this.#read(ask(path, body, key, this.#over.signal, this.#hooks, this.read));
  }

  /** Goes on with a turn that runs already. */
  follow(conversationId: string, turnId: string): Promise<void> {
    return this.#read(this.read({ conversationId, turnId }, this.#over.signal, this.#hooks));
  }

  /** Reads no more; the models go on. */
  leave(): void {
    this.#over.abort();
  }

  async #read(frames: AsyncIterable<PlacedEvent>): Promise<void> {
    try {
      for await (const frame of frames) {
        const held = this.live.get();
        this.live.set({ ...held, turn: apply(held.turn, frame, this.now()) });
      }
    } catch (error) {
      const problem = error instanceof Error ? error.message : "Something went wrong; reload the page.";
      const code = error instanceof ApiError ? error.code : null;
      this.live.set({ ...this.live.get(), link: "ended", problem, code, told: error instanceof ApiError ? error.body : null });
    }
  }
}
