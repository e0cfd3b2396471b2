"""Make a small encoder for one task from a big fine-tuned one."""

