"""What the system needs of AWS, said as documents, compared with what is there, and made so."""
