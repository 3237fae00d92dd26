"""Policies: which keys may sign which codecs, and which codecs need no attestation.

    version = 1
    default = "deny"                        or "allow": where no rule applies
    trusted = ["shipped", "native"]         origins that need no attestation; these when left out

    [keys]
    alice = "alice.pub"                     a file beside the policy, or the key itself (PEM)

    [[rules]]                               applies where all that it names matches:
    codecs = ["zlib", "tiff-*"]             codec ids
    repositories = ["host/codecs/**"]       where a codec comes from
    digests = ["sha256:<hex>"]              of a manifest, an index or a file
    from = 2026-01-01                       and only then; `until` is the first moment after it
    until = 2027-01-01T00:00:00Z
    signed-by = ["alice"]                   one of `signed-by`, `unsigned` and `deny`
    identities = ["host/codecs/**"]         beside `signed-by`: repositories that the signer names

A rule with `deny` that applies decides. Otherwise an origin that is trusted is allowed; then one
rule that applies and is kept is enough; if rules apply and none is kept, the codec is refused; and
where no rule applies, `default` decides.

In patterns `*` stands for characters other than `/`, and `**` for any. An attestation carries no
time that could be trusted, so that `from` and `until` are compared with the time of use.
"""

import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chonkle.digest import Digest
from chonkle.errors import AttestationError, DigestMismatchError, PolicyError, list_choices, suggest
from chonkle.evidence import Evidence, canonical_place
from chonkle.formats.values import format_value
from chonkle.oci.attestation import Verified, verify
from chonkle.storage.files import read_file

if TYPE_CHECKING:
    from chonkle.oci.keys import PublicKey

Origin = Literal["shipped", "native", "installed", "path", "source"]

