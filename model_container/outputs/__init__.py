"""What an analysis leaves: DICOM objects and key images."""
