"""Tests for pkgregd.config and the sample configuration."""

from __future__ import annotations

import pathlib
import re

from attrs import asdict, evolve, fields
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.config import (
    AuditConfig,
    AuthConfig,
    BlobsConfig,
    CatalogConfig,
    Config,
    FormatConfig,
    HttpConfig,
    InspectionConfig,
    MetricsConfig,
    PackagesConfig,
    RateLimitingConfig,
    ScrubConfig,
    TasksConfig,
    anchor_endpoint,
    known_keys,
    load,
    parse,
)
from pkgregd.errors import ConfigError
from pkgregd.http.settings import FrontSettings
from pkgregd.registry.inspector_process import InspectionLimits
from pkgregd.values import FormatLimits, OidcIssuer, OidcRule, Rate, RateLimitRule, RouteClass

FOLDER = pathlib.Path("/srv/registry")
SAMPLE = pathlib.Path(__file__).parent.parent / "etc" / "pkgregd.toml"
SECTIONS = {
    "http": HttpConfig,
    "catalog": CatalogConfig,
    "blobs": BlobsConfig,
    "auth": AuthConfig,
    "rate_limiting": RateLimitingConfig,
    "inspection": InspectionConfig,
    "packages": PackagesConfig,
    "audit": AuditConfig,
    "metrics": MetricsConfig,
    "tasks": TasksConfig,
    "scrub": ScrubConfig,
    "formats.generic": FormatConfig,
}


def uncommented_sample() -> str:
    """Return the sample with the hash of every key and section removed, but not of prose."""
    return re.sub(r"(?m)^#(?=\[|[a-z_]+ = )", "", SAMPLE.read_text("utf-8"))


