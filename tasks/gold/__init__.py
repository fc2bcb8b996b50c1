"""Trusted labels: asking for them, deciding on them, weighing them."""
