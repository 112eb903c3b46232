// Asks one more model the prompt of a turn that is over.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { models } from "../../client/conversations";

interface Props {
  known: readonly string[];
  disabled: boolean;
  onAdd: (models: string[]) => void;
}

export function AddModel({ known, disabled, onAdd }: Props) {
  const [mode, setMode] = useState<"shown" | "open" | "left">("shown");
  const open = mode === "open";
  const listed = useQuery({ queryKey: ["models"], queryFn: models, staleTime: 300_000, enabled: open });
  const others = (listed.data ?? []).filter((model) => !known.includes(model.id));
  if (!open) {
    return (
      <p>
        <button type="button" disabled={disabled} autoFocus={mode === "left"} onClick={() => setMode("open")}>
          Ask one more model
        </button>
      </p>
    );
  }
  return (
    <form
      className="filters"
      onSubmit={(event) => {
        event.preventDefault();
        const model = new FormData(event.currentTarget).get("model");
        if (typeof model === "string" && model !== "") onAdd([model]);
        setMode("left");
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") setMode("left");
      }}
    >
      <label>
        One more model{" "}
        <select name="model" required autoFocus>
          {others.map((model) => (
            <option key={model.id} value={model.id}>
              {model.name}
            </option>
          ))}
        </select>
      </label>
      <button className="primary" disabled={disabled || others.length === 0}>
        Ask it
      </button>
      <button type="button" onClick={() => setMode("left")}>
        Leave
      </button>
    </form>
  );
}
