"""Who may ask what of the API, and how often: keys, sessions, tickets, scopes, origins, limits."""
