"""What a month costs at AWS: assumptions, prices with their date, and the estimate from both."""
