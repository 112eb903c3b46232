// What the reader has put by under a name, in this browser: prompts, or sets of models.
import { useKept } from "../../components/ui/useKept";

interface Props<T> {
  /** Where it is kept, and what it is called in the plural. */
  kind: string;
  /** What one of them is called: two of these stand on one page. */
  one: string;
  /** What would be saved now; null where there is nothing to save. */
  current: T | null;
  nameOf: (value: T) => string;
  onChoose: (value: T) => void;
}

export function Saved<T>({ kind, one: thing, current, nameOf, onChoose }: Props<T>) {
  const [saved, setSaved] = useKept<Record<string, T>>(`saved ${kind}`, {});
  const names = Object.keys(saved);
  const same = names.find((one) => JSON.stringify(saved[one]) === JSON.stringify(current));
  const name = same ?? (current === null ? "" : unused(nameOf(current), saved));
  const known = same !== undefined;

  function toggle() {
    if (current === null) return;
    setSaved(
      known
        ? Object.fromEntries(Object.entries(saved).filter(([one]) => one !== name))
        : { ...saved, [name]: current },
    );
  }

  return (
    <span className="saved">
      {names.length > 0 && (
        <label>
          <span className="visually-hidden">Saved {kind}</span>
          <select
            value=""
            onChange={(event) => {
              const chosen = saved[event.target.value];
              if (chosen !== undefined) onChoose(chosen);
            }}
          >
            <option value="">Saved {kind}…</option>
            {names.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </label>
      )}
      {current !== null && (
        <button type="button" className="quiet" aria-pressed={known} onClick={toggle}>
          {known ? "Saved" : "Save"} {thing}
        </button>
      )}
    </span>
  );
}

/** Long prompts begin alike: each has a name of its own. */
function unused(name: string, saved: object): string {
  for (let n = 2, numbered = name; ; numbered = `${name} (${n++})`) if (!(numbered in saved)) return numbered;
}
