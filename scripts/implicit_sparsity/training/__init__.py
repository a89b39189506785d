"""One stage of an order: documents in, an adapter and its record out, on one process or several."""
