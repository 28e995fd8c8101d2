"""From clean DICOM files to pixels, volumes and radiographs."""
