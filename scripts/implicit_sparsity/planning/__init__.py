"""What a study will need before it runs: memory, time, cost and storage, from configurations alone.

Bytes are bytes and GB is 10^9 of them; FLOPs count a multiplication and an addition as two.
"""