class ParseTests(SynchronousTestCase):
    """What parse() takes, and how it refuses."""

    def refusal(self, text: str) -> str:
        """Return the text of the ConfigError that a configuration gets."""
        return str(self.assertRaises(ConfigError, parse, text, FOLDER))

    def test_nothing_is_the_defaults(self) -> None:
        """An empty file configures a daemon for the loopback address."""
        config = parse("", FOLDER)
        self.assertEqual(config, Config("pkgregd.toml", FOLDER))
        self.assertEqual(config.http.listen, ("tcp:8080:interface=127.0.0.1",))

    def test_every_section_is_read(self) -> None:
        """What is in the file is in the Config."""
        config = parse(
            """
            [http]
            listen = ["tcp:1", "tcp:2"]
            external_url = "https://packages.example.com/"
            workers = 1
            idle_timeout_seconds = 5
            [catalog]
            url = "sqlite:/var/lib/x.sqlite3"
            [blobs]
            url = "file:/var/lib/blobs"
            redirect_downloads = true
            [formats.npm]
            enabled = false
            max_file_bytes = 524288000
            [[rate_limits]]
            prefix = "/api/v4/projects/:id/packages/"
            authenticated = "1000/15s"
            anonymous = "8/m"
            """,
            FOLDER,
        )
        self.assertEqual(config.http.listen, ("tcp:1", "tcp:2"))
        self.assertEqual(config.http.external_url, "https://packages.example.com")
        self.assertEqual(config.http.idle_timeout_seconds, 5.0)
        self.assertIsInstance(config.http.idle_timeout_seconds, float)
        self.assertEqual(config.catalog.url, "sqlite:/var/lib/x.sqlite3")
        self.assertEqual(config.blobs, BlobsConfig(url="file:/var/lib/blobs", redirect_downloads=True))
        self.assertEqual(config.formats, {"npm": FormatConfig(enabled=False, max_file_bytes=524_288_000)})
        self.assertEqual(
            config.rate_limits,
            (RateLimitRule("/api/v4/projects/:id/packages/", Rate(1000, 15), Rate(8, 60), routes=RouteClass.PACKAGES),),
        )

    def test_an_unknown_key_names_the_nearest(self) -> None:
        """A misspelt key or section is refused, and the text says what was meant."""
        for text, expected in [
            ("[http]\nlisten_on = []", "pkgregd.toml: http.listen_on: unknown key; did you mean http.listen?"),
            ("[htpp]\n", "pkgregd.toml: htpp: unknown key; did you mean http?"),
            (
                "[formats.npm]\nmax_size_bytes = 1",
                "pkgregd.toml: formats.npm.max_size_bytes: unknown key; did you mean formats.npm.max_file_bytes?",
            ),
            (
                "[[rate_limits]]\nanonymus = '1/s'",
                "pkgregd.toml: rate_limits[1].anonymus: unknown key; did you mean rate_limits[1].anonymous?",
            ),
        ]:
            self.assertEqual(self.refusal(text), expected)

    def test_a_wrong_type_says_what_is_right(self) -> None:
        """A value of the wrong type is refused, whatever it is, and named by its key."""
        samples = {
            "true": "true",
            "1": "1",
            '"x"': "text",
            "[[]]": "an array",
            "{a = 1}": "a table",
            "2026-01-01": "a date or time",
        }
        for section, made in SECTIONS.items():
            for name in known_keys(made):
                refusals = []
                for value in samples:
                    try:
                        parse(f"[{section}]\n{name} = {value}", FOLDER)
                    except ConfigError as error:
                        refusals.append(str(error))
                self.assertGreaterEqual(len(refusals), 4, (section, name))
                for refusal in refusals:
                    self.assertTrue(refusal.startswith(f"pkgregd.toml: {section}.{name}"), refusal)

    def test_numbers_are_numbers_in_range(self) -> None:
        """Text, truth values, infinities and what is out of range are not numbers."""
        for text, expected in [
            (
                '[blobs]\nreserve_bytes = "500 MiB"',
                f"blobs.reserve_bytes: must be a whole number from 0 to {2**63 - 1}, not this text",
            ),
            ("[blobs]\nthreads = true", "blobs.threads: must be a whole number from 1 to 256, not true"),
            ("[blobs]\nthreads = 1.0", "blobs.threads: must be a whole number from 1 to 256, not 1.0"),
            ("[blobs]\nthreads = 0", "blobs.threads: must be a whole number from 1 to 256, not 0"),
            ("[http]\ndrain_seconds = inf", "http.drain_seconds: must be a number from 0.01 to 604800, not inf"),
            ("[http]\ndrain_seconds = nan", "http.drain_seconds: must be a number from 0.01 to 604800, not nan"),
            ("[http]\ndrain_seconds = true", "http.drain_seconds: must be a number from 0.01 to 604800, not true"),
        ]:
            self.assertEqual(self.refusal(text), f"pkgregd.toml: {expected}")
        self.refusal(f"[blobs]\nreserve_bytes = {'9' * 40}")

    def test_workers(self) -> None:
        """Several processes are understood, none is not."""
        self.assertEqual(parse("[http]\nworkers = 2", FOLDER).http.workers, 2)
        self.assertIn("http.workers: must be a whole number from 1", self.refusal("[http]\nworkers = 0"))

    def test_database_and_blob_urls(self) -> None:
        """A file or a server for the catalog, and a folder for the blobs."""
        server = "postgresql://user:hunter2@db.example.com:5432/pkgregd"
        self.assertEqual(parse(f'[catalog]\nurl = "{server}"', FOLDER).catalog.url, server)
        self.assertNotIn("hunter2", self.refusal('[catalog]\nurl = "postgresql://user:hunter2@db.example.com"'))
        for url in ("", "sqlite", "sqlite:", "sqlite::memory:", "sqlite:///x", "mysql://x", "pkgregd.sqlite3"):
            self.assertIn("catalog.url: must be sqlite:FILE", self.refusal(f'[catalog]\nurl = "{url}"'))
        wrong = ("s3:", "s3:bucket", "s3://b", "s3://UPPER/x", "s3://bucket/../x", "s3://bucket/a?b", "s3://bucket//x")
        for url in ("", "file", "file:", "file://host/x", "blobs", *wrong):
            self.assertIn(
                "blobs.url: must be file:FOLDER or s3://BUCKET/PREFIX", self.refusal(f'[blobs]\nurl = "{url}"')
            )
        for url in ("file:blobs", "file:/srv/blobs", "file:///srv/blobs"):
            self.assertEqual(parse(f'[blobs]\nurl = "{url}"', FOLDER).blobs.url, url)
        for url in ("s3://bucket", "s3://bucket/", "s3://my.bucket-1/a/b.c"):
            text = f'[blobs]\nurl = "{url}"\n'
            self.assertIn("blobs.endpoint_url: must be given", self.refusal(text))
            self.assertEqual(parse(f'{text}endpoint_url = "http://127.0.0.1:9000"', FOLDER).blobs.url, url)

    def test_external_url(self) -> None:
        """Scheme, host, port and path; nothing that could change what is appended to it."""
        for url, kept in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://[::1]:8443/", "https://[::1]:8443"),
            ("https://packages.example.com/a/b-c/", "https://packages.example.com/a/b-c"),
        ]:
            self.assertEqual(parse(f'[http]\nexternal_url = "{url}"', FOLDER).http.external_url, kept)
        for url in (
            "",
            "packages.example.com",
            "ftp://example.com",
            "https://",
            "https:///x",
            "https://user@example.com",
            "https://user:pass@example.com",
            "https://example.com?x=1",
            "https://example.com#x",
            "https://example.com:0",
            "https://example.com:65536",
            "https://example.com:",
            "https://example.com//x",
            "https://example.com/../x",
            "https://example.com/a b",
            "https://ex\u00e4mple.com",
            "https://example.com\\n",
        ):
            self.assertIn("http.external_url: must be", self.refusal(f'[http]\nexternal_url = "{url}"'), url)

    def test_listen_needs_an_endpoint(self) -> None:
        """At least one endpoint, each with a kind."""
        self.assertIn("http.listen: must name at least one", self.refusal("[http]\nlisten = []"))
        self.assertIn("http.listen[2]: must be a Twisted", self.refusal('[http]\nlisten = ["tcp:1", "8080"]'))

    def test_proxies(self) -> None:
        """Trusted are addresses, networks and sockets; whoever speaks the PROXY protocol has to be one of them."""
        texts = ("10.0.0.0/8", "192.0.2.1", "::1", "fd00::/8", "unix")
        listed = ", ".join(f'"{text}"' for text in texts)
        listen = 'listen = ["haproxy:tcp:1", "haproxy:unix:a", "tcp:2"]'
        config = parse(f"[http]\n{listen}\ntrusted_proxies = [{listed}]", FOLDER)
        self.assertEqual(config.http.trusted_proxies, texts)
        self.assertEqual(config.http.listen, ("haproxy:tcp:1", "haproxy:unix:/srv/registry/a", "tcp:2"))
        for text in ("10.0.0.1/8", "all", "", "unix:/x", "10.0.0", "proxy.example"):
            refusal = self.refusal(f'[http]\ntrusted_proxies = ["::1", "{text}"]')
            self.assertIn("http.trusted_proxies[2]: must be an address such as", refusal)
        self.assertIn("http.trusted_proxies: must name the proxies", self.refusal(f"[http]\n{listen}"))
        for endpoint in ("haproxy:ssl:1", "haproxy:haproxy:tcp:1", "haproxy:tcp"):
            refusal = self.refusal(f'[http]\nlisten = ["{endpoint}"]\ntrusted_proxies = ["::1"]')
            self.assertIn("http.listen[1]: the PROXY protocol is taken on", refusal)

    def test_location_of_blobs(self) -> None:
        """A path between slashes, for files on this host alone."""
        for text in ("", "/-/blobs/", "/"):
            config = parse(f'[http]\ntrusted_proxies = ["::1"]\n[blobs]\naccel_redirect = "{text}"', FOLDER)
            self.assertEqual(config.blobs.accel_redirect, text)
        for text in ("blobs/", "/blobs", "//", "/../", "/a/./", "/a?b/", "/%2e/"):
            refusal = self.refusal(f'[blobs]\naccel_redirect = "{text}"')
            self.assertIn("blobs.accel_redirect: must be a path between slashes", refusal)
        refusal = self.refusal('[blobs]\naccel_redirect = "/-/blobs/"')
        self.assertIn("http.trusted_proxies: must name the nginx", refusal)
        s3 = 'url = "s3://bucket"\nendpoint_url = "https://s3.example.com"\naccel_redirect = "/-/blobs/"'
        self.assertIn("blobs.accel_redirect: is for file: stores", self.refusal(f"[blobs]\n{s3}"))

    def test_rates(self) -> None:
        """A rate has a count and a time, both at least 1."""
        for text, rate in [("1000/15s", Rate(1000, 15)), ("5/m", Rate(5, 60)), ("7/2h", Rate(7, 7200))]:
            config = parse(f'[[rate_limits]]\nprefix = "/"\nanonymous = "{text}"', FOLDER)
            self.assertEqual(config.rate_limits, (RateLimitRule("/", None, rate),))
        for text in ("", "1000", "0/15s", "1/0s", "1/15", "1/1d", "-1/s", "1 / s", "1/s ", "\u0661/s", "1e3/s"):
            refusal = self.refusal(f'[[rate_limits]]\nprefix = "/"\nanonymous = "{text}"')
            self.assertIn("rate_limits[1].anonymous: must be a rate", refusal, text)

    def test_rate_classes(self) -> None:
        """A prefix may have a rule for each class of routes; below packages/ they are packages unless it says so."""
        rules = ("", 'routes = "management"\n', 'name = "mine"\nroutes = "pages"\n')
        text = "".join(f'[[rate_limits]]\nprefix = "/api/v4/packages/"\n{rule}' for rule in rules)
        found = parse(text, FOLDER).rate_limits
        self.assertEqual([rule.routes for rule in found], list(RouteClass))
        self.assertEqual([rule.name for rule in found], ["", "", "mine"])
        self.assertIsNone(parse('[[rate_limits]]\nprefix = "/"', FOLDER).rate_limits[0].routes)

    def test_rate_prefixes(self) -> None:
        """A rule needs a path as prefix, once."""
        for rule in ('anonymous = "1/s"', 'prefix = "api"', 'prefix = ""', 'prefix = "/a?b"', 'prefix = "/a%2F"'):
            self.assertIn("rate_limits[1].prefix: must be given", self.refusal(f"[[rate_limits]]\n{rule}"))
        for rule in ('routes = "all"', "routes = 1"):
            text = f'[[rate_limits]]\nprefix = "/"\n{rule}'
            self.assertIn('rate_limits[1].routes: must be "packages" or', self.refusal(text))
        for name in ("", "a b", "x" * 65, "a\u00e4"):
            text = f'[[rate_limits]]\nprefix = "/"\nname = "{name}"'
            self.assertIn("rate_limits[1].name: must be", self.refusal(text))
        twice = '[[rate_limits]]\nprefix = "/a"\n' * 2
        self.assertIn("rate_limits[2].prefix: has a rule already", self.refusal(twice))
        self.assertIn("rate_limits: must be an array of tables", self.refusal("[rate_limits]\n"))

    def test_format_tables(self) -> None:
        """Formats are tables under plain names."""
        self.assertIn("formats: must be tables", self.refusal("formats = 1"))
        self.assertIn("formats.npm: must be a table", self.refusal("[formats]\nnpm = true"))
        self.assertIn("is not the name of a format", self.refusal('[formats."../x"]'))

    def test_formats_must_be_installed(self) -> None:
        """A table for a format that nobody wrote is refused with the nearest that somebody did."""
        config = parse("[formats.pipy]\n", FOLDER)
        error = self.assertRaises(ConfigError, config.require_formats, ["generic", "pypi"])
        self.assertEqual(str(error), "pkgregd.toml: formats.pipy: unknown format; did you mean formats.pypi?")
        config.require_formats(["pipy"])

    def test_builds_are_kept_where_there_are_some(self) -> None:
        """A format without builds cannot be told how many to keep; one with builds from 1 to 100."""
        config = parse("[formats.generic]\nkeep_builds = 3\n", FOLDER)
        error = self.assertRaises(ConfigError, config.require_builds, ["maven"])
        self.assertEqual(str(error), "pkgregd.toml: formats.generic.keep_builds: only these formats have builds: maven")
        config.require_builds(["generic"])
        parse("[formats.npm]\nenabled = false\n", FOLDER).require_builds([])
        for number in (0, 101):
            self.assertIn("from 1 to 100", self.refusal(f"[formats.maven]\nkeep_builds = {number}\n"))

    def test_the_status_of_files_that_are_too_large(self) -> None:
        """One of two; and a quota is at least one byte."""
        self.assertEqual(parse("[http]\ntoo_large_status = 400\n", FOLDER).http.too_large_status, 400)
        self.assertIn("413, or 400", self.refusal("[http]\ntoo_large_status = 507\n"))
        self.assertIn("from 1 to", self.refusal("[packages]\nquota_bytes = 0\n"))

    def test_format_limits_override(self) -> None:
        """What is configured wins over the format's own limits, also when it is false or empty."""
        own = FormatLimits(5, duplicates_allowed=True, duplicate_exceptions=("a*",))
        self.assertEqual(FormatConfig().limits(own), own)
        configured = FormatConfig(max_file_bytes=7, duplicates_allowed=False, duplicate_exceptions=())
        self.assertEqual(configured.limits(own), FormatLimits(7, False, ()))

    def test_not_toml(self) -> None:
        """A syntax error names the line."""
        self.assertIn("pkgregd.toml: is not TOML: ", self.refusal("[http\n"))
        self.assertIn("line 2", self.refusal("[http]\nlisten =\nworkers = 1"))

    def test_secrets_are_not_shown(self) -> None:
        """Neither the text of a Config nor that of an error holds a secret."""
        config = parse('[blobs]\nsecret_access_key = "hunter2"', FOLDER)
        self.assertEqual(config.blobs.secret_access_key, "hunter2")
        self.assertNotIn("hunter2", repr(config))
        self.assertNotIn("hunter2", self.refusal('[blobs]\nsecret_access_key = "hunter2\\u0000"'))

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([f"{section}.{key}" for section, made in SECTIONS.items() for key in known_keys(made)])
                | st.sampled_from(["http", "rate_limits", "formats", "formats.x", "rate_limits.x"]),
                st.integers().map(str)
                | st.floats().map(repr)
                | st.text(alphabet=":/.0159smh[]@?#x% ").map(lambda text: f'"{text}"')
                | st.sampled_from(["true", "[]", "{}", "[{}]", '["\\u0000"]', '[{prefix = "/"}]', "2026-01-01"]),
            ),
            max_size=3,
        )
    )
    @settings(max_examples=200, deadline=None)
    def test_any_values_make_a_config_or_a_config_error(self, lines: list[tuple[str, str]]) -> None:
        """No value under any key makes anything else than a Config or a ConfigError."""
        try:
            config = parse("\n".join(f"{key} = {value}" for key, value in lines), FOLDER)
        except ConfigError as error:
            self.assertTrue(str(error).startswith("pkgregd.toml: "))
        else:
            self.assertEqual(config.folder, FOLDER)


