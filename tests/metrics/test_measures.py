"""What is measured, and the page that is made of it."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import timeit

import yaml
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pkgregd.errors import Unavailable
from pkgregd.interfaces import IMetrics
from pkgregd.metrics import workers
from pkgregd.metrics.measures import RENDER_SECONDS, TICK_SECONDS, TICKS_PER_TURN, Measures
from pkgregd.metrics.notes import Timing
from pkgregd.metrics.room import FIRST_BYTES, RoomyDict
from pkgregd.testing.measures import KeptMeasures
from pkgregd.unmeasured import Unmeasured
from pkgregd.values import Gauge, Outcome, Tally
from tests.catalog.support import ThreadedClock

ETC = pathlib.Path(__file__).parents[2] / "etc"
LINE = re.compile(r"(?P<name>[a-z0-9_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)", re.ASCII)
TURN_SECONDS = TICK_SECONDS * TICKS_PER_TURN
MOST_MICROSECONDS = 20.0
"""Ten times what a note may cost: a machine that does other things besides does not fail the test."""


def read_page(page: bytes) -> dict[str, float]:
    """Read a page: values by name and labels."""
    found = {}
    for line in page.decode("ascii").splitlines():
        if line and not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match is not None, line
            found[line.rpartition(" ")[0]] = float(match["value"])
    return found


class ThreadedReactor(ThreadedClock):
    """A clock with a pool of threads, whose work is done when a test waits."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = ThreadPool(0, 1)
        self.pool.start()

    def getThreadPool(self) -> ThreadPool:
        """See IReactorThreads."""
        return self.pool


