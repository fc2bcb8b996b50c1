"""The compact sets against Python's own."""

from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.tasks.items.identity import Ids, Owners

NAMES = st.text("abc", max_size=2)


@settings(max_examples=100, deadline=None)
@given(batches=st.lists(st.lists(NAMES, max_size=9), max_size=5))
def test_ids_are_a_set(batches: list[list[str]]) -> None:
    ids, model = Ids(), set[str]()
    for batch in batches:
        new = [each not in model and each not in batch[:at] for at, each in enumerate(batch)]
        assert ids.add(batch).tolist() == new
        model |= set(batch)
        assert ids.has(["", "a", "bb", "z"]).tolist() == [each in model for each in ("", "a", "bb", "z")]
        assert len(ids) == len(model)


@settings(max_examples=100, deadline=None)
@given(batches=st.lists(st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), NAMES)), max_size=5))
def test_owners_are_a_dictionary(batches: list[list[tuple[str | None, str]]]) -> None:
    """Up to the first clash, where a pull ends."""
    owners, model = Owners(), dict[str, str]()
    for batch in batches:
        clash = next((name for name, each in batch if name and model.setdefault(name, each) != each), None)
        assert owners.add([name for name, _ in batch], [each for _, each in batch]) == clash
        if clash:
            return
