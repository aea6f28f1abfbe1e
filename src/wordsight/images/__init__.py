"""Images from files, folders, glob patterns and memory, all as 8-bit RGB."""
