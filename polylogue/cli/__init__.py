"""The `polylogue` command: puts the parts together, and may import every one of them."""
