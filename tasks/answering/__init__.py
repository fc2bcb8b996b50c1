"""The model at work: what it says of items that are in no pool."""
