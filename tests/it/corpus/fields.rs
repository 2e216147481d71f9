//! `tests/corpus/fields/up.txt` and `down.txt`: which header fields pass, in which direction, and what is refused.

use super::Failures;
use super::house::{House, request};
use super::text::{bytes, string, table};
use super::upstream::{Reply, Seen, Then};
use crate::support::peer::Peer;

/// One line of a table.
struct Case<'a> {
    /// For messages.
    line: &'a str,
    expected: &'a str,
    /// Unique, in the path and in the lines.
    mark: String,
    given: Vec<u8>,
}

impl<'a> Case<'a> {
    fn new(house: &House, number: usize, (line, expected): &'a (String, String)) -> Self {
        let mark = format!("mark-{number}-end");
        let names = [&house.names(&mark)[..], &[("m", mark.as_str())]].concat();
        let given = bytes(line, &names);
        Self { line, expected, mark, given }
    }

    /// The lines of a head that hold the mark, but for the first, which is the request's own.
    fn marked<'b>(&self, head: &'b str) -> Vec<&'b str> {
        head.split("\r\n").skip(1).filter(|line| line.contains(&self.mark)).collect()
    }

    /// Exactly the given field, name in lower case.
    fn assert_passes(&self, head: &str) {
        let given = String::from_utf8(self.given.clone()).unwrap();
        let (name, value) = given.split_once(": ").unwrap();
        let expected = format!("{}: {value}", name.to_ascii_lowercase());
        assert_eq!(self.marked(head), [expected], "{}", self.line);
    }
}

async fn goes_up(house: &House, case: &Case<'_>) {
    let Case { line, expected, mark, given } = case;
    let target = format!("/api/{mark}");
    let head = request("GET", &target, &house.host, &house.alice.cookie, "");
    let head = head.strip_suffix("\r\n").unwrap().as_bytes();
    let answer = Peer::connect(house.address).await.ask([head, given, b"\r\n\r\n"].concat()).await;
    let seen = house.upstream.seen(&target);
    if !matches!(*expected, "stops" | "passes") && !expected.starts_with("as ") {
        assert_eq!(answer.outcome(), *expected, "{line}: {}", answer.head);
        assert!(seen.is_empty(), "{line}: the upstream heard of it: {seen:?}");
        return;
    }
    assert_eq!((answer.status, seen.len()), (200, 1), "{line}: {}", answer.head);
    let lines = case.marked(&seen[0].head);
    match *expected {
        "stops" => assert!(lines.is_empty(), "{line}: {lines:?}"),
        "passes" => case.assert_passes(&seen[0].head),
        other => assert_eq!(lines.join("|"), string(&other[3..], &[("m", mark)]), "{line}"),
    }
    assert_our_own(house, line, &seen[0]);
}

/// Whatever came: what we say ourselves stands there once, and no cookie.
fn assert_our_own(house: &House, line: &str, seen: &Seen) {
    let port = house.stack.port;
    for (name, value) in [
        ("authorization", house.alice.authorization.clone()),
        ("host", house.upstream.address.to_string()),
        ("via", "1.1 cloakroom".to_owned()),
        ("x-forwarded-for", "127.0.0.1".to_owned()),
        ("x-forwarded-host", house.host.clone()),
        ("x-forwarded-proto", "http".to_owned()),
        ("forwarded", format!("for=127.0.0.1;host=\"localhost:{port}\";proto=http")),
    ] {
        assert_eq!(seen.all(name), [value], "{line}: {name}");
    }
    assert_eq!(seen.all("x-request-id").len(), 1, "{line}");
    assert!(seen.all("cookie").is_empty(), "{line}");
}

// proves: PX-05, PX-06, PX-07
// Abuse classes: smuggled fields, forwarded fields, foreign credentials, in every spelling.
#[tokio::test(flavor = "multi_thread")]
async fn fields_pass_upstream_or_stop_as_the_corpus_says() {
    let house = House::start().await;
    let failures = Failures::default();
    for (number, row) in table("fields/up.txt").iter().enumerate() {
        let case = Case::new(&house, number, row);
        failures.catch(case.line, goes_up(&house, &case)).await;
    }
    failures.assert_none();
    house.stop().await;
}

async fn comes_down(house: &House, case: &Case<'_>) {
    let Case { line, expected, mark, given } = case;
    let target = format!("/api/{mark}");
    let start = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n";
    let bytes = [start, &given[..], b"\r\n\r\nhi"].concat();
    house.upstream.set(&target, Reply { bytes, early: false, then: Then::Serve });
    let answer = house.fetch("GET", &target, &house.alice, "").await;
    if *expected == "passes" {
        case.assert_passes(&answer.head);
    } else {
        assert_eq!(case.marked(&answer.head), Vec::<&str>::new(), "{line}");
    }
    if matches!(*expected, "passes" | "stops") {
        assert_eq!((answer.status, answer.text().as_str()), (200, "hi"), "{line}");
    } else {
        assert_eq!(answer.outcome(), *expected, "{line}: {}", answer.head);
    }
    // Ours, once each, whatever the upstream says.
    for name in ["x-content-type-options", "content-security-policy", "x-request-id", "date"] {
        assert_eq!(answer.all(name).len(), 1, "{line}: {name}: {}", answer.head);
    }
    assert!(answer.all("x-injected").is_empty(), "{line}: {}", answer.head);
}

// proves: PX-05, PX-08, PX-11
#[tokio::test(flavor = "multi_thread")]
async fn fields_pass_downstream_or_stop_as_the_corpus_says() {
    let house = House::start().await;
    let failures = Failures::default();
    for (number, row) in table("fields/down.txt").iter().enumerate() {
        let case = Case::new(&house, number, row);
        failures.catch(case.line, comes_down(&house, &case)).await;
    }
    failures.assert_none();
    house.stop().await;
}