class EndpointTests(SynchronousTestCase):
    """Paths inside endpoint descriptions start from the folder of the file."""

    def test_relative_paths_become_absolute(self) -> None:
        """Keys, certificates and sockets, behind a PROXY protocol or not; nothing else is touched."""
        for description, expected in [
            ("tcp:8080:interface=127.0.0.1", "tcp:8080:interface=127.0.0.1"),
            ("tcp6:8080:interface=\\:\\:1", "tcp6:8080:interface=\\:\\:1"),
            (
                "ssl:1:privateKey=k.pem:certKey=c.pem",
                "ssl:1:privateKey=/srv/registry/k.pem:certKey=/srv/registry/c.pem",
            ),
            ("ssl:1:privateKey=/etc/k.pem", "ssl:1:privateKey=/etc/k.pem"),
            ("ssl:1:privateKey=a\\:b.pem", "ssl:1:privateKey=/srv/registry/a\\:b.pem"),
            ("unix:run/x.sock:mode=660", "unix:/srv/registry/run/x.sock:mode=660"),
            ("unix:mode=660:address=x", "unix:mode=660:address=/srv/registry/x"),
            ("unix:/run/x", "unix:/run/x"),
            ("unix:a\\=b", "unix:/srv/registry/a\\=b"),
            ("haproxy:unix:x", "haproxy:unix:/srv/registry/x"),
            ("haproxy:tcp:8080", "haproxy:tcp:8080"),
        ]:
            self.assertEqual(anchor_endpoint(description, FOLDER), expected)

    @given(st.text(alphabet="ab=:\\/unix", max_size=30))
    @settings(max_examples=200, deadline=None)
    def test_without_paths_nothing_changes(self, rest: str) -> None:
        """A description without a path keeps every letter, whatever is escaped in it."""
        self.assertEqual(anchor_endpoint("tcp:" + rest.replace("unix", ""), FOLDER), "tcp:" + rest.replace("unix", ""))


