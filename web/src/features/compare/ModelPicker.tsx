// Chooses up to twelve models, in order, by search, with what each can do and costs.
import { useQuery } from "@tanstack/react-query";
import { useId, useRef, useState } from "react";
import { models, type Model } from "../../client/conversations";
import { Saved } from "./Saved";

export const MOST_MODELS = 12;

const MAKES: Record<string, string> = { image: "pictures", audio: "sound", video: "film" };

export function ModelPicker({ chosen, onChange }: { chosen: readonly string[]; onChange: (models: string[]) => void }) {
  const [wanted, setWanted] = useState("");
  const [open, setOpen] = useState(false);
  const listed = useQuery({ queryKey: ["models"], queryFn: models, staleTime: 300_000 });
  const id = useId();
  const opener = useRef<HTMLButtonElement>(null);
  const found = (listed.data ?? []).filter((one) =>
    `${one.id} ${one.name}`.toLowerCase().includes(wanted.trim().toLowerCase()),
  );
  const full = chosen.length >= MOST_MODELS;

  function toggle(model: string) {
    onChange(chosen.includes(model) ? chosen.filter((one) => one !== model) : [...chosen, model]);
  }

  return (
    <section
      className="models"
      aria-label="Models"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        setOpen(false);
        opener.current?.focus();
      }}
    >
      <ul className="chosen">
        {chosen.map((model) => (
          <li key={model}>
            {model}{" "}
            <button type="button" className="quiet" onClick={() => toggle(model)} aria-label={`Leave out ${model}`}>
              ×
            </button>
          </li>
        ))}
        <li>
          <button ref={opener} type="button" aria-expanded={open} aria-controls={id} onClick={() => setOpen(!open)}>
            {chosen.length === 0 ? "Choose models" : "Change models"}
          </button>
          <Saved
            kind="sets of models"
            one="model set"
            current={chosen.length === 0 ? null : [...chosen]}
            nameOf={(set) => set.join(", ")}
            onChoose={onChange}
          />
        </li>
      </ul>
      <div id={id} hidden={!open} className="picker">
        <label>
          <span className="visually-hidden">Search models</span>
          <input type="search" placeholder="Search models" value={wanted} onChange={(e) => setWanted(e.target.value)} />
        </label>
        <p className="note">
          {chosen.length} of at most {MOST_MODELS} chosen
        </p>
        {listed.isError && <p role="alert">The list of models cannot be had now. It is asked for again in a moment.</p>}
        {listed.isSuccess && found.length === 0 && <p>No model is called “{wanted}”.</p>}
        <ul className="offered">
          {found.slice(0, 200).map((model) => (
            <li key={model.id}>
              <label>
                <input
                  type="checkbox"
                  checked={chosen.includes(model.id)}
                  disabled={full && !chosen.includes(model.id)}
                  onChange={() => toggle(model.id)}
                />
                <span>
                  <strong>{model.name}</strong> <small>{abilities(model)}</small>
                </span>
                <small>{price(model)}</small>
              </label>
            </li>
          ))}
        </ul>
      </div>
    </section>
  );
}

function abilities(model: Model): string {
  const makes = model.output_modalities.flatMap((one) => MAKES[one] ?? []);
  const parts = makes.length > 0 ? [`makes ${makes.join(", ")}`] : [];
  if (model.input_modalities.includes("image")) parts.push("sees pictures");
  return parts.join("; ");
}

/** Micro-dollars per million tokens as dollars. */
function price(model: Model): string {
  const { prompt, completion } = model.prices;
  if (prompt === undefined || completion === undefined) return "";
  const dollars = (micros: number) => `$${(micros / 1_000_000).toLocaleString(undefined, { maximumFractionDigits: 2 })}`;
  return `${dollars(prompt)} in, ${dollars(completion)} out per million tokens`;
}
