"""The three local servers, Label Studio, MLflow and Prefect: started, waited for, looked at, stopped."""
