# Termins: worker, setup and command line in one image. It has not been run by its authors, who had no container engine.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

WORKDIR /app

# Exactly the locked versions; where pip finds them is for the builder to say (its own configuration).
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes --requirement requirements.txt

# What the worker and the command line need; tests and documents stay out.
COPY activities activities
COPY integrations integrations
COPY migrations migrations
COPY models models
COPY operations operations
COPY rules rules
COPY templates templates
COPY workflows workflows
COPY settings.py starter.py worker.py ./

RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin termins \
    && install --directory --owner termins --mode 0700 /var/lib/termins
USER termins
ENV TERMINS_VAR=/var/lib/termins
VOLUME /var/lib/termins

CMD ["python", "worker.py"]
