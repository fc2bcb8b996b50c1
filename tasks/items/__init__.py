"""What there is to label: how items are told apart, what of a source is new, how pool, gold and quarantine are kept."""
