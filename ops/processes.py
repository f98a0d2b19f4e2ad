"""The one table of our processes: the supervisor and docker-compose.yml are both made from it. Data only.

A command's {names} are filled in by whoever starts it; see `Process.argv`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# OpenMP would otherwise start a thread a core in each worker and spin: tesseract 7 s a page instead of 1.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1"}
# Keeps 93% of the decode speed on an idle machine and doubles it when both cores are busy with something else.
SPIN_LESS = {"GOMP_SPINCOUNT": "20000"}


@dataclass(frozen=True, slots=True)
class Process:
    name: str
    command: str
    environment: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["service", "site", "model"] = "site"
    image: Literal["site", "workers", "inference"] = "site"  # of docker-compose.yml; here all share one .venv
    stop_signal: Literal["TERM", "INT"] = "TERM"
    stop_wait_s: int = 10
    replaced_by: str = ""  # the setting that makes the embedded one unnecessary

    def argv(self, **values: str) -> list[str]:
        return [word.format(**values) for word in self.command.split()]


# In the order of starting; stopped in the reverse order, services last.
PROCESSES = (
    Process(
        "postgres",
        "{python} -m ops.postgres --host {service_host} --port {postgres_port}",
        kind="service",
        stop_signal="INT",  # fast shutdown; TERM would wait for every client
        stop_wait_s=30,
        replaced_by="DATABASE_URL",
    ),
    Process(
        "valkey",
        "{python} -m ops.valkey --host {service_host} --port {valkey_port}",
        kind="service",
        replaced_by="REDIS_URL",
    ),
    Process(
        "inference",
        "{python} -m inference serve --model {model_dir} --host {service_host} --port {inference_port} "
        "--device {device} --dtype bfloat16 --api-key-file {inference_key_file}",
        SPIN_LESS,
        kind="model",
        image="inference",
        replaced_by="SONDE_INFERENCE_URL",
    ),
    # One model in memory for web, runner and workers. It reads no table; that it waits for them in compose is harmless.
    Process(
        "encoder",
        "{python} -m search.encoder --host {service_host} --port {encoder_port} --key-file {embeddings_key_file}",
        ONE_THREAD,
        replaced_by="SONDE_EMBEDDINGS_URL",
    ),
    # A frame is at most 1 Mi characters, so 4 MiB on the wire.
    Process(
        "web",
        "{python} -m uvicorn chatapp.asgi:application --host {host} --port {port} --no-access-log --lifespan off "
        "--ws-max-size 4194304 --timeout-graceful-shutdown 5",
    ),
    Process("runner", "{python} manage.py run_answers"),
    # Threads, not forks: these tasks wait for other people's servers, and a fork costs 70 MB.
    Process(
        "worker-io",
        "{python} -m celery --quiet -A chatapp.celery worker -Q search,default -n io@%h --pool threads -c 8 "
        "--without-gossip --without-mingle --loglevel INFO",
        ONE_THREAD,
        image="workers",
    ),
    # Each file is parsed in a child process of its own; two at a time.
    Process(
        "worker-parse",
        "{python} -m celery --quiet -A chatapp.celery worker -Q parse -n parse@%h --pool threads -c 2 "
        "--without-gossip --without-mingle --loglevel INFO",
        ONE_THREAD,
        image="workers",
    ),
    Process(
        "beat",
        "{python} -m celery --quiet -A chatapp.celery beat --schedule {data}/beat --pidfile= --loglevel INFO",
        ONE_THREAD,
    ),
)
