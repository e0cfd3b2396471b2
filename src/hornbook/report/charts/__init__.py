"""Charts (Altair), each with its caption."""
