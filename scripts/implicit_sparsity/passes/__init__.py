"""What measurements are made of: the loop over documents, what is kept of a network while it runs, scores."""
