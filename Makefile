# Everything a contributor runs. `make` alone lists the targets; a line's text after ## is its help.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup first lab book pdf test rehearse gpu check-site format lock chapters readme costs address clean

PYTHON ?= python3
TIMES ?= 16
BIN := .venv/bin

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready  ## Make the environment (.venv) from the lock; runs again only when it changed

.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) tools/environment.py
	@touch $@

first: setup  ## Train a first figure of your own, in a minute on one core
	@$(BIN)/python tools/first.py

lab: setup  ## Open the chapters in JupyterLab; what is run there stays out of git
	@JUPYTER_PREFER_ENV_PATH=1 $(BIN)/jupyter lab notebooks

book: setup  ## Execute the notebooks that changed, build the site into _build/html
	@$(BIN)/python tools/book.py

pdf: book  ## Print the whole book into one PDF, and link it from the welcome page (needs Chromium or Chrome)
	@$(BIN)/python tools/pdf.py

test: setup  ## Lint, format, types, unit tests, every notebook that changed, and all claims against their rehearsals
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest
	@$(BIN)/python tools/notebooks.py
	@$(BIN)/python tools/claims.py

rehearse: setup  ## Run chapters again with other seeds and kernels: make rehearse CHAPTER=dqn TIMES=16 MINUTES=60
	@$(BIN)/python tools/rehearse.py --times $(TIMES) $(if $(MINUTES),--minutes $(MINUTES)) $(CHAPTER)

gpu:  ## Do all that waits for a GPU, in slices, and report: make gpu MINUTES=9 (needs torch, NumPy and SciPy, no setup)
	@$(PYTHON) tools/gpu.py $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SMALL),--small)

check-site: setup  ## Open every built page in a headless browser and check it
	$(BIN)/python -m pytest -m site tests/site

format: setup  ## Format the code and sort the imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup  ## Write requirements.txt anew from pyproject.toml's floors
	$(BIN)/python tools/lock.py

chapters: setup  ## Write _toc.yml's chapters and README.md's table anew from book/chapters.toml
	@$(BIN)/python tools/chapters.py

readme: setup  ## Draw README.md's picture anew, and write what it says of downloads
	@$(BIN)/python tools/readme.py

costs: setup  ## Measure every chapter on this machine and keep the figures (leave the machine alone meanwhile)
	@$(BIN)/python tools/notebooks.py --again
	@$(BIN)/python tools/costs.py

address: setup  ## Change the repository's address everywhere: make address URL=https://github.com/you/slow-copy
	@$(BIN)/python tools/address.py "$(URL)"

clean:  ## Remove what was built; the environment stays
	rm -rf _build
