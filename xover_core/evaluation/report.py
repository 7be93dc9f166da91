# SPDX-License-Identifier: Apache-2.0
"""One HTML file that shows an evaluation: self-contained, with nothing to load from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import jinja2

from xover_core.config_io import dump_settings
from xover_core.evaluation import figures
from xover_core.evaluation.evaluation import Evaluation, summary_rows
from xover_core.evaluation.match_pictures import KINDS, MatchExample, encode_jpeg
from xover_core.evaluation.records import QueryRecord
from xover_core.landmark_map.landmark_map import LandmarkMap

_HEADINGS = {
    "right": "Answered, within 1 m and 30 deg",
    "wrong": "Answered, but wrong",
    "unanswered": "Not answered",
}


def write_report(
    evaluation: Evaluation, landmark_map: LandmarkMap, examples: Sequence[MatchExample], path: Path
) -> None:
    """Write the report; folders on the way are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_report(evaluation, landmark_map, examples), encoding="utf-8")


def render_report(evaluation: Evaluation, landmark_map: LandmarkMap, examples: Sequence[MatchExample]) -> str:
    """The report as HTML text."""
    template_text = (resources.files("xover_core.evaluation") / "templates" / "report.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["describe"] = describe_record
    environment.filters["jpeg_uri"] = lambda picture: _data_uri(encode_jpeg(picture), "image/jpeg")
    records = evaluation.records
    return environment.from_string(template_text).render(
        evaluation=evaluation,
        rows=summary_rows(evaluation),
        top_view=_data_uri(figures.draw_top_view(landmark_map, records), "image/png"),
        errors=_data_uri(figures.draw_errors(records), "image/png"),
        success=_data_uri(figures.draw_success_curve(records), "image/png"),
        reliability=_data_uri(figures.draw_reliability(records), "image/png"),
        latencies=_data_uri(figures.draw_latencies(records), "image/png"),
        example_groups=[(_HEADINGS[k], [e for e in examples if e.kind == k]) for k in KINDS],
        settings=dump_settings(evaluation.settings),
    )


def describe_record(record: QueryRecord) -> str:
    """One line below a picture: name, state, probability, error, inliers."""
    error = record.error if record.is_answered else record.error_best
    parts = [record.name, record.state.name, f"probability {record.probability:.2f}"]
    if error is not None:
        whose = "" if record.is_answered else "best hypothesis "
        parts.append(f"{whose}{100 * error.distance:.0f} cm, {error.angle_deg:.1f} deg off")
    parts.append(f"{record.num_inliers} inliers")
    return " · ".join(parts)


def _data_uri(data: bytes, mime_type: str) -> str:
    """Bytes as a `data:` address."""
    return f"data:{mime_type};base64,{base64.b64encode(data).decode('ascii')}"