TRUSTED: tuple[Origin, ...] = ("shipped", "native")
_MAY_BE_TRUSTED = ("shipped", "native", "installed", "path")
_VERSION = 1
_FILE_MAX_BYTES = 1 << 20
_RULES_MAX = 1000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
_PATTERN = re.compile(r"[A-Za-z0-9._+:/*@%~\[\]-]{1,512}", re.ASCII)
_PEM = "-----BEGIN"
_FIELDS = ("version", "default", "trusted", "keys", "rules")
_WORDS = ("signed-by", "unsigned", "deny")
_RULE_FIELDS = ("codecs", "repositories", "digests", "from", "until", *_WORDS, "identities")
_REASONS_MAX = 12


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern of names."""

    text: str

    def matches(self, name: str) -> bool:
        """Tell whether a name matches."""
        return self._matches(self.text, name)

    def matches_place(self, place: str) -> bool:
        """Tell whether a place matches, after both are normalized."""
        return self._matches(canonical_place(self.text), canonical_place(place))

    @staticmethod
    def _matches(text: str, name: str) -> bool:
        parts = re.split(r"(\*+)", text)
        words = (
            (".*" if part != "*" else "[^/]*") if part.startswith("*") else re.escape(part)
            for part in parts
        )
        return re.fullmatch("".join(words), name, re.DOTALL) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; the module says what its fields mean. A condition of None always holds."""

    number: int  # its place in the policy, from 1
    codecs: tuple[Pattern, ...] | None = None
    repositories: tuple[Pattern, ...] | None = None
    digests: frozenset[Digest] | None = None
    start: datetime | None = None  # the first moment of its validity; None for no limit
    end: datetime | None = None  # the first moment after its validity; None for no limit
    signed_by: tuple[str, ...] = ()  # names of keys; empty for the other two kinds
    identities: tuple[Pattern, ...] | None = None  # None where the signer need not name one
    unsigned: bool = False  # whether no attestation is needed
    deny: str = ""  # the reason of the refusal; empty for the other two kinds

    def __str__(self) -> str:
        """Write how a message names the rule."""
        return f"rule {self.number}"

    def when(self, now: datetime) -> str:
        """Say why the rule is not valid now; empty where it is."""
        if self.start is not None and now < self.start:
            return f"it holds from {_moment(self.start)} on, and it is {_moment(now)}"
        if self.end is not None and now >= self.end:
            return f"it expired at {_moment(self.end)}, and it is {_moment(now)}"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A codec, to be judged by a policy."""

    codec_id: str
    origin: Origin  # where it is from, in one word
    name: str  # where it is from, for messages
    data: bytes = b""  # its bytes; empty for a native codec
    evidence: tuple[Evidence, ...] = ()
    # Digests that its sources name; they are unverified, and count for `deny` only.
    pins: frozenset[Digest] = frozenset()


@dataclass(frozen=True, slots=True)
class Allowed:
    """Why a policy allows a codec."""

    reason: str
    signed: Verified | None = None  # the attestation that was required; None where none was
    key: str = ""  # the algorithm and digest of the key that made it; empty where none was required


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Policy:
    """A parsed policy."""

    name: str  # its file, for messages
    default: Literal["allow", "deny"]  # the decision where no rule applies
    trusted: tuple[str, ...]  # origins that need no attestation
    keys: Mapping[str, "PublicKey"]
    rules: tuple[Rule, ...]  # in the order of the file
    now: Callable[[], datetime] = _now

    @classmethod
    def read(cls, path: Path, *, now: Callable[[], datetime] = _now) -> "Policy":
        """Read the file of a policy, and the keys that it names.

        Raises:
            PolicyError: when it cannot be read, or has an unknown or malformed field.
            AttestationError: when the extra `attest` is missing.
        """
        try:
            text = read_file(path, size_max=_FILE_MAX_BYTES).decode()
            document = tomllib.loads(text)
        except OSError as failure:
            raise PolicyError(f"cannot read the policy {path}: {failure.strerror}") from failure
        except UnicodeDecodeError as failure:
            raise PolicyError(f"policy {path}: not UTF-8 text") from failure
        except (ValueError, RecursionError) as failure:
            # Not only TOMLDecodeError: a number of too many digits is a plain ValueError.
            raise PolicyError(f"policy {path}: malformed TOML: {failure}") from failure
        return _Reader(path).policy(document, now)

    def require(self, candidate: Candidate) -> Allowed:
        """Require that a codec may be used.

        Raises:
            PolicyError: when it may not be used, with the reason.
        """
        judged = _Judged(candidate)
        applying = [rule for rule in self.rules if judged.is_under(rule)]
        now = self.now()
        for rule in applying:
            if rule.deny and not rule.when(now):
                raise self._refusal(candidate, [f"{rule} denies it: {rule.deny}"])
        if candidate.origin in self.trusted:
            return Allowed(f"`{candidate.origin}` is trusted")
        reasons: list[str] = []
        applying = [rule for rule in applying if not rule.deny]
        for rule in applying:
            wrong = rule.when(now)
            if wrong:
                reasons.append(f"{rule}: {wrong}")
            elif rule.unsigned:
                return Allowed(f"{rule} allows it unsigned")
            else:
                found = self._signed(rule, judged, reasons)
                if found is not None:
                    return found
        if not applying:
            if self.default == "allow":
                return Allowed("no rule applies")
            reasons = ["no rule applies to it, and the default is to deny"]
        raise self._refusal(candidate, reasons)

    def _signed(self, rule: Rule, judged: "_Judged", reasons: list[str]) -> Allowed | None:
        keys = {name: self.keys[name] for name in rule.signed_by}
        before = len(reasons)
        for evidence in judged.candidate.evidence:
            reasons.extend(f"{rule}: {problem}" for problem in evidence.problems)
            for attestation in evidence.attestations:
                try:
                    found = verify(
                        attestation,
                        subjects=judged.subjects(evidence),
                        keys=keys,
                        file=judged.candidate.data,
                    )
                except AttestationError as failure:
                    reasons.append(f"{rule}: {attestation.layout} attestation: {failure}")
                    continue
                if rule.identities is None or _any_place(rule.identities, found.identity):
                    words = f"{rule}: signed by `{found.key}` ({found.layout})"
                    return Allowed(words, found, str(keys[found.key]))
                reasons.append(
                    f"{rule}: signed by `{found.key}` as {format_value(found.identity)}, "
                    f"which is none of {', '.join(f'`{each.text}`' for each in rule.identities)}"
                )
        if len(reasons) == before:
            names = ", ".join(f"`{name}`" for name in keys)
            reasons.append(f"{rule}: it is not signed, and has to be by {names}")
        return None

    def _refusal(self, candidate: Candidate, reasons: Sequence[str]) -> PolicyError:
        listed = list(dict.fromkeys(reasons))
        more = len(listed) - _REASONS_MAX
        words = "; ".join(listed[:_REASONS_MAX]) + (f"; and {more} more" if more > 0 else "")
        return PolicyError(
            f"policy {self.name} does not allow codec `{candidate.codec_id}` "
            f"({candidate.origin}, {candidate.name}): {words}"
        )


class _Judged:
    """A candidate with its digests, each computed once."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate

    @cached_property
    def _own(self) -> tuple[Digest, ...]:
        data = self.candidate.data
        return (Digest.sha256(data), Digest.blake3(data)) if data else ()

    @cached_property
    def _chains(self) -> Mapping[int, tuple[Digest, ...]]:
        return {id(each): each.subjects(self.candidate.data) for each in self.candidate.evidence}

    def subjects(self, evidence: Evidence) -> tuple[Digest, ...]:
        """Return the digests that evidence may attest, from the index to the file."""
        return self._chains[id(evidence)]

    @cached_property
    def _verified(self) -> frozenset[Digest]:
        return frozenset(self._own).union(*self._chains.values())

    @cached_property
    def _claimed(self) -> frozenset[Digest]:
        links = (link for each in self.candidate.evidence for link in each.links)
        return self._verified | self.candidate.pins | frozenset(map(Digest.sha256, links))

    def is_under(self, rule: Rule) -> bool:
        places = [each.repository for each in self.candidate.evidence]
        # An unverified digest can refuse a codec, and never allow one.
        digests = self._claimed if rule.deny else self._verified
        return (
            (rule.codecs is None or _any(rule.codecs, self.candidate.codec_id))
            and (rule.repositories is None or any(_any_place(rule.repositories, p) for p in places))
            and (rule.digests is None or bool(rule.digests & digests))
        )


