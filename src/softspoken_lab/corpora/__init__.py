"""Published corpora of mixed speech as they are unpacked, to manifests; and whether prepared data is sound."""
