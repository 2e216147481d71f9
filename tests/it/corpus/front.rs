//! `tests/corpus/framing/front`: what a browser, an attacker or a careless front proxy sends. Each case goes over the wire
//! with a second request, the canary, behind it: once in the same packet, once after the answer on a connection that has
//! served before. The upstream sees the requests that the case lists and no other, and the canary is answered for itself
//! or the connection is closed.

use futures_util::{StreamExt as _, stream};

use super::Failures;
use super::house::{CALL, House};
use super::text::{Case, bytes, string};
use crate::support::peer::{Answer, Peer};

/// How many cases run beside each other.
const AT_ONCE: usize = 16;

/// When the canary is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Canary {
    /// Right behind the case, before its answer.
    Behind,
    /// When the case is answered.
    After,
}

async fn run(house: &House, case: &Case, canary: Canary) {
    case.allow(&["expect", "then", "upstream", "canary", "interim"]);
    let id = format!("{}-{canary:?}", case.name);
    let names = house.names(&id);
    let message = case.message(&names);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{CALL}\r\n", house.host);
    let follow = get(&format!("/public/{id}/canary"));
    let mut peer = Peer::connect(house.address).await;
    if canary == Canary::After {
        assert_eq!(peer.ask(get("/public/warm")).await.text(), "GET /public/warm ", "{id}");
        peer.send(&message).await;
    } else {
        peer.send([&message, follow.as_bytes()].concat()).await;
    }
    let mut interim = 0;
    for expected in case.get("expect").unwrap_or_default().split(' ') {
        let to_head = message.starts_with(b"HEAD ");
        let answer = peer.answer(to_head).await;
        let got = answer.as_ref().map_or("closed".to_owned(), Answer::outcome);
        assert!(
            expected.split('|').any(|one| one == got),
            "{id}: {got}, not {expected}: {answer:?}"
        );
        interim += answer.as_ref().map_or(0, |answer| answer.interim);
        let text = answer.map(|answer| answer.text()).unwrap_or_default();
        assert!(!text.contains("/canary") && !text.contains("smuggled"), "{id}: {text}");
    }
    assert_eq!(interim, case.get("interim").map_or(0, |text| text.parse().unwrap()), "{id}");
    let then = case.get("then").expect("what then");
    if canary == Canary::After && then != "close" {
        peer.send(follow).await;
    }
    let last = peer.answer(false).await;
    let expected = (200, format!("GET /public/{id}/canary "));
    match (then, &last) {
        ("open" | "either", Some(answer)) => {
            assert_eq!((answer.status, answer.text()), expected, "{id}");
        }
        ("close" | "either" | "broken", None) => {}
        ("broken", Some(answer)) if answer.status == 400 => {
            assert!(peer.answer(false).await.is_none(), "{id}: an answer after a broken message");
        }
        _ => panic!("{id}: then {then}, but the last answer is {last:?}"),
    }
    assert_seen(house, case, &id, last.is_some() && then != "broken");
}

/// Exactly the requests of the `upstream` lines, and the canary if it is answered. A torn one may be torn before the
/// upstream hears of it.
fn assert_seen(house: &House, case: &Case, id: &str, canary: bool) {
    let names = house.names(id);
    let mut expected: Vec<(String, Vec<u8>)> = Vec::new();
    let mut torn: Vec<String> = Vec::new();
    for line in case.all_of("upstream") {
        let (line, is_torn) = match line.strip_suffix(" torn") {
            Some(line) => (line, true),
            None => (line, false),
        };
        let mut parts = line.splitn(3, ' ');
        let start = [parts.next(), parts.next()].map(|part| part.expect("method and target"));
        let start = string(&start.join(" "), &names);
        if is_torn {
            torn.push(start);
        } else {
            expected.push((start, bytes(parts.next().unwrap_or_default(), &names)));
        }
    }
    if canary {
        expected.push((format!("GET /public/{id}/canary"), Vec::new()));
    }
    let mut whole = Vec::new();
    for seen in house.upstream.seen(&format!("/{id}")) {
        let start = format!("{} {}", seen.method, seen.target);
        if seen.whole {
            whole.push((start, seen.body));
        } else {
            assert!(torn.contains(&start), "{id}: torn: {start}");
        }
    }
    assert_eq!(whole, expected, "{id}: what the upstream saw");
}

// proves: PX-07, PX-15
// Abuse class: framing fields in every disguise, trailers, heads and bodies without end.
#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_read_in_one_way_and_nothing_is_smuggled_behind_it() {
    let house = House::start().await;
    let failures = Failures::default();
    let cases = Case::all("framing/front");
    assert!(cases.len() > 60, "{} cases", cases.len());
    let runs = cases.iter().flat_map(|case| {
        let only = case.get("canary");
        [(Canary::Behind, "behind"), (Canary::After, "after")]
            .into_iter()
            .filter(move |(_, name)| only.is_none_or(|only| only == *name))
            .map(move |(canary, _)| (case, canary))
    });
    stream::iter(runs)
        .for_each_concurrent(AT_ONCE, |(case, canary)| {
            failures.catch(format!("{}, canary {canary:?}", case.name), run(&house, case, canary))
        })
        .await;
    failures.assert_none();
    assert!(house.upstream.seen("smuggled").is_empty());
    // Nothing came in under another name than a case's.
    let known = house.upstream.seen("-Behind").len() + house.upstream.seen("-After").len();
    let warm = house.upstream.seen("/public/warm").len() + house.upstream.seen("/whoami").len();
    assert_eq!(house.upstream.count(), known + warm, "{:?}", house.upstream.seen(""));
    house.stop().await;
}
