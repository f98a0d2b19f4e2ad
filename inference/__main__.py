"""Sonde's model worker as a program.

python -m inference serve --model DIR [--host 127.0.0.1] [--port 8000 | --uds PATH] [--device cpu] [--dtype bfloat16]
    [--processes N]
python -m inference import-smollm2 --out DIR [--dtype bfloat16]
python -m inference train-indexer --out FILE [--work DIR] [--steps N] [--seed 0]
python -m inference indexer-report --model DIR [--indexer FILE] [--work DIR] [--speed]
python -m inference convert --model DIR --out DIR --to bfloat16|float32|fp8|int8
python -m inference plan --config CONFIG_JSON --gpus N [--gpu-gib 139]
python -m inference bench --model DIR [--cases prefill,decode] [--rounds 5] [--sweep-peer]
python -m inference bench-gpu [--cases 'sparse*'] [--sweep] [--model DIR] [--json FILE]
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

# Threads of OpenMP spin at a barrier before they sleep. With other processes on the same cores that starves
# everybody, the worker first: 121 tokens/s fall to 4. Must be set before torch loads its runtime.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
DEFAULT_THREADS = os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count() or 1)


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        if options.command == "serve":
            return _serve(options)
        if options.command == "plan":
            return _plan(options)
        if options.command == "bench":
            return _bench(options)
        if options.command == "bench-gpu":
            return _bench_gpu(options)
        if options.command == "convert":
            return _convert(options)
        if options.command == "train-indexer":
            return _train_indexer(options)
        if options.command == "indexer-report":
            return _indexer_report(options)
        return _import_smollm2(options)
    except (ValueError, OSError) as error:
        print(f"inference: {error}", file=sys.stderr)
        return 1


def _serve(options: argparse.Namespace) -> int:
    from inference.serve import ServeSettings, serve  # torch: only where it is needed, and after GOMP_SPINCOUNT

    return serve(
        ServeSettings(
            model=options.model,
            host=options.host,
            port=options.port,
            uds=options.uds,
            device=options.device,
            dtype=options.dtype,
            api_key=_read_api_key(options.api_key_file),
            name=options.name,
            max_num_seqs=options.max_num_seqs,
            max_num_batched_tokens=options.max_num_batched_tokens,
            num_blocks=options.num_blocks,
            cache_gib=options.cache_gib,
            threads=options.threads or max(1, int(DEFAULT_THREADS) // options.processes),
            processes=options.processes,
            arithmetic=options.arithmetic,
            weights=options.weights,
            fp8_cache=options.fp8_cache,
            speculate=not options.no_speculation,
            max_wait_s=options.max_wait_s,
            grace_s=options.grace_s,
        )
    )


def _import_smollm2(options: argparse.Namespace) -> int:
    from inference.smollm2 import import_smollm2

    import_smollm2(options.out, options.dtype)
    return 0


def _train_indexer(options: argparse.Namespace) -> int:
    from inference.train_indexer import train

    train(options.out, options.work, options.steps, options.seed)
    return 0


def _indexer_report(options: argparse.Namespace) -> int:
    from inference.indexer_report import ReportSettings, run

    return run(ReportSettings(options.model, options.work, options.indexer, options.pieces, options.speed))


def _bench_gpu(options: argparse.Namespace) -> int:
    from inference.bench.gpu.run import GpuBenchSettings, run

    return run(
        GpuBenchSettings(
            options.cases, options.sweep, options.json, options.budget, options.limit, options.layer, options.model
        )
    )


def _bench(options: argparse.Namespace) -> int:
    from inference.bench.run import BenchSettings, run
    from inference.serve import ServeSettings

    serve = ServeSettings(
        options.model,
        device=options.device,
        dtype=options.dtype,
        weights=options.weights,
        threads=options.threads,
    )
    return run(BenchSettings(serve, options.cases, options.rounds, options.sweep_peer, not options.no_amx))


def _convert(options: argparse.Namespace) -> int:
    from inference.convert import convert

    convert(options.model, options.out, options.to)
    return 0


def _plan(options: argparse.Namespace) -> int:
    from inference.plan import run

    return run(options.config, options.gpus, options.gpu_gib)


def _read_api_key(path: Path | None) -> str | None:
    if path is None:
        return None
    key = path.read_text(encoding="utf-8").strip()
    if not key:
        raise ValueError(f"--api-key-file {path} is empty")
    return key


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inference", description="Sonde's model worker")
    commands = parser.add_subparsers(dest="command", required=True)

    serve = commands.add_parser("serve", help="serve a checkpoint directory over HTTP")
    serve.add_argument("--model", type=_directory, required=True, help="checkpoint directory")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--uds", help="listen on this socket file instead of a port")
    serve.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    serve.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    serve.add_argument("--api-key-file", type=Path, help="file with the key that requests must carry")
    serve.add_argument("--name", help="name of the model for clients; default: the directory's")
    serve.add_argument("--max-num-seqs", type=_positive, default=8, help="sequences computed together")
    serve.add_argument("--max-num-batched-tokens", type=_positive, default=512, help="tokens computed in one step")
    cache = serve.add_mutually_exclusive_group()
    cache.add_argument("--num-blocks", type=_positive, help="cache blocks of 64 tokens; default: 4 times 8192 tokens")
    cache.add_argument("--cache-gib", type=float, help="cache size instead")
    serve.add_argument("--threads", type=_positive, help="CPU threads of each process; default: all, divided")
    serve.add_argument("--processes", type=_positive, default=1, help="that compute the model together, on this host")
    serve.add_argument(
        "--arithmetic", choices=["exact", "reference"], default="exact", help="reference: round as the FP8 release does"
    )
    serve.add_argument(
        "--weights",
        choices=["auto", "native", "int8", "full"],
        default="auto",
        help="native, int8: also a copy in int8, for steps of few tokens, computed in C++ or in PyTorch; full: without;"
        " auto: the fastest that this machine can do",
    )
    serve.add_argument("--fp8-cache", action="store_true", help="caches in FP8, as published; one latent a token only")
    serve.add_argument("--no-speculation", action="store_true", help="leave the checkpoint's draft layer out")
    serve.add_argument("--max-wait-s", type=float, default=600.0, help="seconds a request may wait for its place")
    serve.add_argument("--grace-s", type=float, default=10.0, help="seconds to finish requests after SIGTERM")

    importer = commands.add_parser("import-smollm2", help="recast SmolLM2-135M-Instruct into the model family")
    importer.add_argument("--out", type=Path, required=True)
    importer.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")

    work = Path("var/indexer")
    trainer = commands.add_parser("train-indexer", help="train the default model's indexer on texts from PyPI")
    trainer.add_argument("--out", type=Path, required=True, help="file to write")
    trainer.add_argument("--work", type=Path, default=work, help="where texts and the state of training are kept")
    trainer.add_argument("--steps", type=_positive, default=420)
    trainer.add_argument("--seed", type=int, default=0)

    report = commands.add_parser("indexer-report", help="what the default model's indexer keeps, and what it costs")
    report.add_argument("--model", type=_directory, required=True, help="the imported default model")
    report.add_argument("--work", type=Path, default=work, help="where texts are kept")
    report.add_argument("--indexer", type=Path, help="a file of train-indexer, instead of the model's own indexer")
    report.add_argument("--pieces", type=_positive, default=2, help="texts of each kind")
    report.add_argument("--speed", action="store_true", help="decode speed too, on a quiet machine")

    gpu = commands.add_parser("bench-gpu", help="check and time the kernels on this machine's card")
    gpu.add_argument(
        "--cases", type=lambda text: text.split(","), default=[], help="patterns with commas; default: all"
    )
    gpu.add_argument("--sweep", action="store_true", help="time every way to launch a kernel, not only the served one")
    gpu.add_argument("--model", type=_directory, help="checkpoint directory, to be run end to end as well")
    gpu.add_argument("--layer", action="store_true", help="beside chosen cases measure a whole layer too")
    gpu.add_argument("--json", type=Path, help="write everything here as well")
    gpu.add_argument("--budget", type=float, default=0.1, help="seconds of timing each launch (0.1)")
    gpu.add_argument("--limit", type=float, default=500.0, help="seconds of checking and compiling, together (500)")
    bench = commands.add_parser("bench", help="measure the engine on this machine, beside llama.cpp")
    bench.add_argument("--model", type=_directory, required=True, help="checkpoint directory")
    bench.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    bench.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    bench.add_argument("--weights", choices=["auto", "native", "int8", "full"], default="auto", help="as of serve")
    bench.add_argument("--threads", type=_positive, default=DEFAULT_THREADS, help="CPU threads of the model")
    bench.add_argument("--cases", type=lambda text: text.split(","), default=[], help="names with commas; default: all")
    bench.add_argument("--rounds", type=_positive, default=5)
    bench.add_argument("--sweep-peer", action="store_true", help="first find the settings that suit llama.cpp best")
    bench.add_argument("--no-amx", action="store_true", help="keep both sides from AMX, which most machines have not")

    converter = commands.add_parser("convert", help="write a checkpoint in another number format")
    converter.add_argument("--model", type=_directory, required=True, help="checkpoint directory")
    converter.add_argument("--out", type=Path, required=True, help="directory to make")
    converter.add_argument("--to", choices=["bfloat16", "float32", "fp8", "int8"], required=True)

    plan = commands.add_parser("plan", help="what a configuration needs: parameters, memory, how much context fits")
    plan.add_argument("--config", type=Path, required=True, help="config.json, or the directory that holds it")
    plan.add_argument("--gpus", type=_positive, default=1)
    plan.add_argument("--gpu-gib", type=float, default=139.0, help="memory of each; default: an H200's")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} must be at least 1")
    return value


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is no directory")
    return path


if __name__ == "__main__":
    sys.exit(main())
