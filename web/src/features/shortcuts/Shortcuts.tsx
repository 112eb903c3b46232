// The keys that do things, listed on every page at the press of a question mark.
import { useEffect, useRef, useState } from "react";

const KEYS: readonly (readonly [string, string])[] = [
  ["?", "show this list"],
  ["/", "to the prompt"],
  ["Enter", "ask"],
  ["Shift + Enter", "a new line in the prompt"],
  ["Tab", "from card to card; the divider after a card changes its width with ← and →"],
  ["← →", "from model to model on narrow screens, from picture to picture when one is open"],
  ["+ −", "enlarge or shrink an open picture; ← → ↑ ↓ then move it"],
  ["Esc", "close what is open"],
];

export function KeyList({ labelledBy }: { labelledBy: string }) {
  return (
    <dl className="keys" aria-labelledby={labelledBy}>
      {KEYS.map(([key, does]) => (
        <div key={key}>
          <dt>
            <kbd>{key}</kbd>
          </dt>
          <dd>{does}</dd>
        </div>
      ))}
    </dl>
  );
}

const writing = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

export function Shortcuts() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || writing(event.target)) return;
      if (event.key === "?") setOpen(true);
      if (event.key === "/") {
        event.preventDefault();
        document.querySelector<HTMLElement>("[data-prompt]")?.focus();
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  useEffect(() => {
    if (open) dialog.current?.showModal();
  }, [open]);
  return (
    <>
      <button type="button" className="quiet" onClick={() => setOpen(true)} aria-haspopup="dialog">
        Keys <kbd>?</kbd>
      </button>
      {open && (
        <dialog ref={dialog} className="dialog" aria-labelledby="keys-title" onClose={() => setOpen(false)}>
          <h2 id="keys-title">Keys</h2>
          <KeyList labelledBy="keys-title" />
          <button type="button" onClick={() => dialog.current?.close()}>
            Close
          </button>
        </dialog>
      )}
    </>
  );
}
