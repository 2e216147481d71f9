//! Whose address an upstream is told: the peer's, or what a named proxy says of it, and never what a client says itself.

use super::house::{CALL, House};
use crate::support::peer::Peer;

/// A request with these fields to a route without login; gives what the upstream saw.
async fn seen(house: &House, number: usize, fields: &str) -> [Vec<String>; 3] {
    let target = format!("/public/client-{number}-end");
    let head = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{CALL}{fields}\r\n", house.host);
    assert_eq!(Peer::connect(house.address).await.ask(head).await.status, 200, "{fields}");
    let request = house.upstream.seen(&target).remove(0);
    let port = house.stack.port;
    let end = format!(";host=\"localhost:{port}\";proto=http");
    let texts = |name: &str| request.all(name).iter().map(|text| (*text).to_owned()).collect();
    let forwarded: Vec<String> = texts("forwarded");
    let forwarded = forwarded.iter().map(|text| text.strip_suffix(&end).unwrap().to_owned());
    [texts("x-forwarded-for"), forwarded.collect(), texts("x-real-ip")]
}

/// The fields of a request, and the client that the upstream is told of.
async fn assert_clients(house: &House, cases: &[(&str, &str)]) {
    for (number, (fields, client)) in cases.iter().enumerate() {
        let node =
            if client.contains(':') { format!("\"[{client}]\"") } else { (*client).to_owned() };
        let expected = [vec![(*client).to_owned()], vec![format!("for={node}")], vec![]];
        assert_eq!(seen(house, number, fields).await, expected, "{fields}");
    }
}

// proves: PX-06, PX-23
// Abuse class: forwarded fields from peers that nobody has named.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_named_proxy_chooses_the_client_address() {
    let house = House::start().await;
    let own = "127.0.0.1";
    assert_clients(
        &house,
        &[
            ("", own),
            ("X-Forwarded-For: 203.0.113.9\r\n", own),
            ("x-forwarded-for: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.7\r\n", own),
            ("X_Forwarded_For: 203.0.113.9\r\n", own),
            ("X-Forwarded-For_: 203.0.113.9\r\n", own),
            ("Forwarded: for=203.0.113.9\r\n", own),
            ("X-Real-IP: 203.0.113.9\r\n", own),
            ("True-Client-IP: 203.0.113.9\r\n", own),
            ("CF-Connecting-IP: 203.0.113.9\r\n", own),
            ("Connection: x-forwarded-for, forwarded\r\nX-Forwarded-For: 203.0.113.9\r\n", own),
            ("Connection: forwarded, via, x-request-id\r\n", own),
        ],
    )
    .await;
    house.stop().await;
}

// proves: PX-06, PX-23
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_named_proxy_the_client_is_the_last_address_that_is_no_proxy() {
    let house =
        House::with("trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\", \"fd00::/8\"]").await;
    assert_clients(
        &house,
        &[
            ("", "127.0.0.1"),
            ("X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"),
            ("X-Forwarded-For: 198.51.100.1, 203.0.113.9\r\n", "203.0.113.9"),
            ("X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"),
            ("X-Forwarded-For: 198.51.100.1, 203.0.113.9, 10.1.2.3\r\n", "203.0.113.9"),
            ("X-Forwarded-For: 203.0.113.9:4711, 10.1.2.3:80\r\n", "203.0.113.9"),
            ("X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"),
            ("X-Forwarded-For: [2001:db8::1]:443, fd00::7\r\n", "2001:db8::1"),
            ("X-Forwarded-For: ::ffff:203.0.113.9\r\n", "203.0.113.9"),
            // What is no address ends the chain: the last proxy that is known stands for the client.
            ("X-Forwarded-For: 198.51.100.1, unknown\r\n", "127.0.0.1"),
            ("X-Forwarded-For: 198.51.100.1, unknown, 10.1.2.3\r\n", "10.1.2.3"),
            ("X-Forwarded-For: 198.51.100.1, , 10.1.2.3\r\n", "10.1.2.3"),
            ("X-Forwarded-For: 203.0.113.9\"x\r\n", "127.0.0.1"),
            ("X-Forwarded-For: \r\n", "127.0.0.1"),
            // Other spellings and other fields are nobody's word, not even a proxy's.
            ("X_Forwarded_For: 203.0.113.9\r\n", "127.0.0.1"),
            ("Forwarded: for=203.0.113.9\r\n", "127.0.0.1"),
            ("X-Real-IP: 203.0.113.9\r\n", "127.0.0.1"),
            // Named away is not named: the field is read before it is dropped.
            ("Connection: x-forwarded-for\r\nX-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"),
        ],
    )
    .await;
    // Neither host nor scheme are taken from a proxy: they are configured.
    let fields = "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\n\
                  X-Forwarded-Prefix: /evil\r\nX-Forwarded-Uri: /api/admin\r\nX-Original-URL: /api/admin\r\n";
    seen(&house, 99, fields).await;
    let request = house.upstream.seen("client-99-end").remove(0);
    assert_eq!(request.all("x-forwarded-host"), [house.host.as_str()]);
    assert_eq!(request.all("x-forwarded-proto"), ["http"]);
    assert!(!request.head.contains("evil") && !request.head.contains("admin"), "{}", request.head);
    house.stop().await;
}
