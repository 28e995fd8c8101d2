"""How the default model came to be: procedural phantoms, and the training on them. Not part of the job's image."""
