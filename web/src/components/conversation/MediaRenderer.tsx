// One medium of an answer: its place while it comes, then the picture, the sound or the film, or why there is none.
import { useState, type CSSProperties } from "react";
import type { MediaAttachment, MediaKind } from "../../types/conversation";
import { onItsWay, type Medium, type MediumPhase } from "../../state/turn";
import { renew } from "../../client/media";
import { save } from "../../client/saving";
import { problemOf } from "../ui/problem";
import { Question } from "../ui/Question";
import { AudioPlayer } from "./AudioPlayer";
import "../../styles/conversation.css";

interface Props {
  medium: Medium;
  /** What was asked for: the best description of a generated picture that there is. */
  alt: string;
  onOpen?: (medium: Medium) => void;
  /** The id of the answer's text: models that speak give the words of a sound as text, and not apart from it. */
  wordsIn?: string;
  /** Removes it for good; without it there is no such button. */
  onDelete?: (medium: Medium) => Promise<unknown>;
}

const NAMES: Record<MediaKind, string> = { image: "Picture", audio: "Sound", video: "Film" };
const PHASES: Record<MediumPhase, string> = {
  generating: "is being made",
  validating: "is being checked",
  uploading: "is being stored",
  pending: "is being checked and stored",
  ready: "",
  failed: "could not be shown",
  deleted: "was deleted",
  expired: "has expired",
};

export function MediaRenderer(given: Props) {
  const { medium } = given;
  const shape = aspect(medium);
  if (medium.phase !== "ready" || !medium.attachment) {
    const waiting = onItsWay(medium.phase);
    return (
      <div
        className={`media-container ${medium.type}-container ${waiting ? "media-loading" : "media-error"}`}
        style={waiting ? shape : undefined}
        data-phase={medium.phase}
      >
        <p>
          {NAMES[medium.type]} {PHASES[medium.phase]}
          {medium.reason ? `: ${medium.reason}` : waiting ? "…" : "."}
        </p>
      </div>
    );
  }
  return <Ready {...given} attachment={medium.attachment} />;
}

function Ready({ medium, attachment, alt, wordsIn, onOpen, onDelete }: Props & { attachment: MediaAttachment }) {
  // Every answer of the API signs the addresses anew. A file that is shown or played stays at the one it was loaded from.
  const [address, setAddress] = useState(attachment);
  const [renewed, setRenewed] = useState(false);
  const [broken, setBroken] = useState(false);
  const poster = useFirst(rendition(address, "poster") ?? rendition(attachment, "poster"));

  /** A signed address ends its life while a page stays open: one silent new one, then the truth. */
  function failed() {
    if (renewed || !attachment.media_id) {
      setBroken(true);
      return;
    }
    setRenewed(true);
    renew(attachment.media_id).then(
      (fresh) => setAddress({ ...attachment, ...fresh }),
      () => setBroken(true),
    );
  }

  if (broken) {
    return (
      <div className={`media-container ${medium.type}-container media-error`} data-phase="broken">
        <p>{NAMES[medium.type]} could not be loaded. Check the connection, then try again.</p>
        <button
          type="button"
          onClick={() => {
            setRenewed(false);
            setBroken(false);
          }}
        >
          Try again
        </button>
      </div>
    );
  }
  return (
    <figure className={`media-container ${medium.type}-container`} data-phase="ready">
      {medium.type === "image" && (
        <button type="button" className="media-open" onClick={() => onOpen?.(medium)} aria-label={`Enlarge: ${alt}`}>
          <Picture attachment={address} alt={alt} shape={aspect(medium)} onError={failed} />
        </button>
      )}
      {medium.type === "audio" && (
        <AudioPlayer attachment={{ ...attachment, url: address.url }} label={`Sound: ${alt}`} wordsIn={wordsIn} onError={failed} />
      )}
      {medium.type === "video" && (
        <video
          src={address.url}
          poster={poster}
          controls
          playsInline
          preload="metadata"
          style={aspect(medium)}
          aria-label={`Film: ${alt}`}
          onError={failed}
        />
      )}
      <figcaption>
        <span>{facts(attachment)}</span>
        <span className="doing">
          <Download attachment={renewed ? address : attachment} name={NAMES[medium.type].toLowerCase()} />
          {onDelete && attachment.media_id && (
            <Removal name={NAMES[medium.type].toLowerCase()} onDelete={() => onDelete(medium)} />
          )}
        </span>
      </figcaption>
    </figure>
  );
}

