"""Which models a study gets, and what comes of their answers together."""
