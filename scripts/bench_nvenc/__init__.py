"""Parts of scripts/bench-nvenc.py."""
