"""The web UI in a real browser. A package, so that the system its tests share ends with the last of them."""
