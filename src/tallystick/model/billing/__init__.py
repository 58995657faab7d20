"""The vocabulary of billing: money, price books, contracts, invoices."""
