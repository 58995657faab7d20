"""Invoices into PDF and text."""
