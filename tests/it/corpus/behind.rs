//! `tests/corpus/framing/behind`: what a hostile or broken upstream answers. The browser gets a 502, a 504 or a message that
//! is visibly broken off; the connection is not used again; and the next user of the same worker gets his own answer.

use super::Failures;
use super::house::{House, request};
use super::text::{Case, string};
use super::upstream::{Reply, Then};
use crate::support::hostile_upstream::until;
use crate::support::peer::{Answer, Peer};

/// Whoever sees this text got what was meant for nobody.
const FOREIGN: &str = "smuggled";

async fn ask(house: &House, case: &Case, target: &str) -> Option<Answer> {
    let method = case.get("method").unwrap_or("GET");
    let body = case.get("sends").map(|text| string(text, &[])).unwrap_or_default();
    let length =
        if body.is_empty() { 0 } else { body.len() + usize::from(case.get("short").is_some()) };
    let fields = match length {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    let head = request(method, target, &house.host, &house.alice.cookie, &fields);
    let mut peer = Peer::connect(house.address).await;
    peer.send(head + &body).await;
    peer.answer(method == "HEAD").await
}

/// What the browser got, in the words of the corpus.
fn outcome(answer: Option<&Answer>) -> String {
    let Some(answer) = answer else { return "closed".to_owned() };
    if !answer.whole {
        return format!("{} torn", answer.status);
    }
    match answer.all("cloakroom-error").first() {
        Some(code) => format!("{}/{code}", answer.status),
        None => format!("{} {:?}", answer.status, answer.text()),
    }
}

async fn run(house: &House, case: &Case) {
    case.allow(&[
        "expect", "method", "sends", "short", "route", "then", "early", "reused", "again",
    ]);
    let name = &case.name;
    let prefix = case.get("route").unwrap_or("/api");
    let target = format!("{prefix}/{name}");
    let then = match case.get("then").unwrap_or("hang") {
        "hang" => Then::Hang,
        "close" => Then::Close,
        "serve" => Then::Serve,
        "flood" => Then::Flood,
        other => panic!("{name}: then {other}?"),
    };
    let early = case.get("early").is_some();
    let reply = Reply { bytes: case.message(&house.names(name)), early, then };
    house.upstream.set(&target, reply);
    let answer = ask(house, case, &target).await;
    // A browser that is told nothing but the end of its connection knows as well that something broke off.
    let (got, expected) = (outcome(answer.as_ref()), case.get("expect").unwrap());
    let is_expected = expected.split('|').any(|one| one == got);
    assert!(is_expected, "{name}: {got}, not {expected}: {answer:?}");
    if let Some(answer) = &answer {
        let raw = format!("{}{}", answer.head, answer.text());
        assert!(!raw.contains(FOREIGN), "{name}: {raw}");
    }
    let mut served = house.upstream.seen(&target);
    served.retain(|request| request.target == target);
    let most = 1 + usize::from(case.get("again").is_some());
    assert!((1..=most).contains(&served.len()), "{name}: asked {} times", served.len());
    let connection = served[served.len() - 1].connection;
    if case.get("reused").is_none() {
        until(|| house.upstream.is_closed(connection)).await;
    }
    // The next user, then the first one again, on the same worker.
    for user in [&house.bob, &house.alice] {
        let path = format!("/api/after/{name}");
        let next = house.fetch("GET", &path, user, "").await;
        let own = format!("GET {path} {}", user.authorization);
        assert_eq!((next.status, next.text()), (200, own), "{name}: {}", next.head);
    }
    let path = format!("/api/after/{name}");
    let later = house.upstream.seen(&path);
    let is_reused = later.iter().any(|seen| seen.target == path && seen.connection == connection);
    assert_eq!(is_reused, case.get("reused").is_some(), "{name}: is the connection used again?");
}

// proves: PX-08, PX-09, PX-15
// Abuse class: no byte of one user in another's answer, no answer without end.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_answer_is_contained_and_the_next_user_gets_his_own() {
    let house = House::start().await;
    let failures = Failures::default();
    let cases = Case::all("framing/behind");
    assert!(cases.len() > 40, "{} cases", cases.len());
    // One after another: the next user meets whatever a case has left on the one worker's shelf.
    for case in &cases {
        failures.catch(&case.name, run(&house, case)).await;
    }
    failures.assert_none();
    house.stop().await;
}
