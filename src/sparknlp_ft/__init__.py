"""sparknlp_ft: fine-tune transformers on Delta tables with Horovod, and score whole tables back into Delta."""

__version__ = "0.1.0"
