"""`make chaos`: a day of kills and weather with a fixed seed, and what has to hold when it is over."""
