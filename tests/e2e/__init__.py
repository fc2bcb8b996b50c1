"""Tests that drive the real servers on loopback."""
