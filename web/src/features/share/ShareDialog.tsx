// Gives others a link to read a conversation by, and takes it back.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { linkOf, makeLink, revokeLink } from "../../client/sharing";
import { problemOf } from "../../components/ui/problem";
import { CopyButton } from "../../components/ui/CopyButton";

export function ShareDialog({ conversationId, onClose }: { conversationId: string; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const queries = useQueryClient();
  useEffect(() => dialog.current?.showModal(), []);
  const key = ["share", conversationId];
  const link = useQuery({ queryKey: key, queryFn: () => linkOf(conversationId) });
  const onSuccess = () => queries.invalidateQueries({ queryKey: key });
  const making = useMutation({ mutationFn: () => makeLink(conversationId), onSuccess });
  const revoking = useMutation({ mutationFn: () => revokeLink(conversationId), onSuccess });
  const problem = link.error ?? making.error ?? revoking.error;
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby="share-title" onClose={onClose}>
      <h2 id="share-title">Share this conversation</h2>
      <p>
        Whoever has the link can read all prompts and answers and see all media, also those that still come. Nobody can
        change anything. Taken back, the link opens nothing any more.
      </p>
      {link.data && (
        <p>
          <label>
            Link <input readOnly value={link.data.url} onFocus={(event) => event.target.select()} />
          </label>{" "}
          <CopyButton text={link.data.url} label="Copy link" />
        </p>
      )}
      {problem && (
        <p role="alert" className="failure">
          {problemOf(problem)}
        </p>
      )}
      <div className="actions">
        {link.data ? (
          <button type="button" disabled={revoking.isPending} onClick={() => revoking.mutate()}>
            Take the link back
          </button>
        ) : (
          <button
            type="button"
            className="primary"
            disabled={making.isPending || !link.isSuccess}
            onClick={() => making.mutate()}
          >
            Make a link
          </button>
        )}
        <button type="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  );
}
