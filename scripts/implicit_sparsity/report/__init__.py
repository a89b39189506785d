"""How results are shown: plot style, LaTeX tables, the page of verdicts, published numbers."""
