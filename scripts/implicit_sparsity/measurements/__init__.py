"""Measurements, a file each: what runs a network on documents and leaves stores for probes to read."""
