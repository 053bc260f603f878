"""Tests of the simulator, with a client of another library so that both sides can't err alike."""
