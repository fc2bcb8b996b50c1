"""git and DVC."""
