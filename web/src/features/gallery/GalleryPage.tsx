// All media of all conversations, the latest first, by type, model and day.
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { models } from "../../client/conversations";
import { gallery, type GalleryFilter, type GalleryItem } from "../../client/library";
import { remove } from "../../client/media";
import { MediaRenderer } from "../../components/conversation/MediaRenderer";
import { altOf } from "../../components/conversation/MessageBubble";
import { Lightbox, type Framed } from "../../components/conversation/Lightbox";
import type { Medium } from "../../state/turn";
import { useTitle } from "../../components/ui/useTitle";
import "./gallery.css";

export function GalleryPage() {
  useTitle("Gallery");
  const [filter, setFilter] = useState<GalleryFilter>({});
  const queries = useQueryClient();
  const [framed, setFramed] = useState<Framed | null>(null);
  const list = useInfiniteQuery({
    queryKey: ["gallery", filter],
    queryFn: ({ pageParam }) => gallery(filter, pageParam),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
  // The filter takes a model's whole id.
  const known = useQuery({ queryKey: ["models"], queryFn: models, staleTime: 300_000 });
  const items = list.data?.pages.flatMap((page) => page.media) ?? [];
  const pictures = items.flatMap((item) =>
    item.type === "image" && item.status === "stored"
      ? [{ id: item.media_id, attachment: item, model: item.model_id ?? "", alt: described(item) }]
      : [],
  );
  return (
    <div className="page">
      <h1>Gallery</h1>
      <form
        className="filters"
        onSubmit={(event) => {
          event.preventDefault();
          const model = new FormData(event.currentTarget).get("model");
          if (typeof model === "string") setFilter({ ...filter, model: model.trim() });
        }}
      >
        <label>
          Kind{" "}
          <select value={filter.type ?? ""} onChange={(event) => setFilter({ ...filter, type: event.target.value })}>
            <option value="">all</option>
            <option value="image">pictures</option>
            <option value="audio">sound</option>
            <option value="video">film</option>
          </select>
        </label>
        <label>
          Model{" "}
          <input
            type="search"
            name="model"
            list="gallery-models"
            defaultValue={filter.model ?? ""}
            onBlur={(event) => setFilter({ ...filter, model: event.target.value.trim() })}
            placeholder="any"
          />
          <datalist id="gallery-models">
            {(known.data ?? []).map((model) => (
              <option key={model.id} value={model.id} />
            ))}
          </datalist>
        </label>
        <label>
          From <input type="date" onChange={(event) => setFilter({ ...filter, from: event.target.value })} />
        </label>
        <label>
          To <input type="date" onChange={(event) => setFilter({ ...filter, to: event.target.value })} />
        </label>
      </form>
      {list.isError && <p role="alert">{list.error.message}</p>}
      {list.isLoading && <p>Loading…</p>}
      {list.isSuccess && items.length === 0 && (
        <p>Nothing here yet. Ask a model that draws, speaks or films, or widen the filters.</p>
      )}
      <ul className="gallery">
        {items.map((item) => (
          <li key={item.media_id}>
            <MediaRenderer
              medium={mediumOf(item)}
              alt={described(item)}
              onOpen={(medium) => setFramed({ pictures, at: medium.mediaId })}
              onDelete={async (medium) => {
                await remove(medium.mediaId);
                await queries.invalidateQueries({ queryKey: ["gallery"] });
              }}
            />
            <p className="note">
              {item.model_id} · <Link to={`/c/${item.conversation_id}`}>{new Date(item.created_at).toLocaleString()}</Link>
            </p>
          </li>
        ))}
      </ul>
      {list.hasNextPage && (
        <button type="button" onClick={() => void list.fetchNextPage()} disabled={list.isFetchingNextPage}>
          {list.isFetchingNextPage ? "Loading…" : "Show more"}
        </button>
      )}
      {framed && <Lightbox framed={framed} onClose={() => setFramed(null)} />}
    </div>
  );
}

const described = (item: GalleryItem) => (item.prompt ? altOf(item.prompt) : `Made by ${item.model_id ?? "a model"}`);

function mediumOf(item: GalleryItem): Medium {
  const stored = item.status === "stored";
  return {
    mediaId: item.media_id,
    type: item.type,
    phase: stored ? "ready" : item.status === "expired" ? "expired" : "deleted",
    attachment: stored ? item : null,
    width: item.width ?? null,
    height: item.height ?? null,
    sizeBytes: item.size_bytes ?? null,
    reason: null,
  };
}
