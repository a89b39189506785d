"""Every hook of the project, each in a context manager that takes it out again."""
