"""From real data sets to checked, deduplicated records and leak-free splits.

records     what one record is, and its files       mapping        rows of user tables -> records
sources/    one loader per data set                 collect        loader -> a source's file and manifest
dedupe      exact and near duplicates               contamination  eval text that another split holds
splits      five splits by group                    distractors    wrong choices where there are none
encoding    text -> token ids                       shards         split documents -> token shards
"""
