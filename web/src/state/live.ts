// A turn that runs now, outside React: reads its stream, reduces it, and tells whoever looks once a painted frame.
import { ApiError } from "../client/errors";
import { ask, type Link, type Read, type StreamHooks } from "../client/stream";
import type { PlacedEvent } from "../types/api";
import { paced, type Pacing } from "./pace";
import { isSeen } from "./sight";
import { beforePaint, Cell, type Schedule } from "./store";
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

/** What two cards need is drawn within a frame also where twelve are seen. */
const PACING: Pacing = { most: 2, unseenFrames: 30, isSeen };

export class LiveTurn {
  /** As it is. */
  readonly live: Cell<Live>;
  /** As it is drawn: a frame or some behind where many models write at once. */
  readonly drawn: Cell<Live>;
  #frame = 0;
  #drawing = false;
  readonly #over = new AbortController();
  readonly #hooks: StreamHooks;

  constructor(
    private readonly read: Read,
    seed: Turn = EMPTY,
    private readonly now: () => number = Date.now,
    private readonly schedule: Schedule = beforePaint,
  ) {
    const first: Live = { turn: seed, link: "connecting", problem: null, code: null, told: null };
    this.live = new Cell<Live>(first, schedule);
    this.drawn = new Cell<Live>(first, (tell) => tell());
    this.#hooks = { onLink: (link) => this.#set({ ...this.live.get(), link }) };
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
        this.#set({ ...held, turn: apply(held.turn, frame, this.now()) });
      }
    } catch (error) {
      const problem = error instanceof Error ? error.message : "Something went wrong; reload the page.";
      const code = error instanceof ApiError ? error.code : null;
      this.#set({ ...this.live.get(), link: "ended", problem, code, told: error instanceof ApiError ? error.body : null });
    }
  }

  #set(live: Live): void {
    this.live.set(live);
    if (!this.#drawing) this.#draw();
  }

  #draw(): void {
    this.#drawing = true;
    this.schedule(() => {
      this.#drawing = false;
      this.#frame += 1;
      const live = this.live.get();
      const { turn, waits } = paced(this.drawn.get().turn, live.turn, this.#frame, PACING);
      if (waits) this.#draw();
      this.drawn.set({ ...live, turn });
    });
  }
}