class LoadTests(SynchronousTestCase):
    """Reading from disk."""

    def setUp(self) -> None:
        """Make a folder."""
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.path = self.folder / "pkgregd.toml"

    def refusal(self) -> str:
        """Return the text of the ConfigError for the file."""
        return str(self.assertRaises(ConfigError, load, self.path))

    def test_folder_is_that_of_the_file(self) -> None:
        """Relative paths start from the folder of the file."""
        self.path.write_text("")
        self.assertEqual(load(self.path).folder, self.folder)

    def test_errors_name_the_file(self) -> None:
        """Every refusal starts with the name of the file as it was given."""
        self.path.write_text("[http]\nx = 1")
        self.assertTrue(self.refusal().startswith(f"{self.path}: http.x: unknown key"))

    def test_a_file_that_cannot_be_read(self) -> None:
        """A missing file, a folder and a file in another encoding are refusals too."""
        self.assertEqual(self.refusal(), f"{self.path}: cannot be read: No such file or directory")
        self.path.mkdir()
        self.assertEqual(self.refusal(), f"{self.path}: cannot be read: Is a directory")
        self.path.rmdir()
        self.path.write_bytes(b"# caf\xe9\n")
        self.assertEqual(self.refusal(), f"{self.path}: is not UTF-8 text")

    def test_secret_from_a_file(self) -> None:
        """A secret may stand in a file of its own, beside the configuration."""
        self.path.write_text('[blobs]\nsecret_access_key_file = "s3.key"')
        self.assertIn("blobs.secret_access_key_file: ", self.refusal())
        (self.folder / "s3.key").write_text("hunter2\n")
        self.assertEqual(load(self.path).blobs.secret_access_key, "hunter2")
        for wrong in (b"", b"\n", b"a\nb\n", b"x" * 5000, b"\xff"):
            (self.folder / "s3.key").write_bytes(wrong)
            self.assertIn("s3.key", self.refusal())

    def test_secret_only_once(self) -> None:
        """A secret cannot stand in both places."""
        self.path.write_text('[blobs]\nsecret_access_key = "a"\nsecret_access_key_file = "b"')
        self.assertIn("blobs.secret_access_key_file: cannot be given together", self.refusal())


