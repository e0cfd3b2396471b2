"""Training: distillation, fine-tuning and adaptation, with one Trainer."""
