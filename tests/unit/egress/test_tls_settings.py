"""The setting that names TLS files for hosts."""

import ssl
from pathlib import Path

import pytest
from certificates import Authority

from broker.egress.error import EgressError
from broker.egress.tls import HostTls, TlsContexts, check_files, parse_tls


def test_hosts_are_divided_by_semicolons_or_lines() -> None:
    text = "MQTT.city.example:8883 ca=/a.pem certificate=/b.pem key=/b.key; [::1]:8883 ca='/my files/c.pem'\nsink ca=/d.pem\n"
    assert parse_tls(text) == (
        HostTls("mqtt.city.example", 8883, "/a.pem", "/b.pem", "/b.key"),
        HostTls("::1", 8883, "/my files/c.pem"),
        HostTls("sink", None, "/d.pem"),
    )
    assert parse_tls("") == ()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("mqtt.city.example", "mqtt.city.example"),
        ("mqtt.city.example:0 ca=/a", "mqtt.city.example:0"),
        ("https://sink ca=/a", "https://sink"),
        ("sink ca=", "ca="),
        ("sink cafile=/a", "cafile=/a"),
        ("sink ca=/a ca=/b", "ca=/b"),
        ("sink key=/a", "sink"),
        ("sink ca='/a", "sink ca='/a"),
        ("sink ca=/a; SINK certificate=/b", "sink"),
    ],
)
def test_what_cannot_be_read_is_quoted(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_tls(text)
    assert named in str(caught.value)


def test_a_host_has_its_own_context_and_all_others_the_systems(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    contexts = TlsContexts(parse_tls(f"mqtt.city.example:8883 ca={authority.certificate}"))
    own = contexts.for_host("MQTT.city.example.", 8883)
    assert len(own.get_ca_certs()) == 1
    assert own is contexts.for_host("mqtt.city.example", 8883)
    other = contexts.for_host("mqtt.city.example", 1)
    assert other is contexts.for_host("elsewhere", None)
    for context in (own, other):
        assert context.check_hostname
        assert context.verify_mode == ssl.CERT_REQUIRED


def test_files_that_were_renewed_are_read_again_and_those_that_broke_are_not(tmp_path: Path) -> None:
    one = Authority(tmp_path).issue("one")
    contexts = TlsContexts(parse_tls(f"sink certificate={one.certificate} key={one.key}"))
    first = contexts.for_host("sink", 443)
    content = one.certificate.read_bytes()
    one.certificate.write_bytes(content[:100])
    assert contexts.for_host("sink", 443) is first
    one.certificate.write_bytes(content + b"\n")
    renewed = contexts.for_host("sink", 443)
    assert renewed is not first
    one.certificate.unlink()
    assert contexts.for_host("sink", 443) is renewed


def test_files_that_never_could_be_read_are_a_fault_of_tls_that_does_not_name_them(tmp_path: Path) -> None:
    contexts = TlsContexts(parse_tls(f"sink ca={tmp_path / 'nowhere.pem'}"))
    with pytest.raises(EgressError) as caught:
        contexts.for_host("sink", 443)
    assert caught.value.reason == "tls"
    assert str(tmp_path) not in str(caught.value)


def test_what_is_wrong_with_files_is_said(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, two = authority.issue("one"), authority.issue("two")
    assert (
        check_files(HostTls("sink", ca=str(one.authority), certificate=str(one.certificate), key=str(one.key))) is None
    )
    assert "nowhere" in (check_files(HostTls("sink", ca=str(tmp_path / "nowhere"))) or "")
    mixed = check_files(HostTls("sink", certificate=str(one.certificate), key=str(two.key)))
    assert "do not belong together" in (mixed or "")
    assert check_files(HostTls("sink", certificate=str(one.certificate)))  # without a key in it
