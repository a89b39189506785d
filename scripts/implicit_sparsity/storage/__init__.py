"""Files on disk: written whole or not at all, downloads, Zarr stores, tables, tensors."""
