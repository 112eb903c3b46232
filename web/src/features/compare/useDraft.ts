// What is being written, by conversation: it survives a reload and ends with the tab.
import { useState } from "react";

const keyOf = (under: string) => `polylogue:draft:${under}`;

function kept(under: string): string {
  try {
    return sessionStorage.getItem(keyOf(under)) ?? "";
  } catch {
    return ""; // storage is off
  }
}

export function useDraft(under: string): [string, (text: string) => void] {
  const [draft, setDraft] = useState(() => ({ under, text: kept(under) }));
  const shown = draft.under === under ? draft : { under, text: kept(under) };
  return [
    shown.text,
    (text) => {
      setDraft({ under, text });
      try {
        if (text === "") sessionStorage.removeItem(keyOf(under));
        else sessionStorage.setItem(keyOf(under), text);
      } catch {
        // Storage is full or off: the draft lives as long as the page.
      }
    },
  ];
}
