"""Claims: one module a claim, from tables to evidence for or against it."""
