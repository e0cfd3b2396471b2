"""How the student learns: relation distillation, fine-tuning and adaptation, on one Trainer."""
