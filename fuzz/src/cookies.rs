//! Session cookies: only what we sealed opens, and only whole.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use cloakroom::clock::Timestamp;
use cloakroom::config::{CookieKey, SessionConfig, SessionStore};
use cloakroom::secret::{Random, Secret};
use cloakroom::session::{
    Identity, KeyRing, Opened, Registration, SessionCookies, SessionId, SessionRecord,
};

/// The client that everything is sealed for.
const ISSUER: &str = "https://login.example.com";
const CLIENT: &str = "web";

const NOW: Timestamp = Timestamp(1_795_478_400);

/// One app, and a session of it that fills three cookies.
struct Fixture {
    cookies: SessionCookies,
    /// `name=value`, the record's chunks first, in order.
    pairs: Vec<String>,
    chunks: usize,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let cookies = cookies();
    let lines = cookies.seal(&record(), &[], NOW).expect("a session within its budget");
    let pairs: Vec<String> = lines
        .iter()
        .filter(|line| !line.contains("Path=/logout") && !line.contains("Max-Age=0"))
        .filter_map(|line| line.split(';').next())
        .map(str::to_owned)
        .collect();
    let chunks = pairs.iter().filter(|pair| pair.contains("-t.")).count();
    assert!(chunks >= 2, "the targets want a session of several chunks");
    Fixture { cookies, pairs, chunks }
});

/// Any `Cookie` lines: nothing panics, and what opens is the session that was sealed.
pub fn cookie_opening(data: &[u8]) {
    check(&super::lines(data));
}

/// The real chunks, sent in any order, number of times and spelling that `data` says: the session opens exactly when each
/// chunk is there once.
pub fn chunk_joining(data: &[u8]) {
    let Fixture { pairs, chunks, .. } = &*FIXTURE;
    let mut seen = vec![0_u32; *chunks];
    let mut jar = Vec::new();
    let mut foreign = false;
    for byte in data.iter().take(16) {
        let at = usize::from(byte >> 4) % chunks;
        let (name, value) = pairs[at].split_once('=').expect("a pair");
        match byte & 0x0f {
            // Numbers written in other ways, and numbers that nobody wrote, are not repaired.
            0 => (jar.push(format!("{}0{at}={value}", &name[..name.len() - 1])), foreign = true).0,
            1 => (jar.push(format!("{}9={value}", &name[..name.len() - 1])), foreign = true).0,
            2 => jar.push("theme=dark".to_owned()),
            _ => (jar.push(format!("{name}={value}")), seen[at] += 1).0,
        }
    }
    let line = jar.join("; ");
    let whole = !foreign && seen.iter().all(|times| *times == 1);
    assert_eq!(check(&[&line]), whole, "{seen:?} foreign: {foreign}");
}

fn check(jar: &[&str]) -> bool {
    let opened = FIXTURE.cookies.open(jar, NOW);
    let _cleared = FIXTURE.cookies.clear(jar);
    match opened {
        Opened::Open(session) => {
            assert_eq!(session.record.subject, "alice");
            assert_eq!(
                session.record.access_token.expose().len(),
                record().access_token.expose().len()
            );
            assert!(session.last_seen >= NOW);
            true
        }
        _ => false,
    }
}

/// Seeds: the whole session, and the session with something amiss.
pub fn jars() -> Vec<Vec<u8>> {
    let pairs = &FIXTURE.pairs;
    let whole = pairs.join("; ");
    let reversed = pairs.iter().rev().cloned().collect::<Vec<_>>().join("; ");
    let twice = format!("{whole}; {}", pairs[0]);
    [whole.clone(), reversed, twice, pairs[0].clone(), pairs.join("\n"), whole.replace("=", "=AA")]
        .into_iter()
        .map(String::into_bytes)
        .collect()
}

/// Seeds: orders.
pub fn orders() -> Vec<Vec<u8>> {
    vec![
        vec![0x0f, 0x1f, 0x2f],
        vec![0x2f, 0x1f, 0x0f],
        vec![0x0f, 0x0f, 0x1f],
        vec![0x00, 0x11, 0x22],
    ]
}

fn cookies() -> SessionCookies {
    let config = SessionConfig {
        store: SessionStore::Cookie,
        keys: vec![CookieKey { id: "fuzz".to_owned(), bytes: Secret::new([7; 32]) }],
        idle_timeout: Duration::from_secs(1800),
        max_age: Duration::from_secs(28_800),
        claims: vec!["sub".to_owned()],
        refresh_before: Duration::from_secs(60),
        cookie_budget: 15_000,
        deny_file: None,
    };
    let identity = Identity {
        app_id: "app".to_owned(),
        clients: vec![(ISSUER.to_owned(), CLIENT.to_owned())],
        port: None,
    };
    let ring = Arc::new(KeyRing::new(&config.keys).expect("one key"));
    SessionCookies::new(ring, identity, &config, "", Random::system())
}

fn record() -> SessionRecord {
    SessionRecord {
        registration: Registration::of(ISSUER, CLIENT),
        session_id: SessionId::new([3; 16]),
        generation: 1,
        subject: "alice".to_owned(),
        op_sid: Some("op-session".to_owned()),
        auth_time: Some(NOW),
        acr: None,
        created: NOW,
        expires: NOW.plus(Duration::from_secs(28_800)),
        sealed_at: NOW,
        access_token: Secret::new("t".repeat(6_500)),
        access_expires: NOW.plus(Duration::from_secs(300)),
        refresh_token: Some(Secret::new("r".repeat(64))),
        proof_key: None,
        scope: Some("openid".to_owned()),
        claims: "{}".to_owned(),
        id_token: None,
        extensions: Vec::new(),
    }
}
