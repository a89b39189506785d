"""Networks: where they come from, how they are loaded and run, their neurons, adapters and hooks."""