class OidcTests(SynchronousTestCase):
    """`[[oidc]]`."""

    least = (
        '[[oidc]]\nissuer = "https://ci.test"\naudience = "here"\n'
        '[[oidc.rules]]\nclaims = { project_path = "acme/*" }\nproject = "{project_path}"\n'
    )

    def refusal(self, text: str) -> str:
        """Return the text of the ConfigError."""
        return str(self.assertRaises(ConfigError, parse, text, FOLDER))

    def test_the_least(self) -> None:
        """Issuer, audience and a rule are enough."""
        rule = OidcRule((("project_path", "acme/*"),), "{project_path}")
        self.assertEqual(parse(self.least, FOLDER).oidc, (OidcIssuer("https://ci.test", "here", (rule,)),))

    def test_refused(self) -> None:
        """What is missing, double, unsafe or never true is named by its key."""
        for old, new, expected in (
            ('audience = "here"', "", "oidc[1].audience: must be given"),
            ('audience = "here"', 'audience = ["a", "b"]', "oidc[1].audience: must be a printable text"),
            ("https:", "http:", "oidc[1].issuer: must begin with https://"),
            ("https://ci.test", "https://a@ci.test", "oidc[1].issuer: must be https://HOST"),
            ("[[oidc.rules]]", 'algorithms = ["HS256"]\n[[oidc.rules]]', "algorithms: must be an array of RS256 and"),
            ("[[oidc.rules]]", 'algorithms = ["none"]\n[[oidc.rules]]', "algorithms: must be an array of RS256 and"),
            ("[[oidc.rules]]", "lifetime_seconds = 901\n[[oidc.rules]]", "must be a whole number from 60 to 900"),
            ('{ project_path = "acme/*" }', "{}", "rules[1].claims: must be a table of at least one claim"),
            ('{ project_path = "acme/*" }', '{ sub = "x" }', "the claim 'project_path', which has to be among"),
            ('"{project_path}"', '"packages"', "rules[1].project: must be the path of a project"),
            ('"{project_path}"', '"12"', "rules[1].project: must be the path of a project"),
            ('"{project_path}"', '"a/{project_path"', "rules[1].project: must be the path of a project"),
            (self.least, self.least + self.least, "oidc[2].issuer: has a table already"),
            ("issuer =", "isuer =", "did you mean oidc[1].issuer?"),
        ):
            self.assertIn(old, self.least)
            self.assertIn(expected, self.refusal(self.least.replace(old, new, 1)), new)
        self.assertIn("oidc[1].rules: must be given", self.refusal(self.least.partition("[[oidc.rules]]")[0]))

    def test_http_only_where_it_is_said(self) -> None:
        """Without TLS keys are fetched only if somebody writes so."""
        text = self.least.replace("https:", "http:").replace("[[oidc.rules]]", "allow_http = true\n[[oidc.rules]]")
        self.assertTrue(parse(text, FOLDER).oidc[0].allow_http)