interface Shown {
  attachment: MediaAttachment;
  alt: string;
  shape: CSSProperties | undefined;
  onError: () => void;
}

/** The smallest version that fills its place, and the thumbnail until it is there. What moves has no other than itself. */
function Picture({ attachment, alt, shape, onError }: Shown) {
  const [loaded, setLoaded] = useState(false);
  const thumbnail = attachment.renditions?.find((one) => one.name === "thumbnail");
  const webp = attachment.renditions?.find((one) => one.name === "webp");
  const choice =
    thumbnail?.width && webp?.width
      ? { srcSet: `${thumbnail.url} ${thumbnail.width}w, ${webp.url} ${webp.width}w`, sizes: "auto, 22rem" }
      : {};
  return (
    <img
      {...choice}
      src={webp?.url ?? attachment.url}
      alt={alt}
      loading="lazy"
      decoding="async"
      style={{ ...shape, backgroundImage: thumbnail && !loaded ? `url(${JSON.stringify(thumbnail.url)})` : undefined }}
      onLoad={() => setLoaded(true)}
      onError={onError}
    />
  );
}

/** The first value that there was. */
function useFirst<T>(value: T | undefined): T | undefined {
  const [first, setFirst] = useState(value);
  if (first === undefined && value !== undefined) setFirst(value);
  return first ?? value;
}

/** By a request of our own: the link leads to another origin, whose files a browser would show instead of saving. */
function Download({ attachment, name }: { attachment: MediaAttachment; name: string }) {
  const [said, setSaid] = useState<string | null>(null);
  const href = downloadHref(attachment);
  async function run() {
    setSaid("Downloading…");
    try {
      // What the browser keeps of a picture that it showed does not say that a script may read it.
      const answer = await fetch(attachment.url, { cache: "no-store" });
      if (!answer.ok) throw new Error("The address has run out.");
      save(`${attachment.media_id ?? name}.${attachment.format}`, await answer.blob());
      setSaid(null);
    } catch {
      setSaid(null);
      window.open(href, "_blank", "noopener");
    }
  }
  return (
    <a
      href={href}
      download
      onClick={(event) => {
        event.preventDefault();
        void run();
      }}
    >
      {said ?? "Download"}
      <span className="visually-hidden"> {name}</span>
    </a>
  );
}

function Removal({ name, onDelete }: { name: string; onDelete: () => Promise<unknown> }) {
  const [mode, setMode] = useState<"shown" | "asking" | "kept">("shown");
  const [said, setSaid] = useState<string | null>(null);
  if (mode !== "asking") {
    return (
      <button type="button" className="quiet" autoFocus={mode === "kept"} onClick={() => setMode("asking")}>
        Delete<span className="visually-hidden"> {name}</span>
      </button>
    );
  }
  return (
    <Question
      label={`Delete this ${name}`}
      onYes={() => {
        onDelete().catch((error: unknown) => setSaid(problemOf(error)));
      }}
      onNo={() => setMode("kept")}
    >
      {said ?? `Delete this ${name} for good?`}
    </Question>
  );
}

export function rendition(attachment: MediaAttachment, name: string): string | undefined {
  return attachment.renditions?.find((one) => one.name === name)?.url;
}

function aspect(medium: Medium): { aspectRatio: string } | undefined {
  const { width, height } = medium;
  if (width && height) return { aspectRatio: `${width} / ${height}` };
  if (medium.type === "audio") return undefined;
  return { aspectRatio: medium.type === "video" ? "16 / 9" : "1 / 1" };
}

function downloadHref(attachment: MediaAttachment): string {
  const id = attachment.media_id;
  return id ? `/api/v1/media/${encodeURIComponent(id)}/content` : attachment.url;
}

export function facts(attachment: MediaAttachment): string {
  const parts = [attachment.format.toUpperCase()];
  if (attachment.width && attachment.height) parts.push(`${attachment.width} × ${attachment.height}`);
  if (attachment.duration_ms) parts.push(`${(attachment.duration_ms / 1000).toFixed(1)} s`);
  if (attachment.size_bytes) parts.push(bytes(attachment.size_bytes));
  return parts.join(" · ");
}

export function bytes(size: number): string {
  if (size < 1000) return `${size} B`;
  if (size < 1_000_000) return `${(size / 1000).toFixed(0)} KB`;
  return `${(size / 1_000_000).toFixed(1)} MB`;
}
