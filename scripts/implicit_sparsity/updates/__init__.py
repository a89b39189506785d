"""What methods are made of: which weights a step may change, and how it is kept to them."""
