"""Where the loop runs: the Procfile, the compose file, the interface templates."""
