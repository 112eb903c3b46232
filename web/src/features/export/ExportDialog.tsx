// Takes a conversation out: in which form, with its media or without, and how far it is.
import { useEffect, useRef, useState } from "react";
import { download, save } from "../../client/saving";
import { problemOf } from "../../components/ui/problem";
import { bytes as sized } from "../../components/conversation/MediaRenderer";

const FORMATS = [
  ["md", "Markdown, to read and edit"],
  ["html", "HTML, one page to read or print"],
  ["json", "JSON, for programs, with everything that is known"],
] as const;
const MEDIA = [
  ["linked", "as links to this server"],
  ["bundled", "as files, in one zip"],
  ["none", "left out"],
] as const;

export function ExportDialog({ conversationId, onClose }: { conversationId: string; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const over = useRef<AbortController | null>(null);
  const [format, setFormat] = useState("md");
  const [media, setMedia] = useState("linked");
  const [got, setGot] = useState<number | null>(null);
  const [said, setSaid] = useState<string | null>(null);
  useEffect(() => {
    dialog.current?.showModal();
    return () => over.current?.abort();
  }, []);

  async function run() {
    over.current = new AbortController();
    setSaid(null);
    setGot(0);
    try {
      const path = `/conversations/${encodeURIComponent(conversationId)}/export?format=${format}&media=${media}`;
      const { name, file } = await download(path, over.current.signal, setGot);
      save(name, file);
      setSaid(`${name} is saved (${sized(file.size)}).`);
    } catch (error) {
      if (over.current.signal.aborted) return;
      setSaid(problemOf(error));
    } finally {
      setGot(null);
    }
  }

  return (
    <dialog ref={dialog} className="dialog" aria-labelledby="export-title" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void run();
        }}
      >
        <h2 id="export-title">Export this conversation</h2>
        <Choice legend="Form" name="format" options={FORMATS} chosen={format} onChoose={setFormat} />
        <Choice legend="Pictures, sound and films" name="media" options={MEDIA} chosen={media} onChoose={setMedia} />
        <p role="status">{got !== null ? `${sized(got)} so far…` : said}</p>
        <div className="actions">
          <button className="primary" disabled={got !== null}>
            Export
          </button>
          <button type="button" onClick={() => dialog.current?.close()}>
            {got === null ? "Close" : "Cancel"}
          </button>
        </div>
      </form>
    </dialog>
  );
}

interface ChoiceProps {
  legend: string;
  name: string;
  options: readonly (readonly [string, string])[];
  chosen: string;
  onChoose: (value: string) => void;
}

function Choice({ legend, name, options, chosen, onChoose }: ChoiceProps) {
  return (
    <fieldset>
      <legend>{legend}</legend>
      {options.map(([value, words]) => (
        <label key={value} className="choice">
          <input type="radio" name={name} checked={chosen === value} onChange={() => onChoose(value)} /> {words}
        </label>
      ))}
    </fieldset>
  );
}
