"""The AI SDK's UI message stream, over the same hub as everything else, so that `useChat` works."""
