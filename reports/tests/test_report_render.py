"""The renderer: what goes into the page, and how."""

from __future__ import annotations

import json

import render
from run_builder import build_run, cell_line, exec_line, to_jsonl

SCRIPTS = sorted((render.PAGE / "script").glob("*.js"))


def data_of(html: str) -> str:
    """Return the text of the data element, as a browser would cut it out."""
    opening = '<script type="application/json" id="run-data">'
    return html.split(opening)[1].split("</script>")[0]


def test_digests_are_of_the_files_as_they_are() -> None:
    """A page with stale digests would be blank: run `render.py --update-digests`."""
    template = (render.PAGE / "page.html").read_text()
    assert template == render.with_digests(template)


def test_inlined_files_cannot_end_their_elements() -> None:
    """No file holds what would end, or change the parsing of, the element it is put in."""
    for path in SCRIPTS:
        script = path.read_text().lower()
        assert "</script" not in script, path
        assert "<!--" not in script, path
    assert "</style" not in (render.PAGE / "page.css").read_text().lower()


def test_every_file_is_put_in_once() -> None:
    """A file of the page that its template does not name would be in no report."""
    template = (render.PAGE / "page.html").read_text()
    found = [token["file"] for token in render.TOKENS.finditer(template)]
    assert len(SCRIPTS) > 1
    scripts = [f"script/{path.name}" for path in SCRIPTS]
    assert sorted(found, key=str) == sorted([None, "page.css", *scripts], key=str)


def test_data_is_escaped_and_survives() -> None:
    """Nothing in the data can end its element; what is parsed back is what was said."""
    text = "</script><!-- <script> & \u2028\u2029 {{data}} /*{{script/text.js}}*/ /*{{page.css}}*/"
    html = render.render(to_jsonl([exec_line("c", 0, subject_stderr=text)]))
    data = data_of(html)
    assert not set("<>&\u2028\u2029") & set(data)
    assert json.loads(data)[0]["exec"]["subject_stderr"] == text


def test_bad_bytes_and_bad_lines_are_counted_not_fatal() -> None:
    """Invalid UTF-8 becomes U+FFFD; a cut last line is left out and counted."""
    run = b'{"exec":{"id":"a","reason":"\xff\xfe"}}\n\n[]\n{"exec":{"id":"b","rea'
    lines = json.loads(render.embed(run))
    assert lines[0]["exec"]["reason"] == "\ufffd\ufffd"
    assert lines[1:] == [{"embedding": {"unreadable_lines": 2, "left_out_execs": 0}}]


def test_only_the_first_runs_of_a_counted_cell_are_kept() -> None:
    """Three passed runs and five of each signature; all, where the cell has no line."""
    cell = "lang_cpp_transport_tcp::direction_harness_to_subject::s"
    execs = [exec_line(cell, n) for n in range(20)]
    execs += [exec_line(cell, 20 + n, "VERDICT_FAIL", f"rule.{n % 2}") for n in range(30)]
    line = cell_line("cpp", "harness_to_subject", "s", "g", execs, [])
    lines = json.loads(render.embed(to_jsonl([*execs, line])))
    kept = [line["exec"]["ordinal"] for line in lines if "exec" in line]
    assert kept == [0, 1, 2, *range(20, 30)]
    assert lines[-1]["embedding"]["left_out_execs"] == 37
    assert len(json.loads(render.embed(to_jsonl(execs)))) == 51


def test_output_is_the_same_every_time() -> None:
    """Rendering is a function of its input."""
    run = to_jsonl(build_run(scenarios=3))
    assert render.render(run) == render.render(run)
