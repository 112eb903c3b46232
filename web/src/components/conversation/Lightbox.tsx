// One picture at full size, with the others of the turn a key away.
import { useEffect, useRef, useState, type CSSProperties } from "react";
import type { MediaAttachment } from "../../types/conversation";
import { facts } from "./MediaRenderer";

export interface Framed {
  pictures: readonly { id: string; attachment: MediaAttachment; model: string; alt: string }[];
  at: string;
}

const ZOOMS = [1, 1.5, 2, 3, 4];

export function Lightbox({ framed, onClose }: { framed: Framed; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
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

  function page(by: number) {
    setAt((now) => (now + by + framed.pictures.length) % framed.pictures.length);
    setZoom(0);
  }
  const magnify = (by: number) => setZoom((now) => Math.min(ZOOMS.length - 1, Math.max(0, now + by)));

  if (!picture) return null;
  return (
    <dialog
      ref={dialog}
      className="lightbox"
      aria-label={`Picture by ${picture.model}`}
      onClose={onClose}
      onKeyDown={(event) => {
        if (event.key === "ArrowRight") page(1);
        else if (event.key === "ArrowLeft") page(-1);
        else if (event.key === "+" || event.key === "=") magnify(1);
        else if (event.key === "-") magnify(-1);
      }}
    >
      <div className="stage" tabIndex={0} role="region" aria-label="Picture">
        <img src={picture.attachment.url} alt={picture.alt} style={{ "--zoom": ZOOMS[zoom] ?? 1 } as CSSProperties} />
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
