"""What was: replay, audit, lineage."""
