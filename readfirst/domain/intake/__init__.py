"""Intake: what arrives, in archives or alone, which study it belongs to, and when a study is quiet."""
