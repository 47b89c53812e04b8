"""Cheap methods, fitted on plain lists on the driver: the yardstick that a fine-tuned transformer is held against."""
