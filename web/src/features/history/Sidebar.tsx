// The list of conversations: the pinned ones, then the latest first, loaded further as one scrolls, renamed, pinned and deleted in place.
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { NavLink, useNavigate } from "react-router";
import { change, conversations, pinnedConversations, removeConversation } from "../../client/conversations";
import { ApiError, UnreachableError } from "../../client/errors";
import { problemOf } from "../../components/ui/problem";
import { Question } from "../../components/ui/Question";
import type { ConversationSummary } from "../../types/conversation";
import "./history.css";

const PLACES = [
  ["/search", "Search"],
  ["/gallery", "Gallery"],
  ["/usage", "Usage"],
  ["/settings", "Settings"],
] as const;

export function Sidebar() {
  const list = useInfiniteQuery({
    queryKey: ["conversations"],
    queryFn: ({ pageParam }) => conversations(pageParam),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
  // However old they are: the list itself may not have come to them yet. Whatever renews the list renews them.
  const pinned = useQuery({ queryKey: ["conversations", "pinned"], queryFn: pinnedConversations });
  const end = useRef<HTMLDivElement>(null);
  const { hasNextPage, fetchNextPage, isFetchingNextPage } = list;
  useEffect(() => {
    if (!end.current || !hasNextPage || isFetchingNextPage) return;
    const seen = new IntersectionObserver(([entry]) => {
      if (entry?.isIntersecting) void fetchNextPage();
    });
    seen.observe(end.current);
    return () => seen.disconnect();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  const all = list.data?.pages.flatMap((page) => page.conversations) ?? [];
  const kept = pinnedOf(pinned.data ?? [], all);
  const atTop = new Set(kept.map((one) => one.conversation_id));
  // One list: a row that is pinned moves within it, with the focus that is on it.
  const rows = [...kept, ...all.filter((one) => !atTop.has(one.conversation_id))];
  return (
    <nav className="history" aria-label="Conversations">
      <NavLink to="/" className="button new" end>
        New comparison
      </NavLink>
      <ul className="places">
        {PLACES.map(([to, name]) => (
          <li key={to}>
            <NavLink to={to}>{name}</NavLink>
          </li>
        ))}
      </ul>
      {list.isError && !(list.error instanceof UnreachableError) && <p role="alert">{list.error.message}</p>}
      {list.isSuccess && rows.length === 0 && <p className="note">Nothing was asked yet.</p>}
      <ul>
        {rows.map((one) => (
          <Row key={one.conversation_id} one={one} />
        ))}
      </ul>
      <div ref={end} />
      {isFetchingNextPage && <p className="note">Loading more…</p>}
    </nav>
  );
}

/** Both were asked for at different moments: what the list says of a conversation that it has is as good. */
function pinnedOf(asked: ConversationSummary[], listed: ConversationSummary[]): ConversationSummary[] {
  const known = new Set(asked.map((one) => one.conversation_id));
  return [...asked, ...listed.filter((one) => one.pinned && !known.has(one.conversation_id))];
}

function Row({ one }: { one: ConversationSummary }) {
  const queries = useQueryClient();
  const go = useNavigate();
  const [mode, setMode] = useState<"shown" | "renaming" | "renamed" | "deleting" | "kept">("shown");
  const [said, setSaid] = useState<string | null>(null);
  const [branches, setBranches] = useState(false);
  const id = one.conversation_id;

  async function attempt(work: () => Promise<unknown>, then: typeof mode = "shown") {
    setSaid(null);
    try {
      await work();
      setMode(then);
      await queries.invalidateQueries({ queryKey: ["conversations"] });
      await queries.invalidateQueries({ queryKey: ["conversation", id] });
    } catch (error) {
      if (error instanceof ApiError && error.code === "has_branches") setBranches(true);
      setSaid(problemOf(error));
    }
  }

  return (
    <li>
      {mode === "renaming" ? (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const title = new FormData(event.currentTarget).get("title");
            if (typeof title === "string") void attempt(() => change(id, { title }), "renamed");
          }}
          onKeyDown={(event) => {
            if (event.key !== "Escape") return;
            event.stopPropagation();
            setMode("renamed");
          }}
        >
          <label>
            <span className="visually-hidden">Title</span>
            <input name="title" defaultValue={one.title} maxLength={200} required autoFocus />
          </label>
          <button>
            Save<span className="visually-hidden"> the title</span>
          </button>
          <button type="button" onClick={() => setMode("renamed")}>
            Leave
          </button>
        </form>
      ) : (
        <NavLink to={`/c/${id}`} dir="auto">
          {one.pinned && <span aria-label="pinned">★ </span>}
          {one.title}
          {one.turn_running && <span className="note"> (answering)</span>}
        </NavLink>
      )}
      {mode === "deleting" && (
        <Question
          label={`Delete ${one.title}`}
          onYes={() =>
            void attempt(async () => {
              await removeConversation(id, branches);
              await go("/");
            })
          }
          onNo={() => setMode("kept")}
        >
          Delete it with all its pictures, sound and films? They are removed for good
          {branches ? ", from the conversations that branched off it too." : "."}
        </Question>
      )}
      {mode !== "deleting" && mode !== "renaming" && (
        <div
          // Where the focus comes back to one of them, it must be there to take it.
          className={mode === "shown" ? "row-actions" : "row-actions left"}
          onBlur={() => setMode((now) => (now === "renamed" || now === "kept" ? "shown" : now))}
        >
          <button type="button" className="quiet" onClick={() => void attempt(() => change(id, { pinned: !one.pinned }))}>
            {one.pinned ? "Unpin" : "Pin"}
            <span className="visually-hidden"> {one.title}</span>
          </button>
          <button
            type="button"
            className="quiet"
            autoFocus={mode === "renamed"}
            onClick={() => setMode("renaming")}
          >
            Rename<span className="visually-hidden"> {one.title}</span>
          </button>
          <button
            type="button"
            className="quiet"
            autoFocus={mode === "kept"}
            onClick={() => setMode("deleting")}
          >
            Delete<span className="visually-hidden"> {one.title}</span>
          </button>
        </div>
      )}
      {said && <p role="alert">{said}</p>}
    </li>
  );
}
