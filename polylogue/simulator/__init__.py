"""An OpenRouter-compatible gateway whose models need no key and send real media. It stands alone."""
