"""Images -> features: classifier adapters, extraction, the store."""
