"""DICOMweb (PS3.18): the DICOM JSON model, multipart answers, content negotiation and rendering."""
