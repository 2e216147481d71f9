//! Which handshakes are complete, and which answers fit them.

use rstest::rstest;

use super::*;
use crate::proxy::head::Head;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// RFC 6455 §1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A browser's handshake, with `changes`: a value of `-` leaves a field out, any other replaces or adds it.
fn request(changes: &[(&str, &str)]) -> Request {
    let mut fields = vec![
        ("upgrade", "websocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
        ("sec-websocket-protocol", "chat.v2, chat"),
        ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
    ];
    for (name, value) in changes {
        if let Some(name) = name.strip_prefix('+') {
            fields.push((name, value));
            continue;
        }
        fields.retain(|(known, _)| known != name);
        if *value != "-" {
            fields.push((name, value));
        }
    }
    Request::test("GET", "/live", &fields)
}

// proves: CS-11
#[rstest]
#[case(&[])]
#[case(&[("upgrade", "WebSocket"), ("connection", "upgrade")])]
#[case(&[("sec-websocket-protocol", "-"), ("sec-websocket-extensions", "-")])]
fn a_complete_handshake_is_read(#[case] changes: &[(&str, &str)]) {
    assert!(Handshake::read(&request(changes)).is_some());
}

// proves: CS-11
#[rstest]
#[case(&[("upgrade", "websocket, h2c")])]
#[case(&[("+upgrade", "websocket")])]
#[case(&[("connection", "-")])]
#[case(&[("connection", "keep-alive")])]
#[case(&[("connection", "upgrade, close")])]
#[case(&[("sec-websocket-version", "-")])]
#[case(&[("sec-websocket-version", "8")])]
#[case(&[("+sec-websocket-version", "13")])]
#[case(&[("sec-websocket-key", "-")])]
#[case(&[("sec-websocket-key", "")])]
#[case(&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25j")])]
#[case(&[("sec-websocket-key", "not base64 of 16 bytes=")])]
#[case(&[("+sec-websocket-key", KEY)])]
#[case(&[("content-length", "0")])]
#[case(&[("transfer-encoding", "chunked")])]
fn an_incomplete_handshake_is_none(#[case] changes: &[(&str, &str)]) {
    let request = request(changes);
    assert!(asks_for_websocket(&request));
    assert!(Handshake::read(&request).is_none());
}

#[test]
fn only_get_over_http_1_1_with_few_offers_is_a_handshake() {
    let complete = |method: &str| {
        let complete = request(&[]);
        let text = |value| std::str::from_utf8(value).unwrap();
        let fields: Vec<_> =
            complete.fields().iter().map(|(name, value)| (name, text(value))).collect();
        Request::test(method, "/live", &fields)
    };
    assert!(Handshake::read(&complete("GET")).is_some());
    assert!(Handshake::read(&complete("POST")).is_none());
    assert!(Handshake::read(&complete("GET").over(Version::HTTP_10)).is_none());
    let many = "x,".repeat(MOST_OFFERS + 1);
    assert!(Handshake::read(&request(&[("sec-websocket-protocol", &many)])).is_none());
}

#[test]
fn what_asks_for_another_protocol_asks_for_no_websocket() {
    for upgrade in ["h2c", "TLS/1.0", "websockets", "-"] {
        assert!(!asks_for_websocket(&request(&[("upgrade", upgrade)])), "{upgrade}");
    }
    assert!(asks_for_websocket(&request(&[("upgrade", "h2c, WEBSOCKET")])));
}

#[test]
fn the_offer_goes_on_as_it_came() {
    let two_lines = request(&[("+sec-websocket-protocol", "third")]);
    let mut head = Head::new(Vec::new(), &http::Method::GET, &["/"]).unwrap();
    Handshake::read(&two_lines).unwrap().add_to(&mut head).unwrap();
    let lines = [
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        &format!("sec-websocket-key: {KEY}"),
        "sec-websocket-protocol: chat.v2, chat",
        "sec-websocket-protocol: third",
        "sec-websocket-extensions: permessage-deflate; client_max_window_bits",
    ];
    let expected = format!("GET / HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"));
    assert_eq!(head.finish(), expected.as_bytes());
}

// proves: PX-15
#[rstest]
#[case(&[], true)]
#[case(&[("sec-websocket-protocol", "chat")], true)]
#[case(&[("sec-websocket-extensions", "permessage-deflate")], true)]
#[case(&[("sec-websocket-extensions", "permessage-deflate; server_no_context_takeover")], true)]
#[case(&[("sec-websocket-protocol", "Chat")], false)]
#[case(&[("sec-websocket-protocol", "chat, chat.v2")], false)]
#[case(&[("sec-websocket-protocol", "other")], false)]
#[case(&[("sec-websocket-extensions", "permessage-deflate, x-mux")], false)]
#[case(&[("sec-websocket-accept", "-")], false)]
#[case(&[("sec-websocket-accept", "yes")], false)]
#[case(&[("upgrade", "-")], false)]
#[case(&[("upgrade", "h2c")], false)]
#[case(&[("connection", "keep-alive")], false)]
fn only_an_answer_to_what_was_offered_fits(
    #[case] changes: &[(&str, &'static str)],
    #[case] fits: bool,
) {
    let handshake = Handshake::read(&request(&[])).unwrap();
    let mut fields =
        vec![("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", ACCEPT)];
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        if *value != "-" {
            fields.push((name, value));
        }
    }
    let fields = Fields::copied(fields.into_iter().map(|(name, value)| (name, value.as_bytes())));
    assert_eq!(handshake.is_answered_by(&fields), fits, "{changes:?}");
}
