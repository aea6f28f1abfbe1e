"""Features -> prefix: the MLP, the frozen language model, training, checkpoints."""
