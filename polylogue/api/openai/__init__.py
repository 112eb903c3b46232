"""OpenAI's chat completions, over the same hub as everything else: for one model, each call a conversation of its own."""
