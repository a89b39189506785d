"""One loader per data set; the name of the module is the name in the config, and there is no list to keep.

A loader is ``documents(limit, seed, **options)``: an iterator of records (records.py; ``source`` is filled in
by the caller) and of ``Dropped`` markers, the same in every process for the same arguments. ``limit`` is the
most records wanted (None: all there are). ``versions()`` names what its text comes from. Each module opens
with one real example.
"""
