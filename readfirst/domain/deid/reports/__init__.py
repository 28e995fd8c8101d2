"""What is said about the de-identification: a report per study, and the reference of every rule."""
