"""The vocabulary: samples, batches, usage, resources, price book, money, periods, invoices, outcomes and findings, as frozen values."""
