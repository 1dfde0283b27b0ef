"""Files written whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from ufm._files import remove_unfinished, replacing, sealed, unsealed, write_atomically, write_figure


def test_text_replaces_the_old(tmp_path):
    file = tmp_path / "report.json"
    for text in ("old", "new: ρ\n"):
        write_atomically(file, text)
        assert file.read_bytes() == text.encode()
    assert list(tmp_path.iterdir()) == [file]
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    file = tmp_path / "report.json"
    write_atomically(file, "old")

    def fail() -> None:
        with replacing(file) as stream:
            stream.write(b"new")
            raise error

    with pytest.raises(error):
        fail()
    with pytest.raises(UnicodeEncodeError):
        write_atomically(file, "new \ud800")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_is_written_through(tmp_path):
    file, link = tmp_path / "kept" / "data", tmp_path / "link"
    file.parent.mkdir()
    link.symlink_to(file)
    for text in ("old", "new"):
        write_atomically(link, text)
        assert link.is_symlink()
        assert file.read_text() == text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_what_is_no_file_is_written_to_and_stays(tmp_path):
    """As /dev/null, in whose place root would leave a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, "new")
        assert os.read(reader, 10) == b"new"
        with pytest.raises(ZeroDivisionError), replacing(pipe) as stream:
            stream.write(bytes([1 // len(stream.getvalue())]))
        assert os.read(reader, 10) == b""
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_readers_see_the_old_file_until_the_end(tmp_path):
    file = tmp_path / "data"
    write_atomically(file, "old")
    with replacing(file) as stream:
        stream.write(b"new")
        stream.flush()
        assert file.read_text() == "old"
    assert file.read_text() == "new"


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    script = (
        "import os, signal, sys\nfrom ufm._files import replacing\n"
        "with replacing(sys.argv[1]) as stream:\n    stream.write(b'half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for name in ("data", ".hidden", "user.part"):
        write_atomically(tmp_path / name, "old")
    run = subprocess.run([sys.executable, "-c", script, os.fspath(tmp_path / "data")], timeout=60)
    assert run.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 4
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "data", "user.part"]
    assert all(path.read_text() == "old" for path in tmp_path.iterdir())


def test_figures(tmp_path):
    from matplotlib.figure import Figure

    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("a", b"\x89PNG")):
        write_figure(Figure(), tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    before = set(tmp_path.iterdir())
    with pytest.raises(ValueError, match="xyz"):
        write_figure(Figure(), tmp_path / "a.xyz")
    assert set(tmp_path.iterdir()) == before


def test_a_seal_shows_every_change_and_is_not_asked_of_old_files():
    document = {"name": "ü", "numbers": [1, 0.1, -0.0, None, True], "nested": {"b": {}, "a": [1e-320]}}
    kept = json.loads(json.dumps(sealed(document)))
    assert unsealed(kept) == document
    assert unsealed(document) == document
    assert unsealed([1, 2]) == [1, 2]
    for change in ({"name": "u"}, {"numbers": [1, 0.1, 0.0, None, True]}, {"nested": {}}, {"more": 1}, {"sha256": "0"}):
        with pytest.raises(ValueError, match="checksum"):
            unsealed({**kept, **change})
