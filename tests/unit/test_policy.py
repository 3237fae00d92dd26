"""Policies: read strictly, and applied to what is known of a codec."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.digest import Digest
from chonkle.errors import PolicyError
from chonkle.evidence import Evidence
from chonkle.oci.attestation import Attestation, sign_file
from chonkle.oci.private_keys import PrivateKey
from chonkle.policy import Candidate, Pattern, Policy

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HEAD = 'version = 1\ndefault = "deny"\n'
KEYS = '[keys]\nalice = "ecdsa-p256.pub"\nbob = "ed25519.pub"\n'
OF = {"alice": "ecdsa-p256", "bob": "ed25519"}


class Office:
    """Writes policies beside the fixed keys, and candidates that these signed."""

    def __init__(self, folder: Path, golden: Path, keys: dict[str, PrivateKey]) -> None:
        self.folder = folder
        self.keys = keys
        for name in OF.values():
            (folder / f"{name}.pub").write_bytes((golden / f"{name}.pub").read_bytes())

    def policy(self, text: str, head: str = HEAD) -> Policy:
        path = self.folder / "policy.toml"
        path.write_text(f"{head}{KEYS}{text}", encoding="utf-8")
        return Policy.read(path, now=lambda: NOW)

    def candidate(
        self, *signers: str, codec_id: str = "zlib", place: str = "registry.test/codecs/zlib"
    ) -> Candidate:
        bundles = [Attestation("bundle", sign_file(b"codec", self.keys[OF[s]])) for s in signers]
        evidence = Evidence(place, attestations=tuple(bundles))
        return Candidate(
            codec_id=codec_id,
            origin="source",
            name=f"oci://{place}:1",
            data=b"codec",
            evidence=(evidence,),
        )


@pytest.fixture
def office(tmp_path: Path, golden: Path, private_keys: dict[str, PrivateKey]) -> Office:
    return Office(tmp_path, golden, private_keys)


def refusal(policy: Policy, candidate: Candidate) -> str:
    with pytest.raises(PolicyError) as caught:
        policy.require(candidate)
    return str(caught.value)


SIGNED = '[[rules]]\nsigned-by = ["alice"]\n'


def test_a_key_that_is_named_allows(office: Office) -> None:
    allowed = office.policy(SIGNED).require(office.candidate("bob", "alice"))
    assert allowed.reason == "rule 1: signed by `alice` (bundle)"
    assert allowed.signed is not None
    assert allowed.signed.subject == Digest.sha256(b"codec")
    assert allowed.key.startswith("ecdsa-p256 sha256:")


def test_another_key_and_none_are_refused_with_the_reason(office: Office) -> None:
    policy = office.policy(SIGNED)
    words = refusal(policy, office.candidate("bob"))
    assert "does not allow codec `zlib` (source, oci://registry.test/codecs/zlib:1)" in words
    assert "rule 1: bundle attestation: no accepted key made this signature" in words
    words = refusal(policy, office.candidate())
    assert words.endswith("rule 1: it is not signed, and has to be by `alice`")


def test_one_rule_that_is_kept_is_enough(office: Office) -> None:
    policy = office.policy(f'{SIGNED}[[rules]]\nsigned-by = ["bob"]\n')
    assert policy.require(office.candidate("bob")).reason.startswith("rule 2")
    words = refusal(policy, office.candidate())
    assert "rule 1: it is not signed" in words
    assert "rule 2: it is not signed" in words


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("from = 2026-06-01T12:00:00Z", ""),
        ("from = 2026-06-01T14:00:00+02:00", ""),
        ("until = 2026-06-01T12:00:00.001Z", ""),
        ("from = 2026-06-01", ""),
        ("until = 2026-06-01T12:00:00Z", "rule 1: it expired at 2026-06-01 12:00:00 UTC, and it"),
        ("until = 2026-06-01", "rule 1: it expired at 2026-06-01 00:00:00 UTC, and it is"),
        ("from = 2026-06-01T12:00:01Z", "rule 1: it holds from 2026-06-01 12:00:01 UTC on, and"),
    ],
)
def test_a_rule_holds_for_its_time(when: str, words: str, office: Office) -> None:
    policy = office.policy(f"{SIGNED}{when}\n")
    if words:
        assert words in refusal(policy, office.candidate("alice"))
    else:
        policy.require(office.candidate("alice"))


@pytest.mark.parametrize(
    ("conditions", "applies"),
    [
        ('codecs = ["zlib"]', True),
        ('codecs = ["z*"]', True),
        ('codecs = ["lz4", "bz2"]', False),
        ('repositories = ["registry.test/codecs/*"]', True),
        ('repositories = ["oci://registry.test/codecs/zlib"]', True),
        ('repositories = ["registry.test/*"]', False),
        ('repositories = ["registry.test/**"]', True),
        ('repositories = ["other.test/**"]', False),
        (f'digests = ["{Digest.sha256(b"codec")}"]', True),
        (f'digests = ["{Digest.blake3(b"codec")}"]', True),
        (f'digests = ["{Digest.sha256(b"other")}"]', False),
        ('codecs = ["zlib"]\nrepositories = ["other.test/**"]', False),
    ],
)
def test_a_rule_applies_where_all_matches(conditions: str, applies: object, office: Office) -> None:
    policy = office.policy(f"{SIGNED}{conditions}\n")
    if applies:
        policy.require(office.candidate("alice"))
    else:
        assert "no rule applies to it" in refusal(policy, office.candidate("alice"))


def test_a_repository_that_the_signer_must_name(office: Office) -> None:
    policy = office.policy(f'{SIGNED}identities = ["registry.test/codecs/*"]\n')
    words = refusal(policy, office.candidate("alice"))
    assert 'signed by `alice` as `""`, which is none of `registry.test/codecs/*`' in words


def test_the_identity_of_the_classic_layout_is_compared(office: Office, golden: Path) -> None:
    payload = (golden / "payload.json").read_bytes()
    signature = (golden / "payload.json.ecdsa-p256.sig").read_bytes()
    manifest = b'{"layers": []}'
    evidence = Evidence("r", (manifest,), (Attestation("classic", payload, signature),))
    candidate = Candidate(
        codec_id="x", origin="source", name="n", data=b"codec", evidence=(evidence,)
    )
    # The golden attestation is of another manifest: what does not lead to the codec is refused.
    assert "it attests another artifact" in refusal(office.policy(SIGNED), candidate)


def test_unsigned_is_allowed_where_a_rule_says_so(office: Office) -> None:
    policy = office.policy('[[rules]]\ncodecs = ["zlib"]\nunsigned = true\n')
    assert policy.require(office.candidate()).reason == "rule 1 allows it unsigned"
    assert "no rule applies" in refusal(policy, office.candidate(codec_id="lz4"))


def test_the_default_is_for_what_no_rule_is_about(office: Office) -> None:
    head = HEAD.replace("deny", "allow")
    policy = office.policy(f'{SIGNED}codecs = ["zlib"]\n', head)
    assert policy.require(office.candidate(codec_id="lz4")).reason == "no rule applies"
    assert "it is not signed" in refusal(policy, office.candidate())


def test_deny_wins_over_everything_while_it_holds(office: Office) -> None:
    deny = f'[[rules]]\ndigests = ["{Digest.blake3(b"codec")}"]\ndeny = "CVE-1"\n'
    assert refusal(office.policy(SIGNED + deny), office.candidate("alice")).endswith(
        "rule 2 denies it: CVE-1"
    )
    shipped = Candidate(codec_id="zlib", origin="shipped", name="zlib.wasm", data=b"codec")
    assert "CVE-1" in refusal(office.policy(deny), shipped)
    office.policy(SIGNED + deny + "until = 2026-01-01\n").require(office.candidate("alice"))


@pytest.mark.parametrize("origin", ["shipped", "native"])
def test_shipped_codecs_are_trusted_unless_the_policy_says_no(origin: str, office: Office) -> None:
    candidate = Candidate(codec_id="zlib", origin=origin, name="x")  # type: ignore[arg-type]
    assert office.policy("").require(candidate).reason == f"`{origin}` is trusted"
    assert "no rule applies" in refusal(office.policy("", f"{HEAD}trusted = []\n"), candidate)


def test_a_key_may_stand_in_the_policy(office: Office, golden: Path) -> None:
    pem = (golden / "ed25519.pub").read_text()
    path = office.folder / "inline.toml"
    path.write_text(f'{HEAD}[keys]\ncarol = """\n{pem}"""\n[[rules]]\nsigned-by = ["carol"]\n')
    Policy.read(path).require(office.candidate("bob"))


def test_problems_of_reading_attestations_are_told(office: Office) -> None:
    evidence = Evidence("r", problems=("referrer `x`: too large",))
    candidate = Candidate(
        codec_id="x", origin="source", name="n", data=b"codec", evidence=(evidence,)
    )
    assert "rule 1: referrer `x`: too large" in refusal(office.policy(SIGNED), candidate)


# A policy that is wrong


FREE = f"{HEAD}[[rules]]\nunsigned = true\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "missing `version`, expected `1`"),
        ("version = 2", "wrong `version`, expected `1`, got `2`"),
        ("version = true", "wrong `version`, expected `1`"),
        ("version = 1", 'missing `default`, expected `"allow"` or `"deny"`'),
        ('version = 1\ndefault = "maybe"', "wrong `default`"),
        (f"{HEAD}defualt = 1", 'unknown field `"defualt"`'),
        (f"{HEAD}rule = []", "did you mean `rules`?"),
        (f'{HEAD}trusted = ["shiped"]', "did you mean `shipped`?"),
        (f'{HEAD}trusted = ["source"]', 'trusted `"source"`'),
        (f"{HEAD}keys = 1", "wrong `keys`"),
        (f'{HEAD}keys = {{"a b" = "x"}}', "wrong `keys`"),
        (f"{HEAD}keys.a = 1", "wrong `keys.a`"),
        (f'{HEAD}keys.a = "no.pub"', "cannot read the key"),
        (f'{HEAD}keys.a = "policy.toml"', "not a key"),
        (f"{HEAD}rules = 1", "wrong `rules`"),
        (f"{HEAD}rules = [1]", "wrong `rule 1`"),
        (f"{HEAD}[[rules]]", "wrong `rule 1`, expected one of `signed-by`"),
        (f'{FREE}deny = "x"', 'got `"unsigned, deny"`'),
        (f"{HEAD}[[rules]]\nunsignd = true", 'rule 1: unknown field `"unsignd"`'),
        (f"{HEAD}[[rules]]\nunsignd = true", "did you mean `unsigned`?"),
        (f"{HEAD}[[rules]]\nunsigned = false", "wrong `rule 1: unsigned`"),
        (f'{HEAD}[[rules]]\ndeny = " "', "wrong `rule 1: deny`"),
        (f"{HEAD}[[rules]]\ndeny = true", "wrong `rule 1: deny`"),
        (f'{HEAD}[[rules]]\nsigned-by = "a"', "a list of texts"),
        (f"{HEAD}[[rules]]\nsigned-by = []", "expected a key"),
        (f'{HEAD}{KEYS}[[rules]]\nsigned-by = ["alise"]', "did you mean `alice`?"),
        (f'{FREE}identities = ["x"]', "beside `signed-by`"),
        (f"{FREE}codecs = []", "for all"),
        (f'{FREE}codecs = ["z?"]', "a name"),
        (f"{FREE}digests = []", "for all"),
        (f'{FREE}digests = ["md5:0"]', "malformed"),
        (f'{FREE}from = "2026-01-01"', "a date as"),
        (f"{FREE}from = 2026-01-01T00:00:00", "a date"),
        (f"{FREE}from = 2026-01-02\nuntil = 2026-01-02", "`from` before `until`"),
        ("version = ", "malformed TOML"),
        (f"version = {'1' * 5000}", "malformed TOML: Exceeds the limit"),
        (f"version = 0x{'f' * 5000}", "wrong `version`"),
        (f"{FREE}from = 0001-01-01T00:00:00+14:00", "wrong `rule 1: from`, expected a date"),
        (f"{FREE}until = 9999-12-31T23:59:59-12:00", "wrong `rule 1: until`, expected a date"),
    ],
)
def test_a_wrong_policy_is_refused_with_the_place(text: str, words: str, office: Office) -> None:
    path = office.folder / "policy.toml"
    path.write_text(text)
    with pytest.raises(PolicyError) as caught:
        Policy.read(path)
    assert str(caught.value).startswith(f"policy {path}: ")
    assert words in str(caught.value)


def test_a_policy_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"cannot read the policy .*none\.toml"):
        Policy.read(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff")
    with pytest.raises(PolicyError, match="not UTF-8"):
        Policy.read(tmp_path / "binary.toml")


@given(st.text(alphabet="ab/.*", min_size=1, max_size=12))
def test_a_pattern_without_stars_is_the_name_itself(name: str) -> None:
    plain = name.replace("*", "a")
    assert Pattern(plain).matches(plain)
    assert not Pattern(plain).matches(f"{plain}/")
    assert Pattern(f"{plain}/**").matches(f"{plain}/a/b")
    assert Pattern(f"{plain}*").matches(f"{plain}ab")
    assert not Pattern(f"{plain}*").matches(f"{plain}a/b")


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("oci://Index.docker.io/codecs/*", "docker.io/codecs/x"),
        ("registry-1.docker.io:443/**", "docker.io/codecs/x"),
        ("docker.io/codecs/x", "docker.io/codecs/x"),
        ("Registry.test:443/codecs/*", "registry.test/codecs/x"),
        ("*.Example.test:443/codecs/*", "a.example.test/codecs/x"),
        ("https://Host.test:443/**", "https://host.test/a/b.wasm"),
        ("HTTPS://host.test/%61/*", "https://host.test/a/b.wasm"),
        ("file://localhost/opt/**", "file:///opt/a.wasm"),
        ("file:///opt//%61%20b/*", "file:///opt/a b/c.wasm"),
        ("oci-layout:///opt//*", "oci-layout:///opt/a"),
        ("**", "file:///opt/a"),
        # A signer may name the other one as well.
        ("index.docker.io/a/*", "registry-1.docker.io/a/b"),
    ],
)
def test_a_pattern_matches_a_place_however_it_is_written(pattern: str, place: str) -> None:
    assert Pattern(pattern).matches_place(place)


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("localhost/a", "127.0.0.1/a"),
        ("registry.test/a", "registry.test:5000/a"),
        ("registry.test/a", "registry.test/A"),
        ("docker.io.evil.test/a", "docker.io/a"),
        ("https://host/a/b/c", "https://host/a/b%2Fc"),
    ],
)
def test_another_place_stays_another_one(pattern: str, place: str) -> None:
    assert not Pattern(pattern).matches_place(place)
