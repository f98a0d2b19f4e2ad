# Three images from the locks that `make run` installs: `site` (light), `workers` (parsers and readers of pages beside
# it) and `inference` (torch, no Django).
FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# Not root: PostgreSQL refuses to be, and nothing else needs to be.
RUN useradd --create-home --uid 1000 sonde && install -d -o sonde -g sonde /srv/sonde /data /models \
    && pip install --upgrade pip
WORKDIR /srv/sonde
VOLUME ["/data", "/models"]

FROM node:20-bookworm-slim AS vendor
WORKDIR /srv/sonde
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY ops/vendor.mjs ops/vendor.mjs
RUN npm run vendor

FROM base AS site
COPY requirements/web.lock requirements/web.lock
RUN pip install --no-deps --require-hashes -r requirements/web.lock
COPY manage.py ./
COPY ops ops
COPY search search
COPY uploads uploads
COPY templates templates
COPY static static
COPY chatapp chatapp
COPY --from=vendor /srv/sonde/static/vendor static/vendor
# The catalogues need settings to be readable, not used.
RUN SONDE_SECRET_KEY=build DATABASE_URL=postgresql://build REDIS_URL=redis://build python manage.py compile_languages
USER sonde

FROM site AS workers
USER root
RUN apt-get update && apt-get install -y --no-install-recommends tesseract-ocr tesseract-ocr-deu tesseract-ocr-chi-sim \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/workers.lock requirements/workers.lock
RUN pip install --no-deps --require-hashes -r requirements/workers.lock
USER sonde

FROM base AS inference
# The worker compiles its decoder for the processor it runs on, at its first start.
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
# SONDE_TORCH_INDEX: the CPU index makes the image 3 GB smaller where there is no GPU.
ARG SONDE_TORCH_INDEX=""
RUN pip install torch==2.13.0 ${SONDE_TORCH_INDEX:+--index-url "$SONDE_TORCH_INDEX"}
COPY requirements/inference.lock requirements/inference.lock
RUN pip install --no-deps --require-hashes -r requirements/inference.lock
COPY ops ops
COPY inference inference
USER sonde
