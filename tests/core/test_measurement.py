# SPDX-License-Identifier: Apache-2.0
"""The frame of the benchmarks: measurements, turns, tables, files, sections that fail."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

import pytest
import run_all
from environment import find_environment
from measurement import Measurement, NotMeasured, significant
from own_process import memory_mb, peak_memory_mb, run_apart
from run_results import BenchRun, SectionResult, read_run, write_run
from section import Effort, add_effort, collect
from tables import cells, markdown_table, plain_table
from timing import Times, latency, time_in_turns

# a process that has loaded numpy holds tens of MB; this one holds no GB
LEAST_MB, MOST_MB = 5.0, 4000.0
SECTION = """
import sys
from measurement import Measurement
from section import run_section

def measure(args):
    yield Measurement(area="a", name=args.effort.value, value=2.0, unit="ms", baseline="b", baseline_value=1.0)
    {then}

if __name__ == "__main__":
    sys.exit(run_section(__doc__, measure))
"""


def make(name: str = "fast", value: float = 3.0, baseline_value: float = 2.0, **others) -> Measurement:
    defaults = {"area": "matching", "unit": "ms", "baseline": "simple", **others}
    return Measurement(name=name, value=value, baseline_value=baseline_value, **defaults)


def make_run(*sections: SectionResult) -> BenchRun:
    return BenchRun(environment=find_environment(), effort="normal", sections=sections)


class FakeClock:
    """Time that passes only when somebody works."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.seconds

    def work(self, name: str, seconds: float) -> None:
        self.calls.append(name)
        self.seconds += seconds


def test_ratio_is_of_value_to_baseline():
    assert make().ratio == 1.5
    assert make(baseline_value=0.0).ratio is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="matching, fast: expected finite values"):
        make(value=value)
    with pytest.raises(ValueError, match="finite"):
        make(baseline_value=value)


def test_calls_take_turns_and_warm_up_does_not_count():
    clock = FakeClock()
    durations = iter([9.0, 9.0, 0.001, 0.003, 0.002])
    calls = {"own": lambda: clock.work("own", next(durations)), "other": lambda: clock.work("other", 0.004)}
    times = time_in_turns(calls, rounds=3, warm_up=2, clocks=(clock, lambda: clock() / 2))
    assert [set(clock.calls[i : i + 2]) for i in range(0, 10, 2)] == [{"own", "other"}] * 5
    assert times["own"].wall_ms == pytest.approx((1.0, 3.0, 2.0))
    assert times["own"].p50 == pytest.approx(2.0)
    assert times["own"].p95 == pytest.approx(2.9)
    assert times["own"].processor_p50 == pytest.approx(1.0)
    assert times["other"].wall_ms == pytest.approx((4.0,) * 3)


def test_order_changes_from_round_to_round_and_is_the_same_in_each_run():
    def order() -> list[str]:
        clock = FakeClock()
        calls = {name: lambda name=name: clock.work(name, 1.0) for name in ("a", "b")}
        time_in_turns(calls, rounds=12, warm_up=0, clocks=(clock, clock))
        return clock.calls

    first = order()
    assert first == order()
    assert {first[i] for i in range(0, len(first), 2)} == {"a", "b"}


def test_latency_compares_the_same_percentile():
    own, other = Times((1.0, 2.0, 9.0), (1.0, 1.0, 1.0)), Times((4.0, 4.0, 4.0), (2.0, 2.0, 2.0))
    median = latency("step", "whole", own, "simple", other, note="small")
    assert (median.value, median.baseline_value, median.unit, median.ratio) == (2.0, 4.0, "ms", 0.5)
    assert median.note == "small; processor 1.00 ms against 2.00 ms"
    assert latency("step", "whole", own, "simple", other, percent=100).value == 9.0


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.000"), (0.00012, "1.20e-04"), (0.1234, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (12345.6, "12,346")],
)
def test_numbers_have_three_digits_that_count(value, text):
    assert significant(value) == text


def test_tables_have_a_row_for_each_measurement_and_a_remark_for_each_gap():
    gap = NotMeasured(area="gpu", name="everything", reason="no CUDA device is here")
    sections = (
        SectionResult(name="one", seconds=1.0, measurements=(make(), make("slow", 8.0)), gaps=(gap,)),
        SectionResult(name="two", seconds=1.0, error="it ended with exit code 3"),
    )
    markdown, plain = markdown_table(make_run(*sections)), plain_table(make_run(*sections))
    assert "| fast | 3.00 | ms | simple | 2.00 | 1.50 |  |" in markdown
    assert markdown.count("**matching**") == 1
    assert markdown.count("| --- | ---: | --- | --- | ---: | ---: | --- |") == 1
    for table in (markdown, plain):
        assert "not measured: gpu, everything: no CUDA device is here" in table
        assert "FAILED: two: it ended with exit code 3" in table
    assert [line.split()[0] for line in plain.splitlines() if line.startswith("  ")] == ["what", "fast", "slow"]
    assert cells(make(baseline_value=0.0))[5] == "-"


