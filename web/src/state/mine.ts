// The stream of all conversations, shared by all who read one: open while two turns or more are read at once.
import type { Heard, ReadMine } from "../client/mine";
import type { Link } from "../client/connection";
import type { PlacedEvent } from "../types/api";

/** One turn alone is read by its own stream: that is one connection too, and brings nothing else. */
const WORTHWHILE = 2;
/** What was just brought is kept for who comes a moment later: a prompt's first frame arrives by two ways. */
const MOST_RECENT = 500;

export interface Hearing {
  conversationId: string;
  hear: (heard: Heard) => void;
  onLink: (link: Link) => void;
}

export class Mine {
  link: Link = "ended";
  readonly #hearings = new Set<Hearing>();
  readonly #recent: PlacedEvent[] = [];
  #over: AbortController | null = null;

  constructor(private readonly read: ReadMine) {}

  /** Tells what comes in a conversation, and first what has come just now; returns how to end that. */
  tell(hearing: Hearing): () => void {
    this.#hearings.add(hearing);
    for (const frame of this.#recent) if (frame.conversation_id === hearing.conversationId) hearing.hear(frame);
    if (this.#over === null && this.#hearings.size >= WORTHWHILE) void this.#open();
    return () => {
      this.#hearings.delete(hearing);
      if (this.#hearings.size === 0) this.#close();
    };
  }

  async #open(): Promise<void> {
    const over = new AbortController();
    this.#over = over;
    const onLink = (link: Link) => {
      if (over.signal.aborted) return;
      this.link = link;
      for (const hearing of [...this.#hearings]) hearing.onLink(link);
    };
    try {
      for await (const heard of this.read(over.signal, { onLink })) {
        if (over.signal.aborted) return;
        this.#bring(heard);
      }
    } catch {
      // Refused, whatever the reason: who reads a turn is told of it by the turn's own stream.
    }
    if (over.signal.aborted) return;
    this.#close();
    this.#bring(null);
  }

  #close(): void {
    this.#over?.abort();
    this.#over = null;
    this.#recent.length = 0;
    this.link = "ended";
  }

  #bring(heard: Heard): void {
    if (heard === null) {
      this.#recent.length = 0;
      for (const hearing of [...this.#hearings]) hearing.hear(null);
      return;
    }
    this.#recent.push(heard);
    if (this.#recent.length > 2 * MOST_RECENT) this.#recent.splice(0, MOST_RECENT);
    for (const hearing of [...this.#hearings]) if (hearing.conversationId === heard.conversation_id) hearing.hear(heard);
  }
}
