"""What becomes of batches that were never sent when the spool is full: their samples go, what billing needs stays."""
