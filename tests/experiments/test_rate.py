"""The rating script: a page on this machine alone, results, an MLflow run, one message per mistake."""

import http.client
import os
import re
import signal
import socket
import struct
import threading
from pathlib import Path

import pytest
import torch
from helpers.rating_command import start, stop  # noqa: F401
from helpers.rating_panel import make, request_of, sit

from datasets.errors import UserError
from datasets.files import locked
from experiments.common import cli
from experiments.rate import RateOptions, main, open_or_create, serve
from orchestrator.rating.scores import ScoreStore, read_sessions
from orchestrator.rating.server import App, Server
from orchestrator.rating.study import RatingRequest, open_study
from trainers import checkpoint
from trainers.config import GeneratorConfig, TrainConfig
from trainers.models import build_generator


def test_the_page_is_bound_to_this_machine_and_ctrl_c_ends_it(tmp_path):
    make(tmp_path)
    process, port = start(tmp_path)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/")
        answer = connection.getresponse()
        page = answer.read()
        assert answer.status == 200 and b"Your name" in page
        assert answer.headers["Server"] == "Upsweep" and "Last-Modified" not in answer.headers
        connection.request("POST", "/begin", b"x" * 5000)
        assert connection.getresponse().status == 413
        connection.close()
        listening = {address for address, at in listeners() if at == port}
        assert listening == {"127.0.0.1"}
    finally:
        code, said = stop(process)
    assert code == 0 and "0 scores by 0 raters" in said and "--results" in said


def listeners():
    """(address, port) of every listening TCP socket of this machine, IPv6 addresses in hexadecimal."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:] if Path(table).exists() else ():
            local, state = line.split()[1], line.split()[3]
            if state == "0A":
                address, port = local.split(":")
                shown = socket.inet_ntoa(bytes.fromhex(address)[::-1]) if len(address) == 8 else address
                yield shown, int(port, 16)


def test_a_browser_that_leaves_early_is_no_error(tmp_path, capfd):
    server = Server(App(make(tmp_path)), 0)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with server:
        try:
            for sent in (
                b"POST /begin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n\r\nhalf",
                b"GET /",
            ):
                with socket.create_connection(("127.0.0.1", server.server_port)) as left:
                    left.sendall(sent)
                    left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset
            connection = http.client.HTTPConnection("localhost", server.server_port, timeout=10)
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
            connection.close()
        finally:
            server.shutdown()
    assert capfd.readouterr().err == ""


def test_a_mistake_is_one_message_and_exit_code_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        cli.run(lambda: main(cli.parse(RateOptions, argv=["--out", str(tmp_path / "none"), "--results"])))
    assert end.value.code == 2
    assert re.fullmatch(r"error: there is no study in .*\n", capsys.readouterr().err)


def test_options_of_results_are_refused_without_results(tmp_path):
    with pytest.raises(UserError, match="--against and --sweep need --results; add it"):
        main(RateOptions(out=tmp_path / "study", sweep="demo"))


def test_a_port_in_use_is_refused(tmp_path):
    make(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} cannot be used .*--port"):
            main(RateOptions(out=tmp_path / "study", port=port))
    with pytest.raises(UserError, match="port 99999 cannot be used"):
        main(RateOptions(out=tmp_path / "study", port=99999))


def _checkpoint(folder, scale=4):
    torch.manual_seed(0)
    config = TrainConfig(generator=GeneratorConfig(num_blocks=1, channels=4, scale=scale))
    return str(checkpoint.save_generator(folder, config, build_generator(config.generator), {}))


def test_a_checkpoint_is_rated_beside_folders_and_resizers(tmp_path, capsys):
    request = request_of(tmp_path)
    wish = RatingRequest(
        images=request.images[:1],
        model=(f"net={_checkpoint(tmp_path / 'net')}",),
        test=request.hr,
        calibration=2,
    )
    main(RateOptions(wish, out=tmp_path / "study", results=True, track=False, device="cpu"))
    study = open_study(tmp_path / "study", wish)
    assert study.models == ("sharpnet", "net", "nearest", "bicubic", "HR") and len(study.images) == 2
    assert "Nobody has scored everything yet" in capsys.readouterr().out


def test_models_of_two_scales_are_refused(tmp_path):
    request = request_of(tmp_path)
    models = tuple(f"n{s}={_checkpoint(tmp_path / f'net{s}', s)}" for s in (2, 4))
    with pytest.raises(UserError, match="share one scale, but got n2 x2, n4 x4"):
        main(RateOptions(RatingRequest(model=models, test=request.hr), out=tmp_path / "study", device="cpu"))


@pytest.mark.slow
def test_results_are_one_mlflow_run_with_its_files(tmp_path, capsys):
    from mlflow import MlflowClient

    study = make(tmp_path)
    sit(ScoreStore(study), "Ada", lambda model, image, repeat: {"HR": 5, "nearest": 1}.get(model, 3))
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    main(RateOptions(out=study.folder, results=True, tracking_uri=uri))
    assert "| sharpnet | 3.00 |" in capsys.readouterr().out
    client = MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("upsweep-ratings").experiment_id])
    assert run.data.metrics["mos/sharpnet"] == 3 and run.data.tags["kind"] == "rating"
    assert run.data.params["pictures"] == study.digest
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names == {"results.md", "scores.csv", "raters.csv", "ratings.csv"}


def test_a_kill_loses_no_score_that_was_answered(tmp_path):
    study = make(tmp_path)
    process, port = start(tmp_path)
    try:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

        def ask(method, path, body=None):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.headers["Location"], answer.read().decode()

        def form(page):
            return "token=" + re.search(r'name="token" value="([0-9a-f]+)"', page)[1]

        root, _ = ask("POST", "/begin", form(ask("GET", "/")[1]) + "&name=Ada")
        for number in (1, 2, 3):
            ask("POST", f"{root}{number}", form(ask("GET", f"{root}{number}")[1]) + "&score=4")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    (session,) = read_sessions(study.folder)
    assert [line["score"] for line in session.ratings.values()] == [4, 4, 4]


def test_one_process_serves_a_study(tmp_path):
    study = make(tmp_path)
    busy = "process 7 serves .*; end it first, or choose another name"
    with locked(study.folder / ".lock", holder="process 7"), pytest.raises(UserError, match=busy):
        serve(study, 0, 1, print)


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({}, "there is no study in .*; name models by --images"),
        ({"images": ("a=x",)}, "by --hr FOLDER or by --test SET, one of the two"),
        ({"images": ("a=x",), "hr": "y", "test": "z"}, "one of the two"),
        (
            {"images": ("a=x",), "hr": "nowhere"},
            "--hr must be a folder of pictures, but there is none at nowhere",
        ),
        ({"images": ("folder",), "hr": "y"}, "--images must be NAME=PLACE, but got 'folder'"),
        ({"images": ("a=x", "a=y"), "hr": "y"}, "--images names a twice"),
        ({"images": ("HR=x",), "hr": "y"}, "other than HR"),
        ({"images": ("a=x",), "model": ("a=x",), "hr": "y"}, "both name a"),
    ],
)
def test_bad_requests_are_refused(tmp_path, wish, sentence):
    with pytest.raises(UserError, match=sentence):
        open_or_create(tmp_path / "study", RatingRequest(**wish), "", "cpu", lambda _: None)
