"""The examination of received bytes: `run` in a worker, the decoders in a process apart.

A hostile file can exhaust or crash a decoder. The process has no secrets and no connections, and
limits of memory and time. Its end harms no worker. `python -m files.examination` is that process.
"""
