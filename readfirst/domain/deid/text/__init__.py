"""Identifiers in free text: what is known of a study's people, and how it is taken out."""