def test_variants_are_columns():
    rows = [
        make("slow", 4.0, variant="ours fp32"),
        make("slow", 1.0, variant="ours int8"),
        make("fast", 2.0, variant="ours fp32"),
    ]
    run = make_run(SectionResult(name="one", seconds=1.0, measurements=tuple(rows)))
    assert markdown_table(run).splitlines()[-4:] == [
        "| what | simple, ms | ours fp32 | ours int8 |",
        "| --- | ---: | ---: | ---: |",
        "| slow | 2.00 | 4.00 (2.00) | 1.00 (0.500) |",
        "| fast | 2.00 | 2.00 (1.00) |  |",
    ]
    assert plain_table(run).splitlines()[-1].split() == ["fast", "2.00", "2.00", "(1.00)"]


def test_a_run_is_the_same_after_writing_and_reading(tmp_path):
    gap = NotMeasured(area="gpu", name="all", reason="none here")
    run = make_run(
        SectionResult(name="one", seconds=1.5, measurements=(make(note="n"), make("z", baseline_value=0.0))),
        SectionResult(name="two", seconds=0.0, gaps=(gap,), error="KeyError: 'x'"),
    )
    file = tmp_path / "new" / "run.json"
    write_run(run, file)
    assert read_run(file) == run
    rows = json.loads(file.read_text())["sections"][0]["measurements"]
    assert [row["ratio"] for row in rows] == [1.5, None]


def test_environment_says_what_the_numbers_depend_on(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = find_environment()
    assert found.processor
    assert found.cores == len(os.sched_getaffinity(0))
    assert found.threads["OMP_NUM_THREADS"] == "1"
    assert found.provenance.libraries["numpy"]


def test_rows_before_an_exception_are_kept(capsys):
    def measure(_):
        yield make()
        yield NotMeasured(area="x", name="y", reason="z")
        raise RuntimeError("out of luck")

    result = collect("broken", measure, argparse.Namespace())
    assert result.measurements == (make(),)
    assert [gap.reason for gap in result.gaps] == ["z"]
    assert result.error == "RuntimeError: out of luck"
    assert "Traceback" in capsys.readouterr().err


def test_effort_is_normal_unless_said():
    parser = argparse.ArgumentParser()
    add_effort(parser)
    efforts = [parser.parse_args(words).effort for words in ([], ["--quick"], ["--full"])]
    assert efforts == [Effort.NORMAL, Effort.QUICK, Effort.FULL]
    assert [effort.pick(1, 2, 3) for effort in efforts] == [2, 1, 3]
    with pytest.raises(SystemExit):
        parser.parse_args(["--quick", "--full"])


@pytest.fixture
def section_script(tmp_path, monkeypatch):
    """Writes a section whose second step is a given line."""
    monkeypatch.setenv("PYTHONPATH", str(Path(run_all.__file__).parent), prepend=os.pathsep)

    def write(then: str) -> Path:
        script = tmp_path / "bench_made_up.py"
        script.write_text(SECTION.format(then=then))
        return script

    return write


def test_a_section_runs_in_its_own_process(section_script, tmp_path):
    result = run_all.run_script(section_script("return"), Effort.QUICK, tmp_path)
    assert (result.name, result.error) == ("made_up", "")
    assert [row.name for row in result.measurements] == ["quick"]
    assert "numbers in" in run_all.describe(result)


def test_a_section_that_raises_keeps_its_rows(section_script, tmp_path):
    result = run_all.run_script(section_script("raise KeyError('gone')"), Effort.NORMAL, tmp_path)
    assert result.error == "KeyError: 'gone'"
    assert [row.ratio for row in result.measurements] == [2.0]
    assert "KeyError" in (tmp_path / "made_up.log").read_text()


def test_a_section_that_crashes_is_reported(section_script, tmp_path):
    # what an earlier run wrote is not taken for the result of this one
    (tmp_path / "made_up.json").write_text("{}")
    result = run_all.run_script(section_script("import os; os._exit(7)"), Effort.NORMAL, tmp_path)
    assert result.measurements == ()
    assert result.error.startswith("it ended with exit code 7, see ")
    assert run_all.describe(result).startswith("FAILED after")


def test_a_section_that_hangs_is_interrupted_and_keeps_its_rows(section_script, tmp_path):
    started = tmp_path / "started"
    script = section_script(f"open({str(started)!r}, 'w'); import time; time.sleep(60)")
    limit_s = 0.5
    while not started.exists():  # on a busy machine Python itself may take longer to start
        limit_s *= 2
        begin = time.monotonic()
        result = run_all.run_script(script, Effort.NORMAL, tmp_path, limit_s=limit_s)
    assert time.monotonic() - begin < 60
    assert result.error == "KeyboardInterrupt"
    assert len(result.measurements) == 1


def test_a_section_without_numbers_says_why():
    gap = NotMeasured(area="gpu", name="all", reason="no CUDA device is here")
    assert run_all.describe(SectionResult(name="gpu", seconds=0.1, gaps=(gap,))) == "skipped: no CUDA device is here"


def environment_and(name: str, value: float) -> list[object]:
    sys.stdout.write("noise")
    return [os.environ[name], value]


def test_a_process_of_its_own_has_its_own_threads_and_tells_of_its_failure():
    assert run_apart(environment_and, name="OMP_NUM_THREADS", value=0.1, threads=3) == ["3", 0.1]
    with pytest.raises(ChildProcessError, match=r"environment_and.*KeyError: 'NO_SUCH_NAME'"):
        run_apart(environment_and, name="NO_SUCH_NAME", value=1.0)


def test_memory_is_that_of_a_process_with_numpy():
    assert LEAST_MB < memory_mb() <= peak_memory_mb() < MOST_MB
