// A button that copies a text and says so.
import { useEffect, useState } from "react";

export function CopyButton({ text, label = "Copy", of }: { text: string; label?: string; of?: string }) {
  const [said, setSaid] = useState<string | null>(null);
  useEffect(() => {
    if (said === null) return;
    const timer = setTimeout(() => setSaid(null), 2000);
    return () => clearTimeout(timer);
  }, [said]);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      setSaid("Copying is not allowed here");
    }
  }
  return (
    <button type="button" className="quiet" onClick={() => void copy()}>
      {said ?? label}
      {of && said === null && <span className="visually-hidden"> {of}</span>}
      <span className="visually-hidden" role="status">
        {said}
      </span>
    </button>
  );
}
