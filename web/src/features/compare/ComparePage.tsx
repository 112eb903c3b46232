// The page that asks several models at once and shows their answers side by side.
import { useState, useSyncExternalStore, type SyntheticEvent } from "react";
import { LiveTurn } from "../../state/live";

const MODELS = ["sim/text", "sim/painter", "sim/mixed"];

export function ComparePage() {
  const [prompt, setPrompt] = useState("");
  const [asked, setAsked] = useState<LiveTurn | null>(null);

  function send(event: SyntheticEvent) {
    event.preventDefault();
    asked?.leave();
    const turn = new LiveTurn();
    setAsked(turn);
    void turn.ask({ input_data: prompt, models: MODELS }, crypto.randomUUID());
  }

  return (
    <main>
      <h1>Polylogue</h1>
      <form onSubmit={send}>
        <label>
          Prompt <textarea value={prompt} onChange={(event) => setPrompt(event.target.value)} />
        </label>
        <button className="primary" disabled={prompt.trim() === ""}>
          Ask
        </button>
      </form>
      {asked && <Answers asked={asked} />}
    </main>
  );
}

function Answers({ asked }: { asked: LiveTurn }) {
  const { turn, problem } = useSyncExternalStore(asked.live.subscribe, asked.live.get);
  return (
    <div>
      {problem && <p role="alert">{problem}</p>}
      {turn.answers.map((answer) => (
        <article key={answer.responseId} aria-label={answer.model}>
          <h2>{answer.model}</h2>
          <p>{answer.text}</p>
        </article>
      ))}
    </div>
  );
}
