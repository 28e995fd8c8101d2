"""Reading and writing DICOM for the de-identification: elements, charsets, pixel streams, standard tables."""
