"""The price of a run (bytes, memory, speed), compared with its drift."""
