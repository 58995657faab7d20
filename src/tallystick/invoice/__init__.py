"""Lines and account facts into an invoice, or the reasons why not: periods, proration, totals, states."""
