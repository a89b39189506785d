"""What made an artifact: its record, versions and checksums; archives and explanations made of them."""
