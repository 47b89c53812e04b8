"""MLflow: runs, the model as a pyfunc, the registry. ``store`` alone imports mlflow; the driver alone talks to it."""
