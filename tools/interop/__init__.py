"""What programs of others make of our clean images and results: `make interop` runs them and writes the table."""
