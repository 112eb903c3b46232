// One picture at full size, with the others of the turn a key away.
import { useEffect, useLayoutEffect, useRef, useState, type CSSProperties, type KeyboardEvent } from "react";
import type { MediaAttachment } from "../../types/conversation";
import { renew } from "../../client/media";
import { facts, rendition } from "./MediaRenderer";

export interface Framed {
  /** `model`: what to call it. */
  pictures: readonly { id: string; attachment: MediaAttachment; model: string; alt: string }[];
  at: string;
}

const ZOOMS = [1, 1.5, 2, 3, 4];
const PAN_PX = 80;
const PAN: Partial<Record<string, [number, number]>> = {
  ArrowRight: [PAN_PX, 0],
  ArrowLeft: [-PAN_PX, 0],
  ArrowDown: [0, PAN_PX],
  ArrowUp: [0, -PAN_PX],
};

export function Lightbox({ framed, onClose }: { framed: Framed; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const stage = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState(() =>
    Math.max(
      0,
      framed.pictures.findIndex((one) => one.id === framed.at),
    ),
  );
  const [zoom, setZoom] = useState(0);
  const picture = framed.pictures[at];

  useEffect(() => {
    // The browser keeps the focus inside, and gives it back afterwards.
    dialog.current?.showModal();
  }, []);
  // One looks at the middle, and goes on from there.
  useLayoutEffect(() => {
    const box = stage.current;
    box?.scrollTo((box.scrollWidth - box.clientWidth) / 2, (box.scrollHeight - box.clientHeight) / 2);
  }, [zoom, at]);

  function page(by: number) {
    setAt((now) => (now + by + framed.pictures.length) % framed.pictures.length);
    setZoom(0);
  }
  const magnify = (by: number) => setZoom((now) => Math.min(ZOOMS.length - 1, Math.max(0, now + by)));

  function onKeyDown(event: KeyboardEvent) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pan = PAN[event.key];
    if (zoom > 0 && pan) {
      event.preventDefault();
      stage.current?.scrollBy(...pan);
    } else if (event.key === "ArrowRight") page(1);
    else if (event.key === "ArrowLeft") page(-1);
    else if (event.key === "+" || event.key === "=") magnify(1);
    else if (event.key === "-") magnify(-1);
  }

  if (!picture) return null;
  return (
    <dialog
      ref={dialog}
      className="lightbox"
      aria-label={`Picture by ${picture.model}`}
      onClose={onClose}
      onKeyDown={onKeyDown}
    >
      <div ref={stage} className="stage" tabIndex={0} role="region" aria-label="Picture">
        <Full key={picture.id} attachment={picture.attachment} alt={picture.alt} zoom={ZOOMS[zoom] ?? 1} />
      </div>
      <footer>
        <span>
          {picture.model} · {facts(picture.attachment)} · {at + 1} of {framed.pictures.length}
        </span>
        <button type="button" onClick={() => page(-1)} disabled={framed.pictures.length < 2}>
          Previous
        </button>
        <button type="button" onClick={() => page(1)} disabled={framed.pictures.length < 2}>
          Next
        </button>
        <button type="button" onClick={() => magnify(-1)} disabled={zoom === 0} aria-label="Smaller">
          −
        </button>
        <button type="button" onClick={() => magnify(1)} disabled={zoom === ZOOMS.length - 1} aria-label="Larger">
          +
        </button>
        <button type="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </footer>
    </dialog>
  );
}

/** The picture as it was made, which may not have been loaded before: its address may have run out meanwhile. */
function Full({ attachment, alt, zoom }: { attachment: MediaAttachment; alt: string; zoom: number }) {
  const [url, setUrl] = useState(attachment.url);
  const [state, setState] = useState<"loading" | "renewed" | "shown" | "broken">("loading");
  const smaller = rendition(attachment, "webp") ?? rendition(attachment, "thumbnail");

  function failed() {
    if (state === "renewed" || !attachment.media_id) {
      setState("broken");
      return;
    }
    setState("renewed");
    renew(attachment.media_id).then(
      (fresh) => setUrl(fresh.url),
      () => setState("broken"),
    );
  }

  if (state === "broken") return <p role="alert">The picture could not be loaded. Close it and try again.</p>;
  const waiting = state !== "shown" && smaller ? `url(${JSON.stringify(smaller)})` : undefined;
  return (
    <img
      src={url}
      alt={alt}
      style={{ "--zoom": zoom, backgroundImage: waiting } as CSSProperties}
      onLoad={() => setState("shown")}
      onError={failed}
    />
  );
}
