// Finds words in prompts and answers, and shows where they stand.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useSearchParams } from "react-router";
import { search } from "../../client/library";
import { useTitle } from "../../components/ui/useTitle";

export function SearchPage() {
  useTitle("Search");
  const [asked, setAsked] = useSearchParams();
  const q = asked.get("q") ?? "";
  const role = asked.get("role") ?? "";
  const found = useInfiniteQuery({
    queryKey: ["search", q, role],
    queryFn: ({ pageParam }) => search(q, role, pageParam),
    initialPageParam: 0,
    getNextPageParam: (page) => page.next_offset,
    enabled: q !== "",
  });
  const hits = found.data?.pages.flatMap((page) => page.results) ?? [];
  return (
    <div className="page">
      <h1>Search</h1>
      <form
        role="search"
        className="filters"
        onSubmit={(event) => {
          event.preventDefault();
          const form = new FormData(event.currentTarget);
          const text = (name: string) => {
            const value = form.get(name);
            return typeof value === "string" ? value : "";
          };
          setAsked({ q: text("q").trim(), role: text("role") });
        }}
      >
        <label>
          Words <input key={q} type="search" name="q" defaultValue={q} required maxLength={500} />
        </label>
        <label>
          In{" "}
          <select name="role" defaultValue={role}>
            <option value="">prompts and answers</option>
            <option value="user">prompts</option>
            <option value="assistant">answers</option>
          </select>
        </label>
        <button className="primary">Search</button>
      </form>
      {found.isError && <p role="alert">{found.error.message}</p>}
      {found.isSuccess && hits.length === 0 && (
        <p>
          Nothing holds “{q}”. Try fewer or other words; words in quotes must stand together, and a word after a minus
          must not be there.
        </p>
      )}
      <ul className="hits">
        {hits.map((hit) => (
          <li key={hit.message_id}>
            <Link to={`/c/${hit.conversation_id}`} dir="auto">
              {hit.title}
            </Link>{" "}
            <span className="note">
              {hit.role === "user" ? "prompt" : hit.model_id} · {new Date(hit.created_at).toLocaleDateString()}
            </span>
            <p dir="auto">
              {hit.segments.map((segment, n) =>
                segment.hit ? <mark key={n}>{segment.text}</mark> : <span key={n}>{segment.text}</span>,
              )}
            </p>
          </li>
        ))}
      </ul>
      {found.hasNextPage && (
        <button type="button" onClick={() => void found.fetchNextPage()}>
          Show more
        </button>
      )}
    </div>
  );
}
