"""What happens to each attribute: the profile, the plan made from it, private attributes and dates."""
