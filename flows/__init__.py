"""In which order the stages run: Prefect flows and the command line."""
