// A turn that runs now, outside React: reads its stream, reduces it, and tells whoever looks once a painted frame.
import { ask, type Link } from "../client/stream";
import type { PlacedEvent } from "../types/api";
import { Cell } from "./store";
import { apply, EMPTY, type Turn } from "./turn";

export interface Live {
  readonly turn: Turn;
  readonly link: Link;
  /** A refusal, in words for the reader; null while all is well. */
  readonly problem: string | null;
}

export interface Prompt {
  input_data: string;
  models: readonly string[];
  conversation_id?: string;
  system?: string;
}

export class LiveTurn {
  readonly live: Cell<Live>;
  readonly #over = new AbortController();

  constructor(private readonly now: () => number = () => performance.now()) {
    this.live = new Cell<Live>({ turn: EMPTY, link: "connecting", problem: null });
  }

  /** Sends the prompt and reads to the end of its turn. Raises nothing: what goes wrong is in `live`. */
  async ask(prompt: Prompt, key: string): Promise<void> {
    const onLink = (link: Link) => this.live.set({ ...this.live.get(), link });
    await this.#read(ask("/compare-stream", prompt, key, this.#over.signal, { onLink }));
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
      const problem = error instanceof Error ? error.message : "Something went wrong.";
      this.live.set({ ...this.live.get(), link: "ended", problem });
    }
  }
}
