"""What leaves a host in its logs, and what does not."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from role_programs import program_directory

with program_directory("log_shipping/templates/usr/local/lib/airworthy/log_shipping"):
    import masking
    import masking_names
    import masking_rules

GROUPS = yaml.safe_load((Path(__file__).parent / "log_masking_samples.yml").read_text(encoding="utf-8"))
SAMPLES = [
    pytest.param(
        sample.get("text", sample.get("untouched")).replace("¦", ""), sample.get("masked", sample.get("untouched")),
        id=f"{group}-{number}",
    )
    for group, samples in GROUPS.items()
    for number, sample in enumerate(samples, 1)
]  # fmt: skip
EMAIL, CARD, TOKEN = "anna.example@mail.example.org", "4111111111111111", "gh" + "p_" + "0" * 34 + "ex"


@pytest.fixture
def masker() -> masking.Masker:
    return masking.Masker.of([])


# Texts


def test_there_are_samples_of_both_kinds() -> None:
    kinds = [set(sample) for samples in GROUPS.values() for sample in samples]
    assert all(kind in ({"text", "masked"}, {"untouched"}) for kind in kinds)
    assert len(kinds) >= 260
    assert kinds.count({"untouched"}) >= 100


@pytest.mark.parametrize(("text", "masked"), SAMPLES)
def test_a_line_is_masked_and_masking_it_again_changes_nothing(
    masker: masking.Masker, text: str, masked: str
) -> None:
    assert masker.mask({"message": text}) == {"message": masked}
    assert bool(masker.counts) is (text != masked)
    before = masker.counts.copy()
    assert masker.mask({"message": masked}) == {"message": masked}
    assert masker.counts == before


def test_each_rule_has_a_sample_that_needs_it() -> None:
    masker = masking.Masker.of([])
    for sample in SAMPLES:
        masker.text(sample.values[0])
    assert set(masker.counts) == {rule.name for rule in masking_rules.BUILT_IN}


def test_what_a_rule_needs_stands_in_all_that_it_finds() -> None:
    for sample in SAMPLES:
        text = sample.values[0]
        for rule in masking_rules.BUILT_IN:
            if rule.applied(text)[1]:
                assert any(needed in text.lower() for needed in rule.needs), (rule.name, text)


# Records


def test_a_record_keeps_what_the_shipper_put_there_and_its_shape(masker: masking.Masker) -> None:
    record = {
        "time": "2026-11-25T10:15:30Z", "host": "web1", "program": "app", "id": "a@b.example", "request_id": "/x?y=1",
        "unit": "app@3000.service", "pid": 4242, "level": "info",
        "message": f"mail to {EMAIL}", "ok": True, "none": None, "figures": [1, 2.5, CARD],
        "nested": {"id": EMAIL, "list": [{"to": EMAIL}], EMAIL: 1},
    }  # fmt: skip
    original = json.dumps(record)
    assert masker.mask(record) == {
        **record,
        "message": "mail to [email]", "figures": [1, 2.5, "[card]"],
        "nested": {"id": "[email]", "list": [{"to": "[email]"}], "[email]": 1},
    }  # fmt: skip
    assert json.dumps(record) == original


@pytest.mark.parametrize(
    ("name", "mask"),
    [
        *((name, "[secret]") for name in (
            "password", "db_password", "PGPASSWORD", "newPassword", "passwordHash", "passwd", "pass", "pwd", "secret",
            "client_secret", "token", "accessToken", "x-csrf-token", "authtoken", "api_key", "apikey", "x-api-key",
            "APIKey", "authorization", "Proxy-Authorization", "session_id", "sessionID", "connect.sid", "private_key",
            "credentials", "aws_secret_access_key", "token2", "otp", "refresh_tokens",
        )),
        *((name, "[cookie]") for name in ("cookie", "Set-Cookie", "cookies", "req.cookie")),
        *((name, "[email]") for name in ("email", "userEmail", "e-mail", "email_address")),
        *((name, "[card]") for name in ("credit_card", "creditCard", "cardNumber", "cvv")),
        *((name, "[personal]") for name in ("phone", "phoneNumber", "date_of_birth")),
        ("iban", "[iban]"), ("query_string", "[query]"),
        *((name, "") for name in (
            "token_type", "total_tokens", "tokens", "password_changed_at", "cache_key", "public_key", "key", "author",
            "auth", "bypass", "compass", "passed", "email_verified", "emails_sent", "session", "company", "inside",
            "message", "",
        )),
    ],
)  # fmt: skip
def test_a_name_tells_what_its_value_is(name: str, mask: str) -> None:
    assert masking_names.kind(name) == mask


@pytest.mark.parametrize("value", ["x", 7, 0, 1.5, ["x"], {"a": "x"}])
def test_of_a_secret_nothing_is_left(masker: masking.Masker, value: Any) -> None:
    assert masker.mask({"a": [{"accessToken": value}]}) == {"a": [{"accessToken": "[secret]"}]}


@pytest.mark.parametrize("value", [None, True, False, "", [], {}])
def test_that_a_secret_is_missing_may_be_told(masker: masking.Masker, value: Any) -> None:
    assert masker.mask({"password": value}) == {"password": value}
    assert not masker.counts


def test_names_that_other_programs_use_otherwise(masker: masking.Masker) -> None:
    record = {"PWD": "/home/deploy", "session_id": "6563a1b2.1a2b"}  # sudo, Postgres
    assert masker.mask(record) == record


def test_a_record_of_postgres(masker: masking.Masker) -> None:
    record = {
        "time": "2026-11-25T10:15:30Z", "user": "app", "session_id": "6563a1b2.1a2b", "error_severity": "ERROR",
        "message": 'duplicate key value violates unique constraint "users_email_key"',
        "detail": "Key (email)=(a@b.c) already exists.",
        "statement": "INSERT INTO users (email, age) VALUES ('a@b.c', 41) /*request_id='5f0c1de2'*/",
        "context": "unnamed portal with parameters: $1 = 'Anna'",
    }  # fmt: skip
    assert masker.mask(record) == {
        **record,
        "detail": "Key (email)=([value]) already exists.",
        "statement": "INSERT INTO users (email, age) VALUES ('[value]', 41) /*request_id='5f0c1de2'*/",
        "context": "unnamed portal with parameters: $1 = '[value]'",
    }


def test_a_field_for_a_query_holds_a_statement_or_the_end_of_an_address(masker: masking.Masker) -> None:
    assert masker.mask({"query": "SHOW x"}) == {"query": "SHOW x"}
    assert masker.mask({"query": "call f('Anna')"}) == {"query": "call f('[value]')"}
    assert masker.mask({"query": "q=anna&page=2"}) == {"query": "[query]"}


def test_a_text_that_is_json_stays_json(masker: masking.Masker) -> None:
    inner = json.dumps({"password": 'x"y'})
    said = {"a": f"\n{EMAIL}\n", "b": {"token": 7, "c": [f'say "{EMAIL}"', inner]}, "ä": "\ud800"}
    for escape in (True, False):
        masked = masker.mask({"message": json.dumps(said, ensure_ascii=escape)})["message"]
        assert json.loads(masked) == {
            "a": "\n[email]\n",
            "b": {"token": "[secret]", "c": ['say "[email]"', '{"password": "[secret]"}']},
            "ä": "\ud800",
        }


def test_what_lies_too_deep_is_left_out(masker: masking.Masker) -> None:
    deep: Any = EMAIL
    for _ in range(900):
        deep = {"a": [deep]}
    masked = str(masker.mask({"deep": deep}))
    assert EMAIL not in masked
    assert "[too deep]" in masked
    assert EMAIL not in masker.text("[" * 30_000 + f'"{EMAIL}"' + "]" * 30_000)


def test_it_is_counted_what_each_rule_replaced(masker: masking.Masker) -> None:
    masker.mask({"a": f"{EMAIL} {EMAIL} {CARD}", "password": "x"})
    masker.mask({"a": "GET /a?b=c", "b": EMAIL})
    assert masker.counts == {"email": 3, "card": 1, "named": 1, "query": 1}


# The user's own rules


def test_own_rules_come_after_those_that_are_built_in() -> None:
    masker = masking.Masker.of([{"name": "customer", "pattern": r"\b(C)-\d{6}\b", "replacement": r"\1-[customer]"}])
    assert masker.mask({"message": f"C-004711 is {EMAIL}", "short": "C-000001"}) == {
        "message": "C-[customer] is [email]", "short": "C-[customer]",
    }  # fmt: skip
    assert masker.counts == {"customer": 2, "email": 1}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": ""}, "masking rule 1 has no name"),
        ({"name": None}, "masking rule 1 has no name"),
        ({"name": "email"}, "masking rule email: the name is taken already"),
        ({"pattern": "("}, "masking rule own: missing ), unterminated subpattern at position 0"),
        ({"pattern": None}, "masking rule own: pattern is missing, or no text"),
        ({"pattern": "x*"}, "masking rule own: its pattern matches where nothing stands"),
        ({"pattern": "(?=a)"}, "masking rule own: its pattern matches where nothing stands"),
        ({"replacement": r"\2"}, "masking rule own: invalid group reference 2 at position 1"),
        ({"replacement": 7}, "masking rule own: replacement is missing, or no text"),
        ({"flags": "i"}, "masking rule own: there is no flags, only name, pattern, replacement"),
    ],
)
def test_an_own_rule_that_is_wrong_is_refused_by_name(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as refusal:
        masking.Masker.of([{"name": "own", "pattern": "C-[0-9]+", "replacement": "[own]", **changed}])
    assert str(refusal.value) == said


def test_an_own_name_comes_once() -> None:
    own = {"name": "own", "pattern": "C-[0-9]+", "replacement": "[own]"}
    with pytest.raises(ValueError, match="masking rule own: the name is taken already"):
        masking.Masker.of([own, own])


# Whatever a client sends

PIECES = [
    "a@", "a@b.", "/?", "?a=", ")", "'", '"', "\\", "1", "4111 ", "eyJ", "eyJa.", "-----BEGIN PRIVATE KEY-----", "://",
    "://a:", "://a:b@", "token=", 'token="', 'token:["', "token: ", "Bearer ", "Key (a)=(", "failing row contains (",
    "SELECT '", "select ", "AUDIT: SESSION,1,1,a,b,c,d,", "update a", 'COPY a, line 1: "', "/*", "--", "$a$", "E'",
    "%", "%40", "@", "a.", "DE89 ", "\\n", "{", '{"a":', "cookie: a;", "params: ", "statement: ", "execute ", "-sk-",
    "npm_", "SG.", "--a ", "\n", 'token=\\"', "a ", "key=",
]  # fmt: skip


@pytest.mark.parametrize("opening", ["", '"', "token='", "SELECT "])
@pytest.mark.parametrize("piece", PIECES)
def test_twice_the_length_takes_no_more_than_twice_the_time(masker: masking.Masker, piece: str, opening: str) -> None:
    """Four times were quadratic, and would be so each time it is tried. What is over in no time says nothing."""

    def seconds(length: int) -> float:
        text = opening + piece * (length // len(piece))
        best = 1e9
        for _ in range(3):
            began = time.process_time()
            masker.text(text)
            best = min(best, time.process_time() - began)
        return best

    assert any((whole := seconds(65_536)) < 0.05 or whole < 3 * seconds(32_768) for _ in range(4))


SURROUNDINGS = [" ", "'", '"', ",", "(", ")", "[", "]", "{", "}", " , ", '","', "' '"]


@pytest.mark.parametrize("seed", range(8))
def test_no_surroundings_let_personal_data_through(masker: masking.Masker, seed: int) -> None:
    chance = random.Random(seed)
    words = ["order", "at", "42", "x", "paid", "SELECT", "statement:", "message", "=", ":"]
    for _ in range(400):
        planted = chance.choice([EMAIL, CARD, TOKEN])
        around = ["".join(chance.choices(SURROUNDINGS + words, k=chance.randrange(6))) for _ in range(2)]
        text = around[0] + chance.choice(SURROUNDINGS) + planted + chance.choice(SURROUNDINGS) + around[1]
        assert planted not in json.dumps(masker.mask({"message": text, "list": [{"a": text}]})), text


@pytest.mark.parametrize("seed", range(8))
def test_no_text_is_too_strange(masker: masking.Masker, seed: int) -> None:
    chance = random.Random(seed)
    alphabet = [*PIECES, *SURROUNDINGS, EMAIL, CARD, TOKEN, "\x00", "\ud800", "İ", "é", "٣", "[email]", "[value]"]
    for _ in range(400):
        text = "".join(chance.choices(alphabet, k=chance.randrange(30)))
        masked = masker.mask({"message": text, "query": text, text: text})
        assert isinstance(masked["message"], str)
