"""Parts of scripts/bench-nvdec.py."""
