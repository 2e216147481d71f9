//! `tests/corpus/paths/targets.txt`: what each request target reaches, by which rule, and what the upstream sees of it.

use super::Failures;
use super::house::{FETCH, House, OPEN};
use super::text::{bytes, string, table};
use super::upstream::Seen;
use crate::support::peer::{Answer, Peer};

/// What came of one target.
struct Outcome<'a> {
    line: &'a str,
    answer: Answer,
    seen: Vec<Seen>,
}

async fn ask(house: &House, line: &str) -> (Answer, Vec<Seen>) {
    let (how, target) = line.split_once(' ').expect("how and target");
    let target = bytes(target.trim_start(), &house.names("case"));
    let (method, fields, user) = match how {
        "fetch" => ("GET", FETCH, Some(&house.alice)),
        "open" => ("GET", OPEN, Some(&house.alice)),
        "anon" => ("GET", FETCH, None),
        method => (method, FETCH, Some(&house.alice)),
    };
    let cookie = user.map(|user| format!("Cookie: {}\r\n", user.cookie)).unwrap_or_default();
    let head = format!(" HTTP/1.1\r\nHost: {}\r\n{fields}{cookie}\r\n", house.host);
    let before = house.upstream.count();
    let mut peer = Peer::connect(house.address).await;
    peer.send([method.as_bytes(), b" ", &target, head.as_bytes()].concat()).await;
    let answer = peer.answer(method == "HEAD").await.expect("an answer");
    (answer, house.upstream.seen("").split_off(before))
}

impl Outcome<'_> {
    /// The upstream saw exactly this target, with a token if and only if the route is one that needs a login.
    fn assert_forwarded(&self, house: &House, expected: &str) {
        let Self { line, answer, seen } = self;
        assert_eq!(answer.status, 200, "{line}: {}", answer.head);
        let targets: Vec<&str> = seen.iter().map(|request| request.target.as_str()).collect();
        assert_eq!(targets, [expected], "{line}");
        assert_eq!(seen[0].all("host"), [house.upstream.address.to_string()], "{line}");
        let is_open = ["/public", "/slow"].iter().any(|path| expected.starts_with(path));
        let token: &[&str] = if is_open { &[] } else { &[&house.alice.authorization] };
        assert_eq!(seen[0].all("authorization"), token, "{line}");
    }

    /// An own endpoint answered, known by what only it says.
    fn assert_own(&self, endpoint: &str) {
        let Self { line, answer, .. } = self;
        let location = answer.all("location").concat();
        let is_it = match endpoint {
            "session" => answer.text().starts_with("{\"authenticated\":true"),
            "login" => location.contains("code_challenge="),
            "callback" => location.contains("auth_error="),
            "logged-out" => answer.status == 303 && location.ends_with('/'),
            other => panic!("{line}: no such endpoint: {other}"),
        };
        assert!(is_it, "{line}: {} {}", answer.head, answer.text());
        assert_eq!(answer.all("cache-control"), ["no-store"], "{line}");
    }
}

// proves: PX-01
// Abuse class: path rules against the path that the upstream sees.
#[tokio::test(flavor = "multi_thread")]
async fn every_target_has_one_meaning_for_rule_upstream_and_file() {
    let house = House::start().await;
    let failures = Failures::default();
    for (line, expected) in table("paths/targets.txt") {
        failures.catch(&line, judge(&house, &line, &expected)).await;
    }
    failures.assert_none();
    house.stop().await;
}

async fn judge(house: &House, line: &str, expected: &str) {
    let (answer, seen) = ask(house, line).await;
    let outcome = Outcome { line, answer, seen };
    if let Some(target) = expected.strip_prefix("to ") {
        return outcome.assert_forwarded(house, &string(target, &house.names("case")));
    }
    assert!(outcome.seen.is_empty(), "{line}: the upstream heard of it: {:?}", outcome.seen);
    if let Some(endpoint) = expected.strip_prefix("own ") {
        outcome.assert_own(endpoint);
    } else if let Some(file) = expected.strip_prefix("file ") {
        let answer = &outcome.answer;
        assert_eq!(answer.text(), format!("file {file}"), "{line}: {}", answer.head);
    } else {
        assert_eq!(outcome.answer.outcome(), expected, "{line}: {}", outcome.answer.head);
        assert!(!outcome.answer.text().contains("authenticated"), "{line}");
    }
}
