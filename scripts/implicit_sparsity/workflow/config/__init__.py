"""config.yaml and what is laid over it: every key, how files are read, what has to fit what."""
