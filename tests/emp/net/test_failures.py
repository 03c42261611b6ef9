"""What went wrong, in words: at which step, for good or not, and what the user may do."""

import errno
import ssl
from typing import Any

import pytest

from emp.config import ConnectionSettings
from emp.errors import (
    AuthenticationError,
    ConnectionFailed,
    EmpError,
    RemoteProtocolError,
    StanzaError,
    StreamError,
)
from emp.net.failures import at_step, failed, lost, os_reason

PEER = "192.0.2.1:5222"


def settings(**more: Any) -> ConnectionSettings:
    return ConnectionSettings(name="c", kind="client", node="romeo", host="im.test", **more)


def failure(error: EmpError, step: str = "authenticate") -> ConnectionFailed:
    found = failed(error, step, settings(), PEER)
    assert found.__cause__ is error
    return found


@pytest.mark.parametrize(
    ("error", "permanent", "remedy"),
    [
        (AuthenticationError("not-authorized"), True, "check node = 'romeo' and password ="),
        (AuthenticationError("credentials-expired"), True, "new password"),
        (AuthenticationError("account-disabled"), True, "administrator"),
        (AuthenticationError("invalid-mechanism"), True, "authentication ="),
        (AuthenticationError("temporary-auth-failure"), False, None),
        (AuthenticationError("aborted"), False, None),
        # of our own: the password may be right, and the server is not
        (AuthenticationError("malformed-request", "not a SCRAM challenge"), True, None),
        (
            AuthenticationError("not-authorized", remedy="this is an attack"),
            True,
            "this is an attack",
        ),
    ],
)
def test_sasl(error: AuthenticationError, permanent: bool, remedy: str | None) -> None:
    found = failure(error)
    assert (found.step, found.permanent) == ("authenticate", permanent)
    assert error.condition in found.reason
    assert (found.remedy is None) == (remedy is None)
    assert (remedy or "") in (found.remedy or "")


def test_a_server_without_tls() -> None:
    found = failure(AuthenticationError("encryption-required", "no STARTTLS"), "secure")
    assert (found.step, found.permanent) == ("secure", True)
    assert found.remedy is not None
    assert 'tls = "none"' in found.remedy


@pytest.mark.parametrize(
    ("condition", "permanent"),
    [
        ("host-unknown", True),
        ("conflict", True),
        ("not-authorized", True),
        ("system-shutdown", False),
        ("reset", False),
        ("see-other-host", False),
        ("something-new", False),
    ],
)
@pytest.mark.parametrize("step", ["secure", "authenticate", "bind", "stream"])
def test_stream_errors(condition: str, permanent: bool, step: str) -> None:
    found = failure(StreamError(condition), step)
    refused = condition == "not-authorized" and step != "stream"
    assert found.step == ("authenticate" if refused else step)
    assert found.permanent is permanent
    assert condition in found.reason
    assert found.other_host is None


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("other.test:5222", "other.test:5222"),
        (" [2001:db8::1] ", "[2001:db8::1]"),
        ("no place", None),
        ("\0", None),
    ],
)
def test_other_host(place: str, expected: str | None) -> None:
    found = failure(StreamError("see-other-host", "", place), "stream")
    assert found.other_host == expected
    assert found.reason.isprintable()
    found = failure(StreamError("conflict", "", place), "stream")
    assert found.other_host is None


def test_broken_protocol() -> None:
    found = failure(RemoteProtocolError("not-well-formed", "line 1\nline 2"), "bind")
    assert (found.step, found.permanent) == ("bind", False)
    assert found.reason.startswith(f"{PEER} broke the protocol")
    assert "\n" not in found.reason


def test_the_end_keeps_its_remedy() -> None:
    alert = ssl.SSLError(1, "unreadable")
    alert.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    found = at_step(lost(alert, PEER), "authenticate", PEER)
    assert (found.step, found.permanent) == ("authenticate", False)
    assert found.reason == f"{PEER}: tlsv13 alert certificate required"
    assert found.remedy is not None
    assert at_step(None, "bind", PEER).reason == f"{PEER} closed the stream"
    assert lost(None, PEER).reason == f"{PEER}: connection closed"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed"), "connection refused"),
        (TimeoutError(), "no answer in time"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "connection timed out"),
        (OSError("something else"), "something else"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), "eof occurred"),
    ],
)
def test_errors_of_the_system(error: OSError, words: str) -> None:
    assert os_reason(error).startswith(words)


@pytest.mark.parametrize(
    ("condition", "permanent", "words"),
    [
        ("conflict", True, ("'bot'", "somebody else is connected as", "/bot", "resource =")),
        ("bad-request", True, ("'bot'", "resource =")),
        ("not-allowed", True, ("administrator",)),
        ("resource-constraint", False, ("too often",)),
        ("internal-server-error", False, ()),
    ],
)
def test_a_resource_that_is_not_bound(
    condition: str, permanent: bool, words: tuple[str, ...]
) -> None:
    error = StreamError(condition, "no")
    error.__cause__ = StanzaError()
    found = failed(error, "bind", settings(resource="bot"), PEER)
    assert (found.step, found.permanent) == ("bind", permanent)
    assert "ended the stream" not in found.reason  # it has not
    assert [word for word in words if word not in str(found)] == []


def test_a_port_for_something_else() -> None:
    error = StreamError("invalid-namespace")
    found = failure(error, "secure")
    assert found.permanent
    assert "port =" in (found.remedy or "")
    assert not failure(error, "stream").permanent  # it was the right one
    assert failure(error, "stream").remedy is None
