"""The bytes of strangers as values: memory files, texts, keys. The only wing that reads their files."""
