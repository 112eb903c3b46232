"""What crosses a process boundary: events, commands, claims, usage, browser frames, and the rules over them."""
