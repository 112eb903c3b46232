// A choice of the reader that outlives the page; nothing secret is ever kept so.
import { useState } from "react";

export function useKept<T>(name: string, otherwise: T): [T, (value: T) => void] {
  const key = `polylogue:${name}`;
  const [value, setValue] = useState<T>(() => {
    try {
      const kept = localStorage.getItem(key);
      return kept === null ? otherwise : (JSON.parse(kept) as T);
    } catch {
      return otherwise; // storage is off, or holds what an older page wrote
    }
  });
  return [
    value,
    (next) => {
      setValue(next);
      try {
        localStorage.setItem(key, JSON.stringify(next));
      } catch {
        // Storage is full or off: the choice holds as long as the page.
      }
    },
  ];
}
