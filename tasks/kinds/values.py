"""The types of the values that an item and its label are for other programs. What a value of each is in Python: text
str, whole int, number float or int, yes_no bool, numbers a list of these, names a list of str; marks a list of dicts
with `start`, `end`, `label` and `text`; picture a dict of `bytes` and `path`, the name that its file would have. None
is a missing one. `label` and `labels` are a text and a list of texts that are names of classes."""

TEXT, WHOLE, NUMBER, YES_NO = "text", "whole", "number", "yes_no"
NUMBERS, PICTURE = "numbers", "picture"
LABEL, LABELS, MARKS = "label", "labels", "marks"
