"""`semidbench check`: every rule is broken by a plugin that breaks no other; this repository's methods keep all."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from semidbench.cli import main
from semidbench.errors import UserError
from semidbench.isolation.limits import Limits
from semidbench.methods.registry import KINDS, MethodKind
from semidbench.testing import NearestRows, Rule, context, quantizer_rules, small_world
from semidbench.testing.check import Report, check
from semidbench.testing.evidence import Evidence, Measured
from semidbench.testing.process import LIMITS
from semidbench.testing.rules import judge, rules
from tests import broken_plugins

_LIMITS = Limits(seconds=120, memory_mib=1500)
_SHORT = Limits(seconds=3, memory_mib=1500)


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    broken_plugins.install(tmp_path / "site", monkeypatch)
    return tmp_path / "site"


def failed(report: Report) -> dict[str, str]:
    return {each.rule.name: each.seen for each in report.findings if each.status == "failed"}


def ended_with(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr("sys.argv", ["semidbench", "check", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize(("kind", "name"), broken_plugins.EXPECTED, ids=map("-".join, broken_plugins.EXPECTED))
def test_a_broken_plugin_breaks_its_rule_and_no_other(kind: MethodKind, name: str) -> None:
    report = check(name, kind, {}, _SHORT if name == "broken-hang" else _LIMITS)
    expected = broken_plugins.EXPECTED[kind, name]
    assert set(failed(report)) == ({expected} if expected else set()), (failed(report), report.evidence)
    assert report.passed is (expected is None)


def test_every_rule_is_broken_by_some_plugin() -> None:
    broken = set(broken_plugins.EXPECTED.values()) - {None}
    assert broken == {rule.name for kind in KINDS for rule in rules(kind)} - {"found"}


def test_every_rule_is_explained() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "plugin-api.md").read_text("utf-8")
    table = text.split("## The rules of semidbench check")[1].split("\n## ")[0]
    for name in {rule.name for kind in KINDS for rule in rules(kind)}:
        assert any(f"`{name}`" in line.split("|")[1] for line in table.splitlines() if line.startswith("|")), name


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("quantizer", "crash", "its process was ended by SIGSEGV"),
        ("quantizer", "hard-exit", "its process left with exit code 0"),
        ("quantizer", "exit", "it raised SystemExit: 0"),
        ("quantizer", "raise", "it raised RuntimeError: the deed is done"),
        ("quantizer", "memory-hog", "it raised MemoryError"),
        ("quantizer", "flood", "it printed more than 16 MiB"),
        ("quantizer", "large", "with 10 times as many items it raised RuntimeError: too many items"),
        ("quantizer", "light", "imports scipy"),
        ("quantizer", "made-lacks", "it has no `fit` and no `encode`"),
        ("quantizer", "returns-int32", "expected codes of dtype int64, got int32"),
        ("quantizer", "rows-single", "one at a time raised ValueError: one row is too few"),
        ("quantizer", "private-native", "held-out/queries.parquet"),
        ("embedder", "inputs", "train.interactions.items changed"),
        ("layout", "inputs", "x, views['search'] changed"),
        ("ranker", "inputs-queries", "queries changed"),
        ("embedder", "same-bits-hash", "view 'item' differ in 240 of 240 rows between two processes"),
        ("layout", "state", "the state of numpy's global generator changed"),
    ],
)
def test_a_finding_says_what_was_seen(kind: MethodKind, name: str, words: str) -> None:
    [seen] = failed(check(f"broken-{name}", kind, {}, _LIMITS)).values()
    assert words in seen


def test_the_method_s_own_traceback_is_kept() -> None:
    trace = check("broken-raise", "quantizer", {}, _LIMITS).evidence.trace
    assert trace is not None
    assert "broken_methods.py" in trace
    assert "in fail" in trace


@pytest.mark.parametrize(
    ("name", "words", "seconds"), [("broken-hang", "in hang", 5), ("broken-crash", "in crash", 120)]
)
def test_where_a_process_was_is_kept(name: str, words: str, seconds: float) -> None:
    trace = check(name, "quantizer", {}, Limits(seconds, 1500)).evidence.trace
    assert trace is not None
    assert words in trace
    assert "semidbench/" not in trace


def test_a_file_of_the_user_is_no_module_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('not mine')")
    monkeypatch.chdir(tmp_path)
    assert check("broken-good", "quantizer", {}, _LIMITS).passed


@pytest.mark.parametrize("name", ["popularity", "shared", "separate", "rq-kmeans", "content"])
def test_methods_of_this_repository_keep_all_rules(name: str) -> None:
    report = check(name, None, {}, LIMITS)
    assert report.passed, failed(report)
    assert [each.items for each in report.evidence.measured] == [240, 2400]


def test_the_command_says_all_that_was_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended_with(monkeypatch, "broken-raise", "--kind", "quantizer", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["semidbench_check"], told["passed"], told["distribution"]) == (1, False, "broken-plugins")
    assert {each["name"]: each["status"] for each in told["rules"]}["runs"] == "failed"
    assert ended_with(monkeypatch, "broken-raise", "--kind", "quantizer") == 1
    printed = capsys.readouterr()
    assert "the deed is done" in " ".join(printed.out.split())
    assert not printed.err
    kept, _, rest = printed.out.partition("not checked, because runs is broken: ")
    skipped, _, broken = rest.partition("\n\nfailed: runs\n")
    assert "made" in kept
    assert skipped.split(", ")[0] == "returns"
    assert "\n" not in skipped
    assert broken.index("  Contract: it does its work") < broken.index("  Seen: ") < broken.index("broken_methods.py")
    assert broken.splitlines()[-1] == "    RuntimeError: the deed is done"
    assert ended_with(monkeypatch, "broken-good", "--kind", "quantizer") == 0
    assert "2,400 items" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["broken-god"], "unknown method 'broken-god'. Did you mean 'broken-good'"),
        (["broken-god", "--kind", "layout"], "unknown layout 'broken-god'"),
        (["broken-good"], "registered as embedder and as quantizer and as layout and as ranker. Say which with --kind"),
        (["rq-kmeans[beam=much]"], "option beam of quantizer 'rq-kmeans'"),
        (["rq-kmeans", "--option", "beam"], "write it as --option KEY=VALUE"),
        (["rq-kmeans["], "cannot read 'rq-kmeans['"),
    ],
)
def test_mistakes_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert ended_with(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1


def rule(name: str) -> Rule:
    return next(each for each in quantizer_rules() if each.name == name)


def test_a_plugin_s_own_tests_ask_a_rule_at_a_time() -> None:
    rule("rows").check("broken-good")
    rule("rows").check(NearestRows)
    with pytest.raises(AssertionError, match=r"found failed.*no installed plugin registers it"):
        rule("found").check(NearestRows)
    rule("found").check(import_module("semidbench_faiss.kmeans").Kmeans)
    with pytest.raises(AssertionError, match=r"rows failed. Contract: encode gives a row .* Seen: encode of the rows"):
        rule("rows").check("broken-rows-batch")
    with pytest.raises(AssertionError, match=r"rows not checked.*runs is broken"):
        rule("rows").check("broken-raise")
    with pytest.raises(UserError, match="unknown option of quantizer 'broken-good' 'bits'"):
        rule("rows").check("broken-good", bits=3)


def test_a_class_that_no_other_process_can_find_is_refused() -> None:
    class Local:
        pass

    with pytest.raises(ValueError, match="cannot be found by a process of its own"):
        rule("runs").check(Local)


@pytest.mark.parametrize(
    ("small", "large", "broken"),
    [
        ((0.001, 0.1), (0.9, 15.9), set()),  # below the floors
        ((0.1, 2.0), (4.9, 59.0), set()),  # 49 times and 29.5
        ((0.1, 2.0), (5.1, 61.0), {"time", "memory"}),
        ((0.0, 0.0), (0.1, 15.9), set()),
        ((0.0, 0.2), (1.1, 22.0), {"time", "memory"}),  # as of one float32 (N, N)
    ],
)
def test_growth(small: tuple[float, float], large: tuple[float, float], broken: set[str]) -> None:
    evidence = Evidence("some", {}, measured=(Measured(240, *small), Measured(2400, *large)))
    assert {each.rule.name for each in judge("layout", evidence) if each.status == "failed"} == broken


def test_what_is_handed_to_authors_is_what_a_run_hands_over(tmp_path: Path) -> None:
    train, given = small_world(), context(tmp_path)
    assert train.n_items == 240
    assert not train.interactions.items.flags.writeable
    encodings = given.text_encoder.encode(train.catalogue.texts)
    assert encodings.shape == (240, given.text_encoder.dimension)
    alone = given.text_encoder.encode(train.catalogue.texts[5:6])
    assert (alone == encodings[5]).all()
