"""The write side of the log: the runner that calls the models and the agent that stores what they make."""
