# Each target installs what it needs; later runs skip the installation.
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: sweep test gpu promote ui docs lint image clean help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

sweep: $(STAMP)  ## find the best network for the built-in photographs (minutes on two CPU cores)
	@$(PYTHON) experiments/sweep.py $(ARGS)

promote: $(STAMP)  ## register the pick of the newest sweep, if it passes the gate
	@$(PYTHON) experiments/promote.py $(ARGS)

ui: $(if $(wildcard $(VENV)/bin/mlflow),,$(STAMP))  ## browse the runs in MLflow at http://127.0.0.1:5000
	@test -f runs/mlflow.db || { echo "runs/mlflow.db does not exist: run make sweep first" >&2; exit 2; }
	@exec $(PYTHON) tools/mlflow_ui.py runs/mlflow.db $${PORT:-5000}  # exec: a signal to make ends it, too

test: $(STAMP)  ## run linters, type checks and the default tests (no network, no GPU)
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check -q . && $(VENV)/bin/mypy
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

gpu: $(STAMP)  ## check and time this machine's GPU in ten minutes; writes runs/gpu/gpu.md
	@PYTHONPATH=. $(PYTHON) tests/bench/gpu.py $(ARGS)

docs: $(STAMP)  ## build the documentation as a site: build/site/index.html
	@$(PYTHON) -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[docs]"
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict -q && echo "build/site/index.html"

lint: $(STAMP)  ## run ruff and mypy
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

$(STAMP): pyproject.toml constraints.txt
	@sh -c 'python=$$(sh tools/find_python) && { test -x $(PYTHON) || "$$python" -m venv $(VENV); }'
	@echo "installing (a few minutes the first time); afterwards '. $(VENV)/bin/activate' puts the command upsweep on your path"
	@quiet=-q; test ! -t 1 || quiet=; $(PYTHON) -m pip install $$quiet --disable-pip-version-check -c constraints.txt -e ".[dev,lsun,metrics]"
	@touch $@

image:  ## build a Docker image with the dependencies of cluster nodes (IMAGE=name:tag)
	docker build -t $${IMAGE:-upsweep:latest} .

clean:  ## remove the virtual environment (runs/ is kept)
	rm -rf $(VENV)