def _any(patterns: Sequence[Pattern], name: str) -> bool:
    return any(pattern.matches(name) for pattern in patterns)


def _any_place(patterns: Sequence[Pattern], place: str) -> bool:
    return any(pattern.matches_place(place) for pattern in patterns)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path

    def policy(self, document: Mapping[str, object], now: Callable[[], datetime]) -> Policy:
        self._known(document, _FIELDS, "")
        if type(document.get("version")) is not int or document["version"] != _VERSION:
            raise self._wrong("version", f"`{_VERSION}`", document.get("version"))
        default = document.get("default")
        if default not in ("allow", "deny"):
            raise self._wrong("default", '`"allow"` or `"deny"`', default)
        trusted = self._texts(document.get("trusted", list(TRUSTED)), "trusted")
        for origin in trusted:
            self._one_of(origin, _MAY_BE_TRUSTED, "trusted")
        keys = self._keys(document.get("keys", {}))
        listed = document.get("rules", [])
        if not isinstance(listed, list) or len(listed) > _RULES_MAX:
            raise self._wrong("rules", f"at most {_RULES_MAX} tables `[[rules]]`", listed)
        rules = tuple(self._rule(number, each, keys) for number, each in enumerate(listed, 1))
        return Policy(str(self._path), default, trusted, keys, rules, now)

    def _keys(self, listed: object) -> dict[str, "PublicKey"]:
        if not isinstance(listed, dict):
            raise self._wrong("keys", "a table", listed)
        if not listed:
            return {}
        # Late: it needs the extra `attest`.
        from chonkle.oci.keys import PublicKey  # noqa: PLC0415

        keys = {}
        for name, value in listed.items():
            where = f"keys.{name}"
            if _NAME.fullmatch(name) is None:
                raise self._wrong("keys", "names of letters, digits and `. _ @ + -`", name)
            if not isinstance(value, str) or not value or "\0" in value:
                raise self._wrong(where, "the path of a public key, or the key itself", value)
            try:
                if _PEM in value:
                    keys[name] = PublicKey.from_pem(value, what="the key")
                else:
                    keys[name] = PublicKey.from_file(self._path.parent / value)
            except AttestationError as failure:
                raise PolicyError(f"policy {self._path}: `{where}`: {failure}") from failure
        return keys

    def _rule(self, number: int, table: object, keys: Collection[str]) -> Rule:
        where = f"rule {number}"
        if not isinstance(table, dict):
            raise self._wrong(where, "a table", table)
        self._known(table, _RULE_FIELDS, where)
        said = [word for word in _WORDS if word in table]
        if len(said) != 1:
            wanted = "one of `signed-by`, `unsigned` and `deny`"
            raise self._wrong(where, wanted, ", ".join(said) or "none")
        if "identities" in table and "signed-by" not in table:
            raise self._wrong(where, "`identities` beside `signed-by`", said[0])
        signed_by = self._texts(table.get("signed-by", []), f"{where}: signed-by")
        for name in signed_by:
            self._one_of(name, keys, f"{where}: signed-by")
        if said == ["signed-by"] and not signed_by:
            raise self._wrong(f"{where}: signed-by", "a key", [])
        if "unsigned" in table and table["unsigned"] is not True:
            raise self._wrong(f"{where}: unsigned", "`true`", table["unsigned"])
        deny = table.get("deny", "")
        if not isinstance(deny, str) or ("deny" in table and not deny.strip()):
            raise self._wrong(f"{where}: deny", "the reason, in words", deny)
        start, end = (
            self._moment(table.get(word), f"{where}: {word}") for word in ("from", "until")
        )
        if start is not None and end is not None and start >= end:
            raise self._wrong(where, "`from` before `until`", f"{start} and {end}")
        return Rule(
            number=number,
            codecs=self._patterns(table, "codecs", where),
            repositories=self._patterns(table, "repositories", where),
            digests=self._digests(table, where),
            start=start,
            end=end,
            signed_by=signed_by,
            identities=self._patterns(table, "identities", where),
            unsigned="unsigned" in table,
            deny=deny,
        )

    def _patterns(
        self, table: Mapping[str, object], name: str, where: str
    ) -> tuple[Pattern, ...] | None:
        if name not in table:
            return None
        texts = self._texts(table[name], f"{where}: {name}")
        for text in texts:
            if _PATTERN.fullmatch(text) is None:
                raise self._wrong(f"{where}: {name}", "a name, which may have `*` in it", text)
        if not texts:
            raise self._wrong(f"{where}: {name}", "a name; leave it out for all", [])
        return tuple(map(Pattern, texts))

    def _digests(self, table: Mapping[str, object], where: str) -> frozenset[Digest] | None:
        if "digests" not in table:
            return None
        texts = self._texts(table["digests"], f"{where}: digests")
        if not texts:
            raise self._wrong(f"{where}: digests", "a digest; leave it out for all", [])
        try:
            return frozenset(map(Digest.parse, texts))
        except DigestMismatchError as failure:
            raise PolicyError(f"policy {self._path}: {where}: digests: {failure}") from failure

    def _moment(self, value: object, where: str) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, datetime):
            if value.tzinfo is not None:
                try:
                    return value.astimezone(UTC)
                except OverflowError:
                    pass  # before the year 1 or after 9999 in UTC
        elif isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        wanted = "a date as 2026-01-31, which begins in UTC, or 2026-01-31T12:00:00Z"
        raise self._wrong(where, wanted, str(value))

    def _texts(self, value: object, where: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self._wrong(where, "a list of texts", value)
        return tuple(value)

    def _known(self, table: Mapping[str, object], names: Sequence[str], where: str) -> None:
        for name in table:
            self._one_of(name, names, f"{where}: unknown field" if where else "unknown field")

    def _one_of(self, name: str, names: Collection[str], where: str) -> None:
        if name in names:
            return
        raise PolicyError(
            f"policy {self._path}: {where} {format_value(name)}",
            expected=list_choices(names),
            hint=suggest(name, names),
        )

    def _wrong(self, where: str, expected: str, got: object) -> PolicyError:
        # TOML has no null: None stands for a missing field.
        return PolicyError(
            f"policy {self._path}: {'missing' if got is None else 'wrong'} `{where}`",
            expected=expected,
            got="" if got is None else format_value(got),
        )
