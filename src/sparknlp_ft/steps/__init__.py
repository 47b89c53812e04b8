"""Parts that several commands share: base model, fine-tuning, evaluation, gate, deployment, baselines, checks."""
