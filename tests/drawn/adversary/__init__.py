"""An adversary that draws files of every kind, hides a person in them in every place and form, and looks at what is
left after de-identification: leaks, broken references, changed numbers, invalid objects."""