class MeasuresTests(SynchronousTestCase):
    """One process by itself."""

    def setUp(self) -> None:
        """Begin with nothing."""
        self.reactor = ThreadedReactor()
        self.addCleanup(self.reactor.pool.stop)
        self.late_seconds = 0.0
        self.measures = Measures(self.reactor, "1.2.3", lambda: self.reactor.seconds() + self.late_seconds)

    def page(self) -> dict[str, float]:
        """Render, and read."""
        rendering = Deferred.fromCoroutine(self.measures.render())
        self.reactor.wait(rendering)
        return read_page(self.successResultOf(rendering))

    def test_interfaces(self) -> None:
        """Whoever measures does it all, and so does whoever does not."""
        for each in (self.measures, Unmeasured(), KeptMeasures()):
            verifyObject(IMetrics, each)

    def test_requests(self) -> None:
        """They are told by table, method, class of the status and time; bytes by table; refusals by their code."""
        self.measures.request_ended("npm", "GET", 200, 0.003, 0, 500)
        self.measures.request_ended("npm", "GET", 304, 0.0004, 0, 0)
        self.measures.request_ended("npm", "PUT", 429, 0.2, 7, 100, "rate_limited", True)
        page = self.page()
        self.assertEqual(page['pkgregd_http_requests_total{method="GET",status="2xx",table="npm"}'], 1)
        self.assertEqual(page['pkgregd_http_requests_total{method="PUT",status="4xx",table="npm"}'], 1)
        self.assertEqual(page['pkgregd_http_request_seconds_bucket{le="0.001",method="GET",table="npm"}'], 1)
        self.assertEqual(page['pkgregd_http_request_seconds_bucket{le="+Inf",method="GET",table="npm"}'], 2)
        self.assertAlmostEqual(page['pkgregd_http_request_seconds_sum{method="GET",table="npm"}'], 0.0034)
        self.assertEqual(page['pkgregd_http_sent_bytes_total{table="npm"}'], 600)
        self.assertEqual(page['pkgregd_http_received_bytes_total{table="npm"}'], 7)
        self.assertEqual(page['pkgregd_http_refusals_total{caller="known",code="rate_limited",table="npm"}'], 1)

    def test_a_clients_words_make_no_kinds(self) -> None:
        """However many methods are made up, there is one more kind."""
        for number in range(100):
            self.measures.request_ended("none", f"METHOD{number}", 405, 0.001, 0, 0)
        kinds = {name: value for name, value in self.page().items() if name.startswith("pkgregd_http_requests_total")}
        self.assertEqual(kinds, {'pkgregd_http_requests_total{method="other",status="4xx",table="none"}': 100})

    def test_nothing_is_told_twice(self) -> None:
        """What was handed on is not handed on again, and what comes then is added."""
        self.measures.verb_ended("publish", 0.01, Outcome.DONE)
        self.measures.count(Tally.S3_RETRIES)
        self.page()
        self.measures.verb_ended("publish", 0.01, Outcome.UNAVAILABLE)
        self.measures.event_happened("push_package", "npm")
        self.measures.s3_answered("put_part", "5xx", 0.1)
        page = self.page()
        self.assertEqual(page['pkgregd_catalog_verbs_total{outcome="done",verb="publish"}'], 1)
        self.assertEqual(page['pkgregd_catalog_verbs_total{outcome="unavailable",verb="publish"}'], 1)
        self.assertEqual(page['pkgregd_catalog_verb_seconds_count{verb="publish"}'], 2)
        self.assertEqual(page['pkgregd_package_events_total{event="push_package",format="npm"}'], 1)
        self.assertEqual(page['pkgregd_s3_requests_total{kind="put_part",outcome="5xx"}'], 1)
        self.assertEqual(page["pkgregd_s3_retries_total"], 1)

    def test_gauges(self) -> None:
        """They are read once a second, and several readers of one are added up."""
        self.measures.watch(Gauge.UPLOADS, lambda: 2)
        self.measures.watch(Gauge.UPLOADS, lambda: 3)
        self.measures.start()
        self.addCleanup(self.measures.stop)
        page = self.page()
        self.assertEqual(page["pkgregd_uploads_in_progress"], 5)
        self.assertGreater(page["pkgregd_process_resident_bytes"], 1 << 20)
        self.assertGreater(page["pkgregd_process_open_files"], 2)
        self.assertGreater(page["pkgregd_process_cpu_seconds_total"], 0)
        self.assertGreater(page["pkgregd_process_start_time_seconds"], 1_700_000_000)
        version = ".".join(map(str, sys.version_info[:3]))
        self.assertEqual(page[f'pkgregd_build_info{{python="{version}",version="1.2.3"}}'], 1)

    def test_lag(self) -> None:
        """How late the reactor is for its appointments is told."""
        self.measures.start()
        self.late_seconds = 0.04
        self.reactor.advance(TICK_SECONDS)
        page = self.page()
        self.assertEqual(page['pkgregd_reactor_lag_seconds_bucket{le="0.025"}'], 0)
        self.assertEqual(page['pkgregd_reactor_lag_seconds_bucket{le="0.05"}'], 1)
        self.measures.stop()
        self.measures.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_great_lag_is_logged(self) -> None:
        """For who looks into the log for what was wrong at the time."""
        self.measures.start()
        self.addCleanup(self.measures.stop)
        with capturedLogs() as events:
            for seconds in (0.9, 3.0):
                self.late_seconds += seconds
                self.reactor.advance(TICK_SECONDS)
        self.assertEqual([formatEvent(event) for event in events], ["nothing was done for 3.0 s"])

    def test_a_reader_that_fails_ends_nothing(self) -> None:
        """It is logged, and there is a next turn."""
        self.measures.watch(Gauge.UPLOADS, lambda: 1 / 0)
        self.measures.start()
        for _ in range(TICKS_PER_TURN):
            self.reactor.advance(TICK_SECONDS)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)

    def test_a_note_costs_little(self) -> None:
        """A request is noted in some two microseconds."""
        seconds = min(
            timeit.repeat(lambda: self.measures.request_ended("npm", "GET", 200, 0.003, 0, 500), number=2000, repeat=5)
        )
        self.assertLess(seconds / 2000 * 1e6, MOST_MICROSECONDS)

    def test_pages_are_made_together(self) -> None:
        """Whoever asks while one is made gets that one."""
        pages = [Deferred.fromCoroutine(self.measures.render()) for _ in range(3)]
        for each in pages:
            self.reactor.wait(each)
        first, *others = [self.successResultOf(each) for each in pages]
        self.assertTrue(all(other is first for other in others))

    def test_a_page_that_takes_too_long(self) -> None:
        """Is not waited for."""
        waiting = Deferred.fromCoroutine(self.measures.render())
        self.reactor.advance(RENDER_SECONDS)
        self.failureResultOf(waiting, Unavailable)
        self.page()


class PinnedNameTests(SynchronousTestCase):
    """Private names of prometheus_client."""

    def test_histograms(self) -> None:
        """A histogram keeps a number for each class, not summed up, and one for all of it."""
        registry = CollectorRegistry()
        histogram = Histogram("x", "x", ["label"], buckets=(1.0, 2.0), registry=registry).labels("a")
        timing = Timing((1.0, 2.0))
        for seconds in (0.5, 1.0, 1.5, 2.5):
            timing.add(seconds)
            histogram.observe(seconds)
        self.assertEqual(timing.hand_on(histogram), 4)
        self.assertEqual([each.get() for each in histogram._buckets], [4, 2, 2])
        self.assertEqual(histogram._sum.get(), 11)


