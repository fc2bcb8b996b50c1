"""Figures, never assertions: what the loop costs, measured against a limit or a rival in the same run."""
