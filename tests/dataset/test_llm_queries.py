from __future__ import annotations

import json
import re
import threading
from collections import Counter
from pathlib import Path

import anyio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semidbench.api import Catalogue
from semidbench.dataset.item_text import item_text
from semidbench.dataset.queries.llm.answer import Answer, Unusable, UsedQueries, check_answer, parse_answer
from semidbench.dataset.queries.llm.ask import MAX_ANSWERS, MAX_FAILED_IN_A_ROW, Tally
from semidbench.dataset.queries.llm.client import MAX_RETRIES, Endpoint
from semidbench.dataset.queries.llm.journal import JournalHeader, open_journal, read_journal
from semidbench.dataset.queries.llm.prompt import Item, items_to_ask, prompt_template
from semidbench.dataset.queries.llm.write import (
    JOURNAL,
    REJECTED,
    QueryPlan,
    ask_for_queries,
    exclusive_use,
    plan_queries,
)
from semidbench.dataset.queries.query_files import QueryTargets, normal_form, read_queries
from semidbench.errors import UserError
from semidbench.tracks import track
from tests.stub_llm import Model, Question, Response, Stub, answer, completion, fails, serving, well_behaved

COUNT = 3
SECTION = track.MovieLens(recipe="movielens", min_ratings=0, queries="file", train_queries=COUNT, test_queries=COUNT)
HEADER = JournalHeader(model="stub", temperature=None, queries=COUNT, prompt_sha256="0" * 64)


def catalogue(items: int) -> Catalogue:
    titles = tuple(f"Zanthor the {chr(65 + row // 26)}{chr(97 + row % 26)}quob" for row in range(items))
    return Catalogue(
        texts=tuple(item_text(title, 1990, ("Drama",), ("windy",), "A sailor returns.") for title in titles),
        titles=titles,
        years=np.full(items, 1990, dtype=np.int64),
        categories=(("Drama",),) * items,
        tags=(("windy",),) * items,
        descriptions=("A sailor returns.",) * items,
    )


def movie_ids(items: int) -> np.ndarray:
    return np.arange(items, dtype=np.int64) * 10 + 10


