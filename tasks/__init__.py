"""What one step of the loop does: a file a stage, the same name in dvc.yaml, params.yaml, Prefect and MLflow."""