WORKER = """
import os, sys
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from pkgregd.metrics import open_metrics
from pkgregd.values import Gauge
measures = open_metrics(Clock(), "1")
measures.watch(Gauge.UPLOADS, lambda: 3)
measures.request_ended("npm", "GET", 200, 0.003, 0, 10)
measures.start()
measures.stop()
print(os.getpid(), flush=True)
if sys.argv[1] == "stay":
    sys.stdin.read()
elif sys.argv[1] == "show":
    print(measures._write(measures._take_notes()).decode())
"""


CRAMPED = """
import os, resource
from tests.metrics.test_measures import ThreadedReactor
from pkgregd.metrics import open_metrics
reactor = ThreadedReactor()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 100_000))
rendering = open_metrics(reactor, "1").render()
try:
    rendering.send(None)
except Exception as error:
    print(repr(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
measures = open_metrics(reactor, "1")
for number in range(40):
    measures.request_ended(f"table{number}", "GET", 200, 0.003, 0, 10)
    measures.stop()
reactor.run_until(lambda: measures._warned_at > 0)
print(measures._write(measures._take_notes()).decode())
reactor.pool.stop()
"""


class WorkersTests(SynchronousTestCase):
    """Several processes with one folder."""

    def setUp(self) -> None:
        """Make the folder."""
        self.folder = pathlib.Path(self.mktemp()).absolute()
        workers.empty_folder(self.folder)

    def run_worker(self, how: str) -> subprocess.Popen[str]:
        """Start a process that has a request and three uploads."""
        environment = {**os.environ, workers.VARIABLE: str(self.folder)}
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, how],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.addCleanup(process.communicate)
        return process

    def show(self) -> dict[str, float]:
        """Read the page of one more process."""
        output, _ = self.run_worker("show").communicate()
        return read_page(output.partition("\n")[2].encode())

    def test_all_are_on_one_page(self) -> None:
        """Counts are of all, also of those that ended; what goes up and down is of those that live."""
        ended, living = self.run_worker("end"), self.run_worker("stay")
        assert living.stdout is not None
        living_pid = int(living.stdout.readline())
        for file in self.folder.iterdir():  # that the library makes them through what is tested below
            self.assertGreaterEqual(file.stat().st_blocks * 512, FIRST_BYTES, file)
        ended_pid = int(ended.communicate()[0])
        workers.forget_process(self.folder, ended_pid)
        page = self.show()
        self.assertEqual(page['pkgregd_http_requests_total{method="GET",status="2xx",table="npm"}'], 3)
        self.assertEqual(page['pkgregd_http_request_seconds_count{method="GET",table="npm"}'], 3)
        self.assertEqual(page["pkgregd_uploads_in_progress"], 6)
        by_process = [name for name in page if name.startswith("pkgregd_process_resident_bytes")]
        self.assertEqual(len(by_process), 2)
        self.assertIn(f'pkgregd_process_resident_bytes{{pid="{living_pid}"}}', by_process)

    def count(self, pid: int, **values: float) -> None:
        """Leave the files of a process that ended."""
        for kind in workers.COUNTS:
            made = RoomyDict(str(self.folder / f"{kind}_{pid}.db"))
            for label, value in values.items():
                made.write_value(mmap_key(kind, kind, ["label"], [label], "Zählt"), value, 0.0)
            made.close()

    def counted(self) -> dict[str, float]:
        """Read the counters."""
        (metric,) = MultiProcessCollector.merge([str(file) for file in self.folder.glob("counter_*.db")])
        return {sample.labels["label"]: sample.value for sample in metric.samples}

    def test_those_that_ended_leave_one_file_of_each_kind(self) -> None:
        """However many there were, also if one was torn, and not while a page is made."""
        self.count(5, a=1.5, b=2)
        self.count(6, a=1, longer=4)
        (self.folder / "counter_1.db").write_bytes(b"")
        with workers.locked(self.folder, fcntl.LOCK_SH):
            self.assertFalse(workers.forget_process(self.folder, 5))
            self.assertEqual(len(os.listdir(self.folder)), 5)
        for pid in (1, 5, 6):
            self.assertTrue(workers.forget_process(self.folder, pid))
            self.assertEqual(self.counted()["a"], 2.5)
        self.assertEqual(sorted(os.listdir(self.folder)), ["counter_ended.db", "histogram_ended.db"])
        self.assertEqual(self.counted(), {"a": 2.5, "b": 2, "longer": 4})
        shutil.rmtree(self.folder)
        self.assertTrue(workers.forget_process(self.folder, 1))

    def test_a_new_beginning(self) -> None:
        """Whoever starts processes anew starts from nothing."""
        self.run_worker("end").communicate()
        workers.empty_folder(self.folder)
        self.assertEqual(self.show()['pkgregd_http_requests_total{method="GET",status="2xx",table="npm"}'], 1)

    def test_files_have_their_room(self) -> None:
        """A full disk cannot kill who writes into them: what they may hold is theirs, also when they have grown."""
        folder = self.folder
        made = RoomyDict(str(folder / "counter_1.db"))
        self.addCleanup(made.close)
        for number in range(1000):
            status = (folder / "counter_1.db").stat()
            self.assertGreaterEqual(status.st_blocks * 512, status.st_size)
            made.write_value(f"{number}" * 20, 1.0, 0.0)
        self.assertGreater(status.st_size, FIRST_BYTES)
        read = {key: value for key, value, *_ in MmapedDict.read_all_values_from_file(folder / "counter_1.db")}
        self.assertEqual((len(read), set(read.values())), (1000, {1.0}))
        self.assertEqual([file.name for file in folder.iterdir()], ["counter_1.db"])

    def test_a_full_disk(self) -> None:
        """What is new is lost, what is known is told; a process that begins then is not measured, and works."""
        environment = {**os.environ, workers.VARIABLE: str(self.folder)}
        done = subprocess.run(
            [sys.executable, "-c", CRAMPED], env=environment, check=True, capture_output=True, text=True,
            cwd=ETC.parent,
        )  # fmt: skip
        began_without, _, page = done.stdout.partition("\n")
        self.assertIn("Unavailable", began_without)
        known = [name for name in read_page(page.encode()) if name.startswith("pkgregd_http_request_seconds_count")]
        self.assertTrue(5 < len(known) < 40, len(known))