def plan_of(folder: Path, items: int, model: str = "stub", temperature: float | None = None) -> QueryPlan:
    return plan_queries(SECTION, catalogue(items), movie_ids(items), folder, model, temperature)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the openai client would have slept between tries."""
    seconds: list[float] = []

    async def sleep(delay: float) -> None:
        seconds.append(delay)

    monkeypatch.setattr(anyio, "sleep", sleep)
    return seconds


def ask(folder: Path, stub: Stub, items: int, concurrency: int = 1, limit: int | None = None) -> Tally:
    endpoint = Endpoint(stub.base_url, "stub", "secret", "STUB_KEY")
    return ask_for_queries(plan_of(folder, items), endpoint, concurrency=concurrency, limit=limit)


def good(question: Question) -> Response:
    return well_behaved(COUNT)(question)


def good_but_for(*responses: Response) -> Model:
    """The second request gets the first of these, and so on; all others are answered well."""
    return lambda question: responses[question.number - 1] if 1 <= question.number <= len(responses) else good(question)


def read_back(folder: Path, items: int) -> tuple[list[str], list[str]]:
    """Training and test queries, by the reader of the benchmark."""
    rows = {str(movie): row for row, movie in enumerate(movie_ids(items).tolist())}
    targets = QueryTargets("movieId", (int,), rows, (), catalogue(items).titles, "movies.csv")
    train, test, notes = read_queries(folder / "queries.jsonl", targets, COUNT, COUNT)
    assert train.items.tolist() == test.items.tolist() == np.repeat(np.arange(items), COUNT).tolist()
    assert not notes
    return list(train.texts), list(test.texts)


# The prompt.


def test_prompt_is_the_papers_with_the_items_text() -> None:
    template = prompt_template(10)
    assert template.startswith("Your task is to return a list with 10 queries for a given movie (title of the movie,")
    assert template.count("{METADATA}") == 1
    assert "{COUNT}" not in template
    first, second = items_to_ask(catalogue(2), movie_ids(2), 10)
    assert first.movie == 10
    assert (
        "themes and genres of the movie. Movie: Zanthor the Aaquob (1990). Genres: Drama. Tags: windy." in first.prompt
    )
    assert first.prompt_sha256() != second.prompt_sha256()


# What counts as an answer.


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))).filter(str.strip), min_size=2))
def test_any_text_comes_through_with_its_spaces_normalised(texts: list[str]) -> None:
    half = len(texts) // 2
    sent = {"queries": texts[:half], "paraphrases": texts[half : 2 * half]}
    answered = parse_answer(json.dumps(sent), half)
    assert [*answered.train, *answered.test] == [" ".join(text.split()) for text in texts[: 2 * half]]


def test_json_is_read_bare_fenced_and_among_words() -> None:
    plain = json.dumps({"queries": ["a"], "paraphrases": ["b"]})
    for text in (
        f"  {plain}\n",
        f"```json\n{plain}\n```",
        f"Here you are:\n```\n{plain}\n```\nEnjoy",
        f"```{plain}```",
        f"```json {plain} ```",
        f"A set such as {{this}}:\n```json\n{plain}\n```",
        f"```json\n{plain}",
        f"Here is the JSON:\n{plain}",
        f"Here is the JSON:\n{plain}\nAnything else?",
    ):
        assert parse_answer(text, 1) == Answer(("a",), ("b",)), text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" ", "blank"),
        ("Sure! Ten queries follow", "not valid JSON"),
        ('{"queries": ["a"', "not valid JSON"),
        ('Sure! {"queries": ["a"', "not valid JSON"),
        (f'{{"queries": [{"9" * 5000}], "paraphrases": []}}', "not valid JSON"),
        ("[1]", "not a JSON object"),
        ('{"queries": ["a"]}', "no list 'paraphrases'"),
        ('{"queries": ["a", "c"], "paraphrases": ["b"]}', "'queries' has 2 strings, not 1"),
        ('{"queries": [" "], "paraphrases": ["b"]}', "query 1 is blank"),
        ('{"queries": ["a"], "paraphrases": [7]}', "paraphrase 1 is blank or not a string"),
        ('{"queries": ["a\\u0000"], "paraphrases": ["b"]}', "not text"),
        ('{"queries": ["a"], "paraphrases": ["\\ud800"]}', "not text"),
    ],
)
def test_malformed_answers_are_unusable(text: str, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        parse_answer(text, 1)


@pytest.mark.parametrize(
    ("train", "test", "reason"),
    [
        (("a sailor", "A  SAILOR"), ("x", "y"), "query 2 equals query 1"),
        (("a sailor", "b"), ("x", "ａ sailor"), "paraphrase 2 equals query 1"),
        (("films like Grey Harbour", "b"), ("x", "y"), "query 1 contains the title"),
        (("a", "b"), ("x", "Taken for training"), "paraphrase 2 is too general"),
        (("a", "TAKEN for test"), ("x", "y"), "query 2 is too general"),
    ],
)
def test_repetitions_and_leaks_are_unusable(train: tuple[str, ...], test: tuple[str, ...], reason: str) -> None:
    taken = UsedQueries({"taken for training"}, {"taken for test"})
    with pytest.raises(Unusable, match=reason):
        check_answer(Answer(train, test), "The Grey Harbour", taken)
    assert taken == UsedQueries({"taken for training"}, {"taken for test"})


def test_items_may_share_queries_of_one_split() -> None:
    taken = UsedQueries({"taken for training"}, {"taken for test"})
    check_answer(Answer(("Taken for training",), ("taken for test",)), "Up", taken)
    check_answer(Answer(("new",), ("also new",)), "Up", taken)
    assert taken == UsedQueries({"taken for training", "new"}, {"taken for test", "also new"})


@pytest.mark.parametrize(
    ("title", "leaks", "innocent"),
    [
        ("Toy Story", ["like toy story", "the TOY-STORY one"], ["a story of a toy", "toys come alive"]),
        ("The Matrix", ["watch the matrix", "films like Matrix"], ["reality is a matrix", "Matrix algebra for all"]),
        ("Up", ["a film like Up", 'the "Up" film'], ["cheer me up", "Up in the air with balloons. Up they go"]),
        ("It", ["is it like It"], ["It is about a clown. It scares", "what is it"]),
        ("Heat", ["a heat wave"], ["heated rivals", "cheat"]),
        ("I", [], ["what can I watch", "I want drama"]),
        ("Star Wars: Episode IV - A New Hope", ["a star wars film", "give me new hope"], ["wars among stars", "hope"]),
        ("Mission: Impossible", ["mission impossible"], ["an impossible task", "a mission"]),
        ("Léon: The Professional (a.k.a. The Professional) (Léon)", ["films like Leon", "LÉON"], ["a professional"]),
        ("The Postman (Il Postino)", ["il postino"], ["a man who brings letters"]),
        ("8½", ["81⁄2", "8½ by another"], ["8 men"]),
        ("Schindler's List", ["movies like Schindlers List"], ["a list of names"]),
        ("Spider-Man", ["spiderman movies", "spider man", "The Spider-Man one"], ["a man bitten by a spider"]),
        ("M*A*S*H", ["like MASH"], ["mash potatoes", "a mash-up"]),
        ("", [], ["anything"]),
    ],
)
def test_titles_are_found_where_they_stand(title: str, leaks: list[str], innocent: list[str]) -> None:
    for text in leaks:
        with pytest.raises(Unusable, match="contains the title"):
            check_answer(Answer((text,), ("other words",)), title, UsedQueries())
    for text in innocent:
        check_answer(Answer((text,), ("other words",)), title, UsedQueries())


# The journal.


def test_journal_cut_anywhere_is_a_prefix_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    items = [Item(movie, "t", f"prompt ü {movie}") for movie in (1, 2, 3)]
    answers = [Answer((f"ä {item.movie}",), ("b",)) for item in items]
    with open_journal(path, HEADER) as journal:
        for item, each in zip(items, answers, strict=True):
            journal.append(item, each)
    whole = path.read_bytes()
    complete = read_journal(path, HEADER)
    assert [(line.movieId, line.prompt_sha256, line.answer()) for line in complete] == [
        (item.movie, item.prompt_sha256(), each) for item, each in zip(items, answers, strict=True)
    ]
    ends = [at for at, byte in enumerate(whole) if byte == ord("\n")]
    for length in {*range(0, len(whole) + 1, 29), *(end + near for end in ends for near in (-1, 0, 1))}:
        path.write_bytes(whole[:length])
        kept = read_journal(path, HEADER)
        assert kept == complete[: max(0, sum(length >= end for end in ends) - 1)]
        with open_journal(path, HEADER) as journal:
            journal.append(items[2], answers[2])
        assert read_journal(path, HEADER) == [*kept, complete[2]]


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (JournalHeader("other", None, COUNT, "0" * 64), "model 'stub', not 'other'"),
        (JournalHeader("stub", 0.5, COUNT, "0" * 64), "temperature None, not 0.5"),
        (JournalHeader("stub", None, 10, "0" * 64), "queries 3, not 10"),
        (JournalHeader("stub", None, COUNT, "1" * 64), "prompt_sha256"),
    ],
)
def test_journal_of_another_kind_is_refused(tmp_path: Path, header: JournalHeader, named: str) -> None:
    with open_journal(tmp_path / JOURNAL, HEADER) as journal:
        journal.append(Item(1, "t", "p"), Answer(("a",), ("b",)))
    before = (tmp_path / JOURNAL).read_bytes()
    with pytest.raises(UserError, match=named):
        read_journal(tmp_path / JOURNAL, header)
    assert (tmp_path / JOURNAL).read_bytes() == before


@pytest.mark.parametrize("cut", [0, 1])
def test_journal_without_answers_starts_again(tmp_path: Path, cut: int) -> None:
    """Whatever a mistyped command began it with, whether its line has an end or not."""
    other, first = JournalHeader("mistyped", 0.5, 7, "1" * 64), Item(1, "t", "p")
    open_journal(tmp_path / JOURNAL, other).file.close()
    started = (tmp_path / JOURNAL).read_bytes()
    (tmp_path / JOURNAL).write_bytes(started[: len(started) - cut])
    assert read_journal(tmp_path / JOURNAL, HEADER) == []
    with open_journal(tmp_path / JOURNAL, HEADER) as journal:
        journal.append(first, Answer(("a",), ("b",)))
    assert [line.movieId for line in read_journal(tmp_path / JOURNAL, HEADER)] == [1]
    assert b"mistyped" not in (tmp_path / JOURNAL).read_bytes()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"movieId": 1, "prompt', "line 2: not valid JSON"),
        ('{"movieId": 1, "prompt_sha256": "", "train": [1], "test": []}', "line 2: train.0"),
        ('{"movieId": 1}', "line 2: prompt_sha256: Field required"),
    ],
)
def test_damaged_journal_is_refused_with_its_line(tmp_path: Path, line: str, what: str) -> None:
    with open_journal(tmp_path / JOURNAL, HEADER) as journal:
        journal.file.write(f"{line}\n{{}}\n".encode())
    with pytest.raises(UserError, match=what):
        read_journal(tmp_path / JOURNAL, HEADER)


def test_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text('{"movieId": 1}\n')
    with pytest.raises(UserError, match="line 1: no header of a query journal of version 1"):
        read_journal(tmp_path / JOURNAL, HEADER)


# Asking.


def test_writes_what_the_model_answers(tmp_path: Path) -> None:
    with serving(well_behaved(COUNT)) as stub:
        tally = ask(tmp_path, stub, 5, concurrency=2)
    answers = [answer(item.prompt, COUNT) for item in plan_of(tmp_path, 5).items]
    assert read_back(tmp_path, 5) == (
        [text for each in answers for text in each["queries"]],
        [text for each in answers for text in each["paraphrases"]],
    )
    assert (tally.kept, tally.replies, tally.tokens_in, tally.tokens_out, tally.rejected) == (5, 5, 500, 150, [])
    assert {question.key for question in stub.questions} == {"secret"}
    assert not (tmp_path / REJECTED).exists()


def test_questions_in_flight_are_as_many_as_asked_for(tmp_path: Path) -> None:
    barrier = threading.Barrier(4)  # breaks unless four questions are in flight at once
    flying = Counter[str]()
    lock = threading.Lock()

    def model(question: Question) -> Response:
        with lock:
            flying["now"] += 1
            flying["most"] = max(flying["most"], flying["now"])
        barrier.wait(timeout=10)
        with lock:
            flying["now"] -= 1
        return good(question)

    with serving(model) as stub:
        assert ask(tmp_path, stub, 8, concurrency=4).kept == 8
    assert flying["most"] == 4


@pytest.mark.parametrize(
    "trouble",
    [fails(429), fails(500), fails(503), fails(408), fails(409), Response(completion("{}").body, cut=20)],
    ids=["429", "500", "503", "408", "409", "cut"],
)
def test_passing_trouble_is_waited_out_with_growing_waits(
    tmp_path: Path, waits: list[float], trouble: Response
) -> None:
    with serving(good_but_for(trouble, trouble, trouble)) as stub:
        tally = ask(tmp_path, stub, 2)
    assert tally.kept == 2
    assert len(stub.questions) == 5
    assert len(waits) == 3
    assert all(0.375 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits))


def test_retry_after_is_respected(tmp_path: Path, waits: list[float]) -> None:
    with serving(good_but_for(fails(429, Retry_After="7"), fails(503, Retry_After="100"))) as stub:
        assert ask(tmp_path, stub, 2).kept == 2
    assert waits == [7, 100]


def test_a_rate_limit_per_minute_is_waited_out(tmp_path: Path, waits: list[float]) -> None:
    with serving(lambda question: good(question) if question.before == MAX_RETRIES else fails(429)) as stub:
        assert ask(tmp_path, stub, 1).kept == 1
    assert len(stub.questions) == MAX_RETRIES + 1
    assert 50 < sum(waits) < 75


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the response is not a chat completion"),
        (b"<html>busy</html>", "the response is not a chat completion"),
        (b"{}", r"not a chat completion \(no choices\)"),
        (b'{"choices": []}', r"not a chat completion \(no choices\)"),
        (b'{"error": {"message": "upstream is down"}}', r"not a chat completion \(.*upstream is down"),
    ],
    ids=["nothing", "html", "empty", "no choice", "error"],
)
def test_a_response_without_a_completion_is_asked_for_again(
    tmp_path: Path, waits: list[float], body: bytes, reason: str
) -> None:
    def model(question: Question) -> Response:
        return Response(body) if "Abquob" in question.prompt or question.number == 0 else good(question)

    with serving(model) as stub:
        tally = ask(tmp_path, stub, 3)
    assert (tally.kept, tally.replies, len(stub.questions)) == (2, 2, 3 + MAX_ANSWERS)
    assert all(question.messages == stub.questions[0].messages for question in stub.questions[:2])
    (rejected,) = tally.rejected
    assert (rejected.item.movie, len(rejected.reasons), rejected.last) == (20, MAX_ANSWERS, "")
    assert all(re.search(reason, each) for each in rejected.reasons)
    assert waits == []


def test_a_server_that_is_no_api_stops_the_run(tmp_path: Path) -> None:
    with (
        serving(lambda question: Response(b"<html>Welcome</html>")) as stub,
        pytest.raises(UserError, match=f"gave no answer to {MAX_FAILED_IN_A_ROW} questions in a row"),
    ):
        ask(tmp_path, stub, 50)
    assert len(stub.questions) == MAX_FAILED_IN_A_ROW


@pytest.mark.parametrize(
    ("response", "message", "tries"),
    [
        (fails(401, "wrong key secret"), r"refuses the key in STUB_KEY \(HTTP 401\)", 1),
        (fails(403), r"refuses the key in STUB_KEY \(HTTP 403\)", 1),
        (fails(404, "no such model"), "no model 'stub'.*no such model", 1),
        (fails(402), "quota", 1),
        (fails(429, code="insufficient_quota"), "the quota at .* is used up", MAX_RETRIES + 1),
        (fails(429, Retry_After="3600"), "HTTP 429: .*, Retry-After: 3600", MAX_FAILED_IN_A_ROW),
    ],
)
def test_lasting_trouble_stops_the_run_and_keeps_the_answers(
    tmp_path: Path, response: Response, message: str, tries: int
) -> None:
    with (
        serving(lambda question: good(question) if question.number < 2 else response) as stub,
        pytest.raises(UserError, match=message) as error,
    ):
        ask(tmp_path, stub, 10)
    assert "secret" not in str(error.value)
    assert "Run the same command again" in str(error.value)
    assert len(stub.questions) == 2 + tries
    assert len(plan_of(tmp_path, 10).to_ask) == 8
    with serving(well_behaved(COUNT)) as stub:
        ask(tmp_path, stub, 10)
    assert len(stub.questions) == 8
    read_back(tmp_path, 10)


def test_no_server_is_one_clear_line(tmp_path: Path, waits: list[float]) -> None:
    with serving(well_behaved(COUNT)) as stub:
        pass
    with pytest.raises(UserError, match=f"cannot reach {stub.base_url}: .*Check the network and --base-url"):
        ask(tmp_path, stub, 3)
    assert waits == []


def test_address_that_is_none_is_one_clear_line(tmp_path: Path) -> None:
    stub = Stub("nonsense")
    with pytest.raises(UserError, match=r"cannot reach nonsense: .*[^.]\. Check the network and --base-url"):
        ask(tmp_path, stub, 1)


def test_endpoint_that_fails_for_good_stops_the_run(tmp_path: Path) -> None:
    with (
        serving(lambda question: good(question) if question.number < 2 else fails(500, "overloaded")) as stub,
        pytest.raises(UserError, match=f"to {MAX_FAILED_IN_A_ROW} questions in a row .*overloaded"),
    ):
        ask(tmp_path, stub, 50, concurrency=1)
    assert len(stub.questions) == 2 + MAX_FAILED_IN_A_ROW * (MAX_RETRIES + 1)
    assert len(plan_of(tmp_path, 50).answers) == 2


def test_refused_question_costs_its_item_only(tmp_path: Path) -> None:
    def model(question: Question) -> Response:
        return fails(400, "not this one") if "Abquob" in question.prompt else good(question)

    with serving(model) as stub:
        tally = ask(tmp_path, stub, 4)
    assert tally.kept == 3
    (rejected,) = tally.rejected
    assert rejected.item.movie == 20
    assert len(rejected.reasons) == 1
    assert "HTTP 400: " in rejected.reasons[0]
    assert "not this one" in rejected.reasons[0]


def test_refused_questions_among_answered_ones_do_not_stop_the_run(tmp_path: Path) -> None:
    with serving(lambda question: fails(400) if question.number % 2 else good(question)) as stub:
        tally = ask(tmp_path, stub, 4 * MAX_FAILED_IN_A_ROW)
    assert tally.kept == len(tally.rejected) == 2 * MAX_FAILED_IN_A_ROW


def bad_answers(prompt: str) -> list[Response]:
    usable = answer(prompt, COUNT)
    title = prompt.split("Movie: ")[1].split(" (1990)")[0]
    return [
        completion("I cannot do that"),
        completion("", finish="content_filter"),
        completion(json.dumps({**usable, "queries": usable["queries"][:-1]})),
        completion(json.dumps({**usable, "paraphrases": ["", *usable["paraphrases"][1:]]})),
        completion(json.dumps({**usable, "paraphrases": usable["queries"]})),
        completion(json.dumps({**usable, "queries": [f"films like {title}", *usable["queries"][1:]]})),
        completion(json.dumps(usable)[:-30], finish="length"),
    ]


@pytest.mark.parametrize("kind", range(7))
def test_unusable_answer_is_asked_for_again_with_the_reason(tmp_path: Path, kind: int) -> None:
    def model(question: Question) -> Response:
        return bad_answers(question.prompt)[kind] if not question.before else good(question)

    with serving(model) as stub:
        tally = ask(tmp_path, stub, 2)
    assert (tally.kept, tally.replies) == (2, 4)
    read_back(tmp_path, 2)
    first, second = stub.questions[0], stub.questions[1]
    assert first.messages == second.messages[:1]
    answers = json.loads(bad_answers(first.prompt)[kind].body)["choices"][0]["message"]["content"]
    assert [message["content"] for message in second.messages[1:2]] == ([answers] if answers else [])
    assert all("cannot be used" in message["content"] for message in second.messages[2:])


def test_item_without_usable_answer_is_reported_and_the_others_are_kept(tmp_path: Path) -> None:
    def model(question: Question) -> Response:
        return bad_answers(question.prompt)[question.before] if "Abquob" in question.prompt else good(question)

    with serving(model) as stub:
        tally = ask(tmp_path, stub, 4)
    assert (tally.kept, len(stub.questions)) == (3, 3 + MAX_ANSWERS)
    header, record = map(json.loads, (tmp_path / REJECTED).read_text().splitlines())
    assert header == {"semidbench_rejected_queries": 1}
    assert (record["movieId"], record["title"], len(record["reasons"])) == (20, "Zanthor the Abquob", MAX_ANSWERS)
    assert "content_filter" in record["reasons"][1]
    assert not (tmp_path / "queries.jsonl").exists()

    # Once more: the item comes last, is given up no longer, and nothing else is asked for.
    with serving(well_behaved(COUNT)) as stub:
        assert [item.movie for item in plan_of(tmp_path, 6).to_ask] == [50, 60, 20]
        ask(tmp_path, stub, 4)
    assert len(stub.questions) == 1
    assert not (tmp_path / REJECTED).exists()
    read_back(tmp_path, 4)


def test_test_query_never_equals_another_items_training_query(tmp_path: Path) -> None:
    """One item's paraphrases are another's queries until the model knows."""

    def model(question: Question) -> Response:
        usable = answer(question.prompt, COUNT)
        if not question.before and "Aaquob" not in question.prompt:
            usable["paraphrases"] = first["queries"]
        return completion(json.dumps(usable))

    first = answer(plan_of(tmp_path, 3).items[0].prompt, COUNT)
    with serving(model) as stub:
        assert ask(tmp_path, stub, 3).replies == 5
    train, test = read_back(tmp_path, 3)
    assert not {*map(normal_form, train)} & {*map(normal_form, test)}


def test_limit_and_going_on_ask_for_nothing_twice(tmp_path: Path) -> None:
    with serving(well_behaved(COUNT)) as stub:
        ask(tmp_path, stub, 7, limit=3)
        assert not (tmp_path / "queries.jsonl").exists()
        assert len(stub.questions) == 3
        ask(tmp_path, stub, 7, limit=2)
        ask(tmp_path, stub, 7)
        assert max(stub.asked.values()) == 1
        assert len(stub.questions) == 7
        written = (tmp_path / "queries.jsonl").read_bytes()
        ask(tmp_path, stub, 7)
    assert len(stub.questions) == 7
    assert (tmp_path / "queries.jsonl").read_bytes() == written


def test_changed_metadata_are_asked_for_again(tmp_path: Path) -> None:
    with serving(well_behaved(COUNT)) as stub:
        ask(tmp_path, stub, 3)
        (tmp_path / "queries.jsonl").unlink()
        old = catalogue(3)
        texts = (old.texts[0] + " More is known.", *old.texts[1:])
        changed = Catalogue(texts, old.titles, old.years, old.categories, old.tags, old.descriptions)
        plan = plan_queries(SECTION, changed, movie_ids(3), tmp_path, "stub", None)
    assert [item.movie for item in plan.to_ask] == [10]
    assert "changed since, asked for again: 1" in plan.notes[0]


def test_queries_file_of_other_origin_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text("mine\n")
    with pytest.raises(UserError, match="does not agree with the journal"):
        plan_of(tmp_path, 2)
    assert (tmp_path / "queries.jsonl").read_text() == "mine\n"


def test_only_one_process_asks(tmp_path: Path) -> None:
    with exclusive_use(tmp_path), pytest.raises(UserError, match="another process"), exclusive_use(tmp_path):
        pytest.fail("two asked")
    with exclusive_use(tmp_path):
        pass


def test_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    with open_journal(tmp_path / JOURNAL, HEADER) as journal:
        full = Path("/dev/full")
        if not full.exists():
            pytest.skip("no /dev/full")
        journal.file.close()
        journal.file = full.open("wb", buffering=0)
        with pytest.raises(UserError, match="No space left"):
            journal.append(Item(1, "t", "p"), Answer(("a",), ("b",)))
    assert read_journal(tmp_path / JOURNAL, HEADER) == []


def test_estimate_counts_prompts_and_queries(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 4)
    assert plan.tokens(None) == (sum(len(item.prompt) for item in plan.items) // 4, 4 * 6 * 16)
    assert plan.tokens(1) == (len(plan.items[0].prompt) // 4, 6 * 16)
