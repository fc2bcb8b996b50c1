"""Spends people's labelling time where it teaches a model most, and proves what it saved."""
