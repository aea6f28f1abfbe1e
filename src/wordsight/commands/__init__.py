"""The commands: thin wrappers that parse, show progress on stderr, print results on stdout."""
