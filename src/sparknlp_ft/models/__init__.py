"""Model folders: find a base model, build the network of a task on it, save and load what was fine-tuned."""
