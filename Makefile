# Each target does its own set-up and is fast the second time.
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: sweep test promote ui lint image clean help

help:  ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

sweep: $(STAMP)  ## find the best network for the built-in photographs (minutes on two CPU cores)
	@$(PYTHON) experiments/sweep.py $(ARGS)

promote: $(STAMP)  ## register the pick of the newest sweep, if it passes the gate
	@$(PYTHON) experiments/promote.py $(ARGS)

ui: $(STAMP)  ## browse the runs at http://127.0.0.1:5000
	@test -f runs/mlflow.db || { echo "nothing is recorded yet: run make sweep first" >&2; exit 2; }
	@echo "MLflow at http://127.0.0.1:$${PORT:-5000} (Ctrl-C ends it)"
	@$(VENV)/bin/mlflow ui --backend-store-uri sqlite:///$(CURDIR)/runs/mlflow.db --host 127.0.0.1 --port $${PORT:-5000}

test: $(STAMP)  ## the default tests (no network, no GPU)
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check -q . && $(VENV)/bin/mypy
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(PYTHON) -m pytest $(ARGS)

lint: $(STAMP)  ## ruff and mypy
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

$(STAMP): pyproject.toml constraints.txt
	@sh -c 'python=$$(sh tools/find_python) && { test -x $(PYTHON) || "$$python" -m venv $(VENV); }'
	@echo "installing (a few minutes the first time)"
	@$(PYTHON) -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev,lsun,metrics]"
	@touch $@

image:  ## dependencies of a cluster's nodes as a Docker image (IMAGE names it)
	docker build -t $${IMAGE:-upsweep:latest} .

clean:  ## remove the environment (runs/ stays)
	rm -rf $(VENV)
