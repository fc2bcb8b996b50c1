"""A workspace is made, kept in order and cleared: init, forget, purge, gc."""
