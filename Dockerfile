# One image for every worker, the command line and the simulated authority: `docker compose up --build` makes and runs it.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin tidegate

WORKDIR /srv/tidegate
COPY requirements.txt ./
RUN pip install --require-hashes -r requirements.txt

COPY . .
RUN pip install --no-deps --no-build-isolation .

# A new volume that is mounted here takes its owner over; snapshots are believed only in a folder of our own.
RUN install --directory --owner=tidegate --mode=0700 /var/cache/tidegate

USER tidegate
ENTRYPOINT ["tidegate"]
CMD ["--help"]
