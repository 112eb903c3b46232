// A conversation as somebody shows it by a link: to be read, and nothing else.
import { useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";
import { opened } from "../../client/sharing";
import { MessageBubble } from "../../components/conversation/MessageBubble";
import { useTitle } from "../../components/ui/useTitle";
import { fromStored } from "../../state/stored";
import "../compare/compare.css";

export function SharedPage() {
  const { share = "" } = useParams();
  const shown = useQuery({ queryKey: ["shared", share], queryFn: () => opened(share), retry: false });
  useTitle(shown.data?.title ?? null);
  return (
    <main className="compare" id="main">
      {shown.isLoading && <p>Loading the conversation…</p>}
      {shown.isError && <p role="alert">{shown.error.message} It may have been taken back.</p>}
      {shown.data && (
        <>
          <h1 dir="auto">{shown.data.title}</h1>
          <p className="note">Shared with you by a link. Answers were made by models and may be wrong.</p>
          {shown.data.turns
            .map((turn) => fromStored(turn, shown.data.conversation_id))
            .map((turn) => (
              <section key={turn.turnId} className="turn" aria-label="Turn">
                <div className="prompt" dir="auto">
                  <p>{turn.prompt}</p>
                </div>
                <div className="answers">
                  {turn.answers.map((answer) => (
                    <article key={answer.responseId} className="answer column" aria-label={answer.model}>
                      <header>
                        <h2>{answer.model}</h2>
                      </header>
                      <div className="answer-body" tabIndex={0} role="region" aria-label={`Answer of ${answer.model}`}>
                        <MessageBubble answer={answer} prompt={turn.prompt} />
                      </div>
                    </article>
                  ))}
                </div>
              </section>
            ))}
        </>
      )}
    </main>
  );
}
