// The turns that this page reads, by conversation: they go on while one looks at another page.
import { LiveTurn, type Live } from "./live";
import { Cell, type Schedule } from "./store";
import { EMPTY, type Turn } from "./turn";

/** Under this name lies what was asked in a conversation that has no id yet. */
export const NEW = "new";

type Turns = Readonly<Record<string, LiveTurn>>;

export class Desk {
  readonly turns: Cell<Turns>;

  constructor(private readonly schedule?: Schedule) {
    this.turns = schedule ? new Cell<Turns>({}, schedule) : new Cell<Turns>({});
  }

  /** Asks, and reads to the end of the turn; `onBegun` is told the conversation's id once it has one. */
  async ask(
    under: string,
    path: string,
    body: unknown,
    key: string,
    { onto = EMPTY, onBegun }: { onto?: Turn; onBegun?: (conversationId: string) => void } = {},
  ): Promise<Live> {
    const turn = new LiveTurn(onto.turnId === "" ? EMPTY : { ...onto, complete: false, error: null }, undefined, this.schedule);
    this.#put(under, turn);
    const unsubscribe = turn.live.subscribe(() => {
      const { conversationId } = turn.live.get().turn;
      if (conversationId === "") return;
      unsubscribe();
      if (under === NEW) this.#name(turn, conversationId);
      onBegun?.(conversationId);
    });
    await turn.ask(path, body, key);
    return turn.live.get();
  }

  /** Reads a turn that runs already; at once over where it is read. */
  async follow(conversationId: string, turnId: string): Promise<void> {
    const known = this.turns.get()[conversationId]?.live.get();
    if (known && (known.turn.turnId === turnId || known.link !== "ended")) return;
    const turn = new LiveTurn(EMPTY, undefined, this.schedule);
    this.#put(conversationId, turn);
    await turn.follow(conversationId, turnId);
  }

  /** Forgets what was asked in a conversation that never came to be. */
  clear(under: string): void {
    this.turns.get()[under]?.leave();
    this.turns.set(without(this.turns.get(), under));
  }

  #put(under: string, turn: LiveTurn): void {
    this.turns.get()[under]?.leave();
    this.turns.set({ ...this.turns.get(), [under]: turn });
  }

  #name(turn: LiveTurn, conversationId: string): void {
    if (this.turns.get()[NEW] !== turn) return;
    this.turns.set({ ...without(this.turns.get(), NEW), [conversationId]: turn });
  }
}

function without(turns: Turns, name: string): Turns {
  return Object.fromEntries(Object.entries(turns).filter(([one]) => one !== name));
}

export const desk = new Desk();
