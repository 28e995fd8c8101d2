"""HTTP functions: the API of the portal, DICOMweb, and the doors to an identity."""