class ImportTests(SynchronousTestCase):
    """Who pays for the library."""

    def test_commands_do_not_import_it(self) -> None:
        """The operator's command starts without it, and so does the catalog that it opens."""
        code = "import sys, pkgregd.cli, pkgregd.catalog, pkgregd.blobs; print('prometheus_client' in sys.modules)"
        output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        self.assertEqual(output.strip(), "False")


class SampleTests(SynchronousTestCase):
    """The samples in etc/ speak of what there is."""

    def names(self) -> set[str]:
        """Return the names that a daemon exports, without having done anything."""
        measures = Measures(Clock(), "1")
        found = set()
        for metric in measures._registry.collect():
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric.type, ("",))
            found |= {metric.name + suffix for suffix in suffixes}
        return found

    def test_every_name_is_exported(self) -> None:
        """Dashboard and alerts name metrics of ours and Prometheus' own `up` alone, and the dashboard is JSON."""
        dashboard = json.loads((ETC / "grafana-dashboard.json").read_text("utf-8"))
        texts = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
        self.assertGreater(len(texts), 10)
        rules = yaml.safe_load((ETC / "prometheus-rules.yml").read_text("utf-8"))
        texts += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
        named = {name for text in texts for name in re.findall(r"\bpkgregd_[a-z0-9_]+", text)}
        self.assertGreater(len(named), 10)
        self.assertEqual(named - self.names(), set())

    def test_alerts_about_errors(self) -> None:
        """Nobody is woken by what a scanner asks for; and the first bug since the start is told, too."""
        rules = yaml.safe_load((ETC / "prometheus-rules.yml").read_text("utf-8"))["groups"][0]["rules"]
        texts = {rule["alert"]: " ".join(rule["expr"].split()) for rule in rules}
        tables = re.findall(r"requests_total\{table(\S+)[,}]", texts["PkgregdErrors"])
        self.assertEqual(tables, ['!~"health|none"'] * 2)
        bugs = 'pkgregd_http_refusals_total{code="internal_error"}'
        self.assertIn(f"or ({bugs} unless {bugs} offset 10m)", texts["PkgregdBug"])

    def test_every_name_is_in_the_manual(self) -> None:
        """The page about monitoring has each metric, and no other."""
        manual = ETC.parent / "pkgregd" / "web" / "pages" / "monitoring.md"
        named = set(re.findall(r"`(pkgregd_[a-z0-9_]+)`", manual.read_text("utf-8")))
        counted = {name.removesuffix("_bucket") for name in self.names() if not name.endswith(("_sum", "_count"))}
        self.assertEqual(named, counted)