class SampleTests(SynchronousTestCase):
    """`etc/pkgregd.toml` documents every key."""

    def test_the_sample_as_it_is_changes_nothing(self) -> None:
        """All of it is commented out."""
        self.assertEqual(evolve(load(SAMPLE), file="pkgregd.toml", folder=FOLDER), parse("", FOLDER))

    def test_uncommented_it_holds_the_defaults(self) -> None:
        """With every key in force the configuration is the same, but for the tables that have no default."""
        config = parse(uncommented_sample(), FOLDER)
        bare = evolve(config, formats={}, rate_limits=(), oidc=(), packages=PackagesConfig(), scrub=ScrubConfig())
        self.assertEqual(bare, parse("", FOLDER))
        self.assertEqual(config.packages.quota_bytes, 100 << 30)  # an example: there is no quota by default
        self.assertEqual(config.scrub, ScrubConfig(30))  # which is what it is for a folder
        self.assertEqual([ScrubConfig().days(url) for url in ("file:blobs", "s3://b/p")], [30, 0])
        (issuer,) = config.oidc
        self.assertEqual(evolve(issuer, jwks_url=""), OidcIssuer(issuer.issuer, issuer.audience, issuer.rules))
        packages = [rule for rule in config.rate_limits if rule.routes is RouteClass.PACKAGES]
        self.assertEqual(len(packages), 3)
        for rule in packages:
            self.assertEqual((rule.authenticated, rule.anonymous), (Rate(1000, 15), Rate(800, 15)))
        (management,) = [rule for rule in config.rate_limits if rule.routes is RouteClass.MANAGEMENT]
        self.assertEqual((management.authenticated, management.anonymous), (Rate(7200, 3600), Rate(3600, 3600)))

    def test_every_key_is_there_once(self) -> None:
        """No key is missing from the sample, and each stands in its section."""
        found = {name: [] for name in SECTIONS}
        section = ""
        for line in SAMPLE.read_text("utf-8").splitlines():
            if heading := re.fullmatch(r"#\[([a-z_.]+)\]", line):
                # what only some formats have stands with one of those
                section = "formats.generic" if heading[1].startswith("formats.") else heading[1]
            elif key := re.match(r"#([a-z_]+) = ", line):
                found.setdefault(section, []).append(key[1])
            elif line.startswith("#[["):
                section = line.strip("#[]")
        for name, made in SECTIONS.items():
            self.assertEqual(sorted(found[name]), sorted(known_keys(made)), name)
        self.assertEqual(set(known_keys(Config)), {*SECTIONS, "formats", "rate_limits", "oidc"} - {"formats.generic"})
        self.assertEqual({*found["oidc"], "rules"}, {key.name for key in fields(OidcIssuer)})
        self.assertEqual(set(found["oidc.rules"]), {key.name for key in fields(OidcRule)})
        self.assertEqual(set(found["rate_limits"]), {key.name for key in fields(RateLimitRule)})

    def test_the_front_has_the_same_defaults(self) -> None:
        """Where the front's settings and the configuration share a key they share its default."""
        front = {key.name: key.default for key in fields(FrontSettings)}
        shared = {key.name: key.default for key in fields(HttpConfig) if key.name in front}
        self.assertEqual(len(shared), 13)
        self.assertEqual(shared, {name: front[name] for name in shared})

    def test_limits_of_inspections_have_the_defaults_of_the_configuration(self) -> None:
        """What archives may cost is the same with and without a configuration."""
        self.assertEqual(asdict(InspectionConfig()), asdict(InspectionLimits()))
