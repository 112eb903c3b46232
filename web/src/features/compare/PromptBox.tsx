// Where a prompt is written: text, pictures by paste, drop or choice, models, a system prompt, and what it may cost.
import { memo, useEffect, useId, useRef, useState, type ClipboardEvent, type DragEvent, type SyntheticEvent } from "react";
import { estimate } from "../../client/conversations";
import { dollars } from "../../components/ui/money";
import { ModelPicker } from "./ModelPicker";
import { Saved } from "./Saved";

export interface Draft {
  input_data: string;
  models: string[];
  system?: string;
  attached_images?: { mime_type: string; base64_data: string }[];
}

interface Props {
  /** The conversation that it goes on with: its past is a part of what is sent, and of what it costs. */
  conversationId: string | undefined;
  models: readonly string[];
  onModels: (models: string[]) => void;
  /** Tells whether it was accepted: what was refused stays in the box. */
  onSend: (draft: Draft) => Promise<boolean>;
  running: boolean;
  onStop: () => void;
  text: string;
  onText: (text: string) => void;
}

interface Attached {
  name: string;
  preview: string;
  mime_type: string;
  base64_data: string;
}

const PICTURES = ["image/png", "image/jpeg", "image/webp", "image/gif"];
const MOST_PICTURES = 8;

/** Not drawn anew while answers stream beside it. */
export const PromptBox = memo(function PromptBox(given: Props) {
  const { conversationId, models, onModels, onSend, running, onStop, text, onText } = given;
  const [pictures, setPictures] = useState<Attached[]>([]);
  const [system, setSystem] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const box = useRef<HTMLTextAreaElement>(null);
  const id = useId();
  const cost = useEstimate(text, models, system, conversationId);
  const ready = text.trim() !== "" && models.length > 0 && !running;

  useEffect(() => {
    if (box.current) {
      box.current.style.blockSize = "auto";
      box.current.style.blockSize = `${Math.min(box.current.scrollHeight + 2, window.innerHeight * 0.4)}px`;
    }
  }, [text]);

  function send(event: SyntheticEvent) {
    event.preventDefault();
    if (!ready) return;
    const held = pictures;
    const sent = onSend({
      input_data: text,
      models: [...models],
      ...(system.trim() === "" ? {} : { system }),
      ...(pictures.length === 0
        ? {}
        : { attached_images: pictures.map(({ mime_type, base64_data }) => ({ mime_type, base64_data })) }),
    });
    setPictures([]);
    void sent.then((accepted) => {
      if (!accepted) setPictures((added) => [...held, ...added]);
    });
  }

  async function attach(files: Iterable<File>) {
    setProblem(null);
    const added: Attached[] = [];
    for (const file of files) {
      if (!PICTURES.includes(file.type)) {
        setProblem(`${file.name} cannot be attached: pictures may be PNG, JPEG, WebP or GIF.`);
      } else if (pictures.length + added.length >= MOST_PICTURES) {
        setProblem(`A prompt takes at most ${MOST_PICTURES} pictures; the others were left out.`);
      } else {
        added.push(await read(file));
      }
    }
    setPictures((known) => [...known, ...added]);
  }

  function onPaste(event: ClipboardEvent) {
    if (event.clipboardData.files.length === 0) return;
    event.preventDefault();
    void attach(event.clipboardData.files);
  }
  function onDrop(event: DragEvent) {
    event.preventDefault();
    void attach(event.dataTransfer.files);
  }

  return (
    <form className="prompt-box" onSubmit={send} onDrop={onDrop} onDragOver={(event) => event.preventDefault()}>
      <ModelPicker chosen={models} onChange={onModels} />
      <label htmlFor={id} className="visually-hidden">
        Prompt
      </label>
      <textarea
        id={id}
        ref={box}
        rows={2}
        dir="auto"
        data-prompt
        placeholder="Ask several models at once"
        value={text}
        onChange={(event) => onText(event.target.value)}
        onPaste={onPaste}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) send(event);
        }}
      />
      {pictures.length > 0 && (
        <ul className="attached">
          {pictures.map((picture, n) => (
            <li key={n}>
              <img src={picture.preview} alt={picture.name} />
              <button
                type="button"
                aria-label={`Leave out ${picture.name}`}
                onClick={() => setPictures(pictures.filter((_, at) => at !== n))}
              >
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
      {problem && <p role="alert">{problem}</p>}
      <details className="system">
        <summary>System prompt</summary>
        <label>
          <span className="visually-hidden">System prompt</span>
          <textarea rows={2} dir="auto" value={system} onChange={(event) => setSystem(event.target.value)} />
        </label>
      </details>
      <div className="send">
        <label className="button">
          Attach pictures
          <input
            type="file"
            className="visually-hidden"
            accept={PICTURES.join(",")}
            multiple
            onChange={(event) => {
              void attach(event.target.files ?? []);
              event.target.value = "";
            }}
          />
        </label>
        <Saved
          kind="prompts"
          one="prompt"
          current={text.trim() === "" ? null : text}
          nameOf={(prompt) => prompt.trim().replace(/\s+/g, " ").slice(0, 60)}
          onChoose={onText}
        />
        <span className="note">{cost}</span>
        {running ? (
          <button type="button" onClick={onStop}>
            Stop all
          </button>
        ) : (
          <button className="primary" disabled={!ready}>
            Ask {models.length > 1 ? `${models.length} models` : ""}
          </button>
        )}
      </div>
    </form>
  );
});

function read(file: File): Promise<Attached> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onerror = () => reject(new Error(`${file.name} could not be read.`));
    reader.onload = () => {
      const url = typeof reader.result === "string" ? reader.result : "";
      resolve({
        name: file.name,
        preview: URL.createObjectURL(file),
        mime_type: file.type,
        base64_data: url.slice(url.indexOf(",") + 1),
      });
    };
    reader.readAsDataURL(file);
  });
}

/** What the prompt will cost about, asked for when the writer pauses. */
function useEstimate(text: string, models: readonly string[], system: string, conversationId: string | undefined): string {
  const [said, setSaid] = useState("");
  const named = models.join("\n");
  useEffect(() => {
    if (text.trim() === "" || named === "") return;
    const over = new AbortController();
    const timer = setTimeout(() => {
      const asked = { input_data: text, models: named.split("\n"), conversation_id: conversationId };
      estimate({ ...asked, ...(system ? { system } : {}) }, over.signal).then(
        ({ total }) => setSaid(total.cost_usd_micros === null ? "" : `about ${dollars(total.cost_usd_micros / 1e6)}`),
        () => setSaid(""),
      );
    }, 400);
    return () => {
      clearTimeout(timer);
      over.abort();
    };
  }, [text, named, system, conversationId]);
  return text.trim() === "" || named === "" ? "" : said;
}
