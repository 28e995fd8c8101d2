"""The studies account and its index: receipts, analyses, records, images and reviews."""
