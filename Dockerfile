# The dependencies of a cluster's nodes, installed once: `make image`, push the image to a registry that the nodes
# read, and name it under `docker:` in cluster.yaml. The code is not in it: that arrives with each sweep.
FROM ubuntu:24.04
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends \
    ca-certificates curl openssh-client procps python3-venv rsync && rm -rf /var/lib/apt/lists/*
SHELL ["/bin/bash", "-ec"]
COPY pyproject.toml constraints.txt /root/upsweep/
RUN python3 -m venv ~/venv
# the installation of cluster.yaml, which then finds itself done
RUN cd ~/upsweep && cat pyproject.toml constraints.txt | sha256sum > wanted && { cmp -s wanted installed \
    || { ~/venv/bin/python -c "import tomllib; print(chr(10).join(tomllib.load(open('pyproject.toml', \
    'rb'))['project']['dependencies']))" > requirements.txt && ~/venv/bin/pip install -q \
    --disable-pip-version-check -c constraints.txt -r requirements.txt && mv wanted installed; }; }
