"""Every expression of the Grafana board returns data from Debian's Prometheus and a live cluster."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cluster")]

import pytest  # noqa: E402
from cluster import ROOT, SMALL_RECIPE, Cluster, wait_until  # noqa: E402

BOARD = ROOT / "deploy/grafana/cvtrain.json"


def expressions():
    board = json.loads(BOARD.read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


def get(address, path, **query):
    url = f"http://{address}{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=30) as page:
        return json.load(page)


class Prometheus:
    """Debian's Prometheus on a free port, scraping each second."""

    def __init__(self, targets):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cvt-prometheus-"))
        (self.directory / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\n"
            "scrape_configs:\n"
            f"  - {{job_name: cvtrain, static_configs: [{{targets: {json.dumps(targets)}}}]}}\n"
        )
        self.log = (self.directory / "log").open("w+")
        self.process = subprocess.Popen(
            [
                shutil.which("prometheus"),
                f"--config.file={self.directory}/prometheus.yml",
                f"--storage.tsdb.path={self.directory}/data",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self):
        self.address = wait_until(self._listens_at, "Prometheus to listen", 60)
        wait_until(self._is_ready, "Prometheus to be ready", 60)
        return self

    def __exit__(self, *_exception):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _listens_at(self):
        log = (self.directory / "log").read_text()
        found = re.search(r'Listening on" address=(127\.0\.0\.1:\d+)', log)
        if self.process.poll() is not None:
            raise RuntimeError(f"Prometheus ended:\n{log}")
        return found.group(1) if found else None

    def _is_ready(self):
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=10):
                return True
        except urllib.error.HTTPError:  # 503 while it reads its log
            return False

    def value(self, expression):
        """The samples of an expression; an error of its own is one of the test."""
        answer = get(self.address, "/api/v1/query", query=expression)
        assert answer["status"] == "success", answer
        return answer["data"]["result"]


def test_every_expression_of_the_board_returns_data():
    assert len(expressions()) > 20
    with Cluster() as cluster:
        cluster.create_photos()
        targets = [
            "127.0.0.1:" + (cluster.local / process / "metrics_port").read_text().strip()
            for process in ("coordinator", "worker")
        ]
        with Prometheus(targets) as prometheus:
            wait_until(lambda: len(prometheus.value("up == 1")) == 2, "both targets to be scraped", 60)
            cluster.submit(SMALL_RECIPE)
            cluster.cvctl("wait", "exp/1", timeout=300)
            empty = set(expressions())

            def all_have_data():
                empty.difference_update([one for one in empty if prometheus.value(one)])
                return not empty

            try:
                wait_until(all_have_data, "data", 60)
            except TimeoutError:
                pytest.fail(f"no data for: {sorted(empty)}")

            def has_more_than_ten_steps():
                steps = prometheus.value("sum(cvtrain_worker_steps_total)")
                return float(steps[0]["value"][1]) > 10

            # The last scrape can be of a second ago, when the trial had hardly begun.
            wait_until(has_more_than_ten_steps, "a scrape of the trial's steps", 60)


def test_an_expression_over_a_series_that_does_not_exist_has_no_data():
    """The check above can fail: an unknown series yields nothing."""
    with Prometheus([]) as prometheus:
        assert prometheus.value("cvtrain_no_such_series") == []


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))
