"""Sonde's encoder as a program: an OpenAI-compatible `/v1/embeddings` on loopback.

python -m search.encoder [--host 127.0.0.1] [--port 8302] [--key-file FILE]
"""

import argparse
import logging
import os
import sys
from pathlib import Path

# Vectors are made in the background: one core, and less of it than whoever answers a question.
NICE = 5
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def main(arguments: list[str] | None = None) -> int:
    import uvicorn

    from search.encoder.app import create_app
    from search.encoder.lanes import Lanes
    from search.encoder.model import load

    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    os.nice(NICE)
    try:
        key = options.key_file.read_text(encoding="utf-8").strip() if options.key_file else None
    except OSError as error:
        print(f"search.encoder: --key-file {options.key_file} cannot be read: {error.strerror}", file=sys.stderr)
        return 1
    uvicorn.run(
        create_app(Lanes(load), key), host=options.host, port=options.port, access_log=False, log_level="warning"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m search.encoder", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8302)
    parser.add_argument("--key-file", type=Path, help="asked for as Authorization: Bearer KEY")
    return parser


if __name__ == "__main__":
    sys.exit(main())
