"""Settings, clients and catalogues: everything that touches the outside and knows nothing of conversations."""
