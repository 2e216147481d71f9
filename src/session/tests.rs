//! Attacks on the session cookies, row by row.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::codec::{decode_login, decode_record, decode_timed};
use super::xaes::Xaes;
use super::*;
use crate::clock::Timestamp;
use crate::config::{CookieKey, LoginConfig, SessionConfig};
use crate::secret::{Random, Secret};

pub(super) const NOW: Timestamp = Timestamp(1_000_000);

pub(super) fn key(id: &str, byte: u8) -> CookieKey {
    CookieKey { id: id.to_owned(), bytes: Secret::new([byte; 32]) }
}

fn cookies_of(keys: &[CookieKey], app: &str, issuer: &str) -> SessionCookies {
    cookies_for(keys, app, &[(issuer, "web")])
}

pub(super) fn cookies_for(
    keys: &[CookieKey],
    app: &str,
    clients: &[(&str, &str)],
) -> SessionCookies {
    let config = SessionConfig {
        store: crate::config::SessionStore::Cookie,
        keys: Vec::new(),
        idle_timeout: Duration::from_secs(1_800),
        max_age: Duration::from_secs(28_800),
        claims: Vec::new(),
        refresh_before: Duration::from_secs(60),
        cookie_budget: 7_000,
        deny_file: None,
    };
    let identity = Identity {
        app_id: app.to_owned(),
        clients: clients.iter().map(|(at, id)| ((*at).to_owned(), (*id).to_owned())).collect(),
        port: None,
    };
    SessionCookies::new(
        Arc::new(KeyRing::new(keys).unwrap()),
        identity,
        &config,
        "",
        Random::system(),
    )
}

/// The client that everything here is sealed for.
pub(super) fn ours() -> Registration {
    Registration::of("https://op.example", "web")
}

pub(super) fn cookies() -> SessionCookies {
    cookies_of(&[key("k1", 7)], "app", "https://op.example")
}

pub(super) fn record(access_token: &str) -> SessionRecord {
    SessionRecord {
        registration: ours(),
        session_id: SessionId::new([9; 16]),
        generation: 1,
        subject: "alice".to_owned(),
        op_sid: Some("op-session".to_owned()),
        auth_time: Some(NOW),
        acr: None,
        created: NOW,
        expires: NOW.plus(Duration::from_secs(28_800)),
        sealed_at: NOW,
        access_token: Secret::from(access_token),
        access_expires: NOW.plus(Duration::from_secs(300)),
        refresh_token: Some(Secret::from("refresh-token")),
        proof_key: None,
        scope: Some("openid".to_owned()),
        claims: "{\"sub\":\"alice\"}".to_owned(),
        id_token: Some(Secret::from("head.body.signature")),
        extensions: vec![(7, vec![1, 2, 3])],
    }
}

/// What a browser would send back after these `Set-Cookie` lines.
pub(super) fn jar_of(lines: &[String]) -> String {
    let kept = lines.iter().filter(|line| !line.contains("Max-Age=0"));
    kept.map(|line| line.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

fn sealed(cookies: &SessionCookies, token: &str) -> String {
    jar_of(&cookies.seal(&record(token), &[], NOW).unwrap())
}

pub(super) fn attempt(state: &str, started: Timestamp) -> LoginAttempt {
    LoginAttempt {
        registration: ours(),
        state: state.to_owned(),
        nonce: "n".repeat(43),
        verifier: Secret::new("v".repeat(43)),
        return_to: "/reports#today".to_owned(),
        started,
        max_age: None,
        acr_values: None,
        silent: false,
        scope: Some("openid sales".to_owned()),
        replaces: Some(Replaced {
            id: SessionId::new([9; 16]),
            registration: ours(),
            expires: Timestamp(77),
            token: Some(Secret::new("old-refresh-token".to_owned())),
        }),
    }
}

#[test]
fn xaes_matches_the_published_vectors() {
    let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
    for (byte, aad, expected) in [
        (1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ] {
        let sealed = Xaes::new(&[byte; 32]).seal(nonce, b"XAES-256-GCM", aad.as_bytes()).unwrap();
        let hex: String = sealed.iter().fold(String::new(), |hex, b| format!("{hex}{b:02x}"));
        assert_eq!(hex, expected);
        let mut opened = sealed;
        Xaes::new(&[byte; 32]).open(nonce, &mut opened, aad.as_bytes()).unwrap();
        assert_eq!(opened, b"XAES-256-GCM");
    }
}

/// The accumulated vector: 10,000 rounds of keys, nonces, texts and additional data of every length, all from SHAKE128.
#[test]
fn xaes_matches_the_published_accumulated_vector() {
    use shake::Shake128;
    use shake::digest::{ExtendableOutput as _, Update as _, XofReader};
    fn take(reader: &mut impl XofReader, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        reader.read(&mut bytes);
        bytes
    }
    let mut source = Shake128::default().finalize_xof();
    let mut digest = Shake128::default();
    for _ in 0..10_000 {
        let key: [u8; 32] = take(&mut source, 32).try_into().unwrap();
        let nonce: [u8; 24] = take(&mut source, 24).try_into().unwrap();
        let length = take(&mut source, 1)[0];
        let plain = take(&mut source, length.into());
        let length = take(&mut source, 1)[0];
        let aad = take(&mut source, length.into());
        let mut sealed = Xaes::new(&key).seal(&nonce, &plain, &aad).unwrap();
        digest.update(&sealed);
        Xaes::new(&key).open(&nonce, &mut sealed, &aad).unwrap();
        assert_eq!(sealed, plain);
    }
    let sum = take(&mut digest.finalize_xof(), 32);
    let hex: String = sum.iter().fold(String::new(), |hex, b| format!("{hex}{b:02x}"));
    assert_eq!(hex, "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
}

// proves: KM-04
#[test]
fn each_record_is_sealed_under_a_subkey_of_its_own_so_a_key_never_runs_out() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let cookies = cookies();
    let mut salts = std::collections::HashSet::new();
    for _ in 0..2_000 {
        let jar = sealed(&cookies, "opaque");
        let value = jar.split_once("t.0=").unwrap().1.split_once(';').unwrap().0;
        let bytes = URL_SAFE_NO_PAD.decode(value).unwrap();
        // version, key id, then the half of the nonce that selects the subkey
        assert!(salts.insert(bytes[5..17].to_vec()), "a subkey came twice");
    }
}

/// `sealed(&cookies(), …)` of the first release; whoever changes the format must still open it.
const GOLDEN: &str = include_str!("golden-v1.txt");

#[test]
fn a_cookie_of_the_first_release_still_opens() {
    let Opened::Open(session) = cookies().open(&[GOLDEN.trim()], NOW) else { panic!("not open") };
    let (golden, now) = (session.record, record("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln"));
    assert_eq!(golden.session_id, now.session_id);
    assert_eq!((golden.generation, golden.subject), (now.generation, now.subject));
    assert_eq!((golden.op_sid, golden.auth_time, golden.acr), (now.op_sid, now.auth_time, now.acr));
    assert_eq!((golden.created, golden.expires), (now.created, now.expires));
    assert_eq!((golden.sealed_at, golden.access_expires), (now.sealed_at, now.access_expires));
    assert_eq!((golden.access_token, golden.refresh_token), (now.access_token, now.refresh_token));
    assert_eq!((golden.scope, golden.claims), (now.scope, now.claims));
    assert_eq!(golden.extensions, now.extensions);
}

// proves: CK-01, CK-02, CK-03, CK-18
#[test]
fn every_cookie_is_secure_http_only_strict_and_host_locked() {
    for line in cookies().seal(&record("opaque"), &[], NOW).unwrap() {
        assert!(line.contains("; Secure") && line.contains("; HttpOnly"), "{line}");
        assert!(line.contains("SameSite=Strict") && !line.contains("Domain"), "{line}");
        assert!(!line.contains("Partitioned"), "{line}");
        let host_locked = line.starts_with("__Host-Http-app-") && line.contains("; Path=/;");
        let hint = line.starts_with("__Secure-app-hint=") && line.contains("; Path=/logout;");
        assert!(host_locked || hint, "{line}");
    }
}

// proves: SC-07
#[test]
fn the_key_of_a_session_is_sealed_with_its_tokens_and_never_printed() {
    let cookies = cookies();
    let mut before = record("opaque");
    let key = b"the-private-key-of-a-session".to_vec();
    before.proof_key = Some(Secret::new(key.clone()));
    let jar = jar_of(&cookies.seal(&before, &[], NOW).unwrap());
    let Opened::Open(session) = cookies.open(&[&jar], NOW) else { panic!("not open") };
    assert_eq!(session.record.proof_key.as_ref().unwrap().expose(), &key);
    assert_eq!(session.record.extensions, before.extensions, "it is none of them");
    let printed = format!("{:?}", session.record);
    assert!(printed.contains("proof_key: Some([redacted])"), "{printed}");
    let numbers = format!("{key:?}").trim_matches(['[', ']']).to_owned();
    assert!(!printed.contains(&numbers) && !printed.contains("the-private-key"), "{printed}");
}

#[test]
fn what_was_sealed_opens_and_the_id_token_stays_out_of_the_record() {
    let cookies = cookies();
    let jar = sealed(&cookies, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln");
    let Opened::Open(session) = cookies.open(&[&jar], NOW) else { panic!("not open") };
    assert_eq!(session.record.access_token.expose(), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln");
    assert_eq!(session.record.extensions, vec![(7, vec![1, 2, 3])]);
    assert_eq!(session.last_seen, NOW);
    assert!(session.record.id_token.is_none());
    let hint = cookies.logout_hint(&[&jar], &session.record.session_id).unwrap();
    assert_eq!(hint.expose(), "head.body.signature");
    assert!(cookies.logout_hint(&[&jar], &SessionId::new([1; 16])).is_none());
}

// proves: CK-04
#[test]
fn no_cookie_holds_a_token_or_its_encoding() {
    let jar = sealed(&cookies(), "visible-access-token");
    for needle in ["visible", "refresh-token", "head.body", "dmlzaWJsZS"] {
        assert!(!jar.contains(needle), "{needle} is in {jar}");
    }
}

// proves: CK-05
#[test]
fn flipping_any_character_is_no_session_and_never_an_error() {
    let cookies = cookies();
    let jar = sealed(&cookies, "opaque");
    let value_at = jar.find('=').unwrap() + 1;
    let end = jar.find(';').unwrap();
    for at in value_at..end {
        let mut bytes = jar.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(bytes).unwrap();
        assert!(!matches!(cookies.open(&[&flipped], NOW), Opened::Open(_)), "byte {at}");
    }
}

// proves: CK-06, KM-05
#[test]
fn a_value_opens_only_for_its_own_purpose_app_issuer_and_name() {
    let cookies = cookies();
    let login = jar_of(&cookies.seal_login(&attempt("state", NOW), &[], &limits(), NOW));
    let as_session = format!("__Host-Http-app-t.0={}", login.split_once('=').unwrap().1);
    assert!(matches!(cookies.open(&[&as_session], NOW), Opened::Invalid));

    let jar = sealed(&cookies, "opaque");
    let other_issuer = cookies_of(&[key("k1", 7)], "app", "https://other.example");
    assert!(matches!(other_issuer.open(&[&jar], NOW), Opened::Invalid));
    let other_app = cookies_of(&[key("k1", 7)], "other", "https://op.example");
    let renamed = jar.replace("-app-", "-other-");
    assert!(matches!(other_app.open(&[&renamed], NOW), Opened::Invalid));
}

// proves: CK-07
#[test]
fn duplicates_and_look_alike_names_are_not_a_session() {
    let cookies = cookies();
    let jar = sealed(&cookies, "opaque");
    let doubled = format!("{jar}; __Host-Http-app-t.0=planted");
    assert!(matches!(cookies.open(&[&doubled], NOW), Opened::Invalid));
    let miscased = jar.replace("__Host-Http", "__host-http");
    assert!(matches!(cookies.open(&[&miscased], NOW), Opened::None));
    let quoted = jar.replace("t.0=", "t.0=\"");
    assert!(matches!(cookies.open(&[&quoted], NOW), Opened::Invalid));
}

// proves: CK-08
#[test]
fn big_tokens_are_split_and_too_big_ones_are_a_clear_error() {
    let cookies = cookies();
    for kib in [1, 3, 4] {
        let token = "t".repeat(kib * 1024);
        let lines = cookies.seal(&record(&token), &[], NOW).unwrap();
        assert!(lines.iter().all(|line| line.len() <= 4096), "a browser drops this");
        let jar = jar_of(&lines);
        let Opened::Open(session) = cookies.open(&[&jar], NOW) else { panic!("{kib} KiB") };
        assert_eq!(session.record.access_token.expose(), &token);
    }
    for kib in [8, 16, 64] {
        let error = cookies.seal(&record(&"t".repeat(kib * 1024)), &[], NOW).unwrap_err();
        assert!(matches!(error, SessionError::OverBudget { budget: 7_000, .. }));
    }
}

// proves: CK-09
#[test]
fn missing_extra_and_a_thousand_chunks_are_no_session_and_stale_ones_are_deleted() {
    let cookies = cookies();
    let jar = sealed(&cookies, &"t".repeat(4 * 1024));
    let without_second: Vec<&str> = jar.split("; ").filter(|c| !c.contains("-t.1=")).collect();
    assert!(matches!(cookies.open(&[&without_second.join("; ")], NOW), Opened::Invalid));
    let without_first: Vec<&str> = jar.split("; ").filter(|c| !c.contains("-t.0=")).collect();
    assert!(matches!(cookies.open(&[&without_first.join("; ")], NOW), Opened::Invalid));
    let extra = format!("{jar}; __Host-Http-app-t.2=AAAA");
    assert!(matches!(cookies.open(&[&extra], NOW), Opened::Invalid));
    let many: Vec<String> = (0..1000).map(|n| format!("__Host-Http-app-t.{n}=A")).collect();
    assert!(matches!(cookies.open(&[&many.join("; ")], NOW), Opened::Invalid));

    // Foreign numbers, too, are deleted: they would break every later request.
    let foreign =
        format!("{jar}; __Host-Http-app-t.12=A; __Host-Http-app-t.00=A; __Host-Http-app-t.x=A");
    assert!(matches!(cookies.open(&[&foreign], NOW), Opened::Invalid));
    let cleared = cookies.clear(&[&foreign]);
    for number in ["0", "1", "12", "00"] {
        let name = format!("__Host-Http-app-t.{number}=;");
        assert!(cleared.iter().any(|line| line.starts_with(&name)), "{number}: {cleared:?}");
    }

    let smaller = cookies.seal(&record("small"), &[&jar], NOW).unwrap();
    let deletion = smaller.iter().find(|line| line.starts_with("__Host-Http-app-t.1=;")).unwrap();
    assert!(deletion.contains("Max-Age=0") && deletion.contains("; Secure"), "{deletion}");
}

// proves: CK-11, CK-12
#[test]
fn idle_and_absolute_ends_are_enforced_from_sealed_content() {
    let cookies = cookies();
    let jar = sealed(&cookies, "opaque");
    let after = |seconds| NOW.plus(Duration::from_secs(seconds));
    assert!(matches!(cookies.open(&[&jar], after(1_799)), Opened::Open(_)));
    assert!(matches!(cookies.open(&[&jar], after(1_800)), Opened::Expired));

    // Active every ten minutes: lives to the absolute end, and not a second longer.
    let mut jar = jar;
    for at in (600..28_800).step_by(600) {
        let Opened::Open(session) = cookies.open(&[&jar], after(at)) else { panic!("at {at}") };
        let line = cookies.touch(&session, after(at)).unwrap();
        let fresh = line.split(';').next().unwrap();
        let rest: Vec<&str> =
            jar.split("; ").filter(|c| !c.starts_with("__Host-Http-app-a=")).collect();
        jar = format!("{}; {fresh}", rest.join("; "));
    }
    assert!(matches!(cookies.open(&[&jar], after(28_799)), Opened::Open(_)));
    assert!(matches!(cookies.open(&[&jar], after(28_800)), Opened::Expired));
}

#[test]
fn the_activity_cookie_is_resealed_at_most_every_tenth_of_the_idle_time() {
    let cookies = cookies();
    let jar = sealed(&cookies, "opaque");
    let Opened::Open(session) = cookies.open(&[&jar], NOW) else { panic!("not open") };
    assert!(cookies.touch(&session, NOW.plus(Duration::from_secs(179))).is_none());
    assert!(cookies.touch(&session, NOW.plus(Duration::from_secs(180))).is_some());
}

// proves: CK-14
#[test]
fn clearing_repeats_the_attributes_of_setting() {
    let cookies = cookies();
    let lines = cookies.seal(&record("opaque"), &[], NOW).unwrap();
    let jar = jar_of(&lines);
    let attributes = |line: &str| {
        let (name, rest) = line.split_once('=').unwrap();
        let keep = |part: &&str| {
            ["Path", "Secure", "HttpOnly", "SameSite"].iter().any(|a| part.trim().starts_with(a))
        };
        let mut kept: Vec<String> =
            rest.split(';').skip(1).filter(keep).map(|p| p.trim().to_owned()).collect();
        kept.sort();
        (name.to_owned(), kept)
    };
    // A login also deletes the chunks that it does not use.
    let kept = lines.iter().filter(|line| !line.contains("Max-Age=0"));
    let mut set: Vec<_> = kept.map(|line| attributes(line)).collect();
    let mut cleared: Vec<_> = cookies.clear(&[&jar]).iter().map(|line| attributes(line)).collect();
    set.sort();
    cleared.sort();
    assert_eq!(set, cleared);
}

// proves: CK-15, CB-01
#[test]
fn ten_attempts_live_side_by_side_and_two_hundred_do_not_overflow() {
    let cookies = cookies();
    let mut jar: Vec<(String, String)> = Vec::new();
    for n in 0..200_u64 {
        let line = jar.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("; ");
        let at = NOW.plus(Duration::from_secs(n));
        for set in cookies.seal_login(&attempt(&format!("state-{n}"), at), &[&line], &limits(), at)
        {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            jar.retain(|(other, _)| other != name);
            if !value.is_empty() {
                assert!(set.contains("SameSite=Lax"), "{set}");
                jar.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    assert_eq!(jar.len(), 10);
    let line = jar.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("; ");
    let now = NOW.plus(Duration::from_secs(200));
    for n in 190..200 {
        assert_eq!(
            cookies.open_login(&[&line], &format!("state-{n}"), &limits(), now).unwrap().return_to,
            "/reports#today"
        );
    }
    assert_eq!(
        cookies.open_login(&[&line], "state-0", &limits(), now).unwrap_err(),
        LoginCookieError::Missing
    );
    let late = NOW.plus(Duration::from_secs(900));
    assert_eq!(
        cookies.open_login(&[&line], "state-199", &limits(), late).unwrap_err(),
        LoginCookieError::Expired
    );
}

// proves: CK-15
#[test]
fn attempts_with_long_targets_never_outgrow_a_front_proxys_header() {
    let cookies = cookies();
    let mut jar = std::collections::BTreeMap::new();
    for n in 0..40_u64 {
        let line = line_of(&jar);
        let at = NOW.plus(Duration::from_secs(n));
        let long = LoginAttempt {
            return_to: format!("/{}", "x".repeat(1_900)),
            ..attempt(&format!("s{n}"), at)
        };
        for set in cookies.seal_login(&long, &[&line], &limits(), at) {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if set.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        let bytes: usize = jar.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(bytes <= 4_000, "{bytes} bytes after {n}");
        assert!(cookies.open_login(&[&line_of(&jar)], &format!("s{n}"), &limits(), at).is_ok());
    }
}

fn line_of(jar: &std::collections::BTreeMap<String, String>) -> String {
    jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

// proves: KM-02
#[test]
fn rotation_logs_nobody_out_and_an_unknown_key_keeps_the_cookies() {
    let old = cookies();
    let jar = sealed(&old, "opaque");
    let rotated = cookies_of(&[key("k2", 8), key("k1", 7)], "app", "https://op.example");
    assert!(matches!(rotated.open(&[&jar], NOW), Opened::Open(_)));
    let new_jar = sealed(&rotated, "opaque");
    assert!(matches!(old.open(&[&new_jar], NOW), Opened::Unknown));
    let retired = cookies_of(&[key("k2", 8)], "app", "https://op.example");
    assert!(matches!(retired.open(&[&jar], NOW), Opened::Unknown));
    // A newer format of a later release is not an attack either.
    let newer = with_version_2(&jar);
    assert!(matches!(old.open(&[&newer], NOW), Opened::Unknown));
}

/// The jar with the version byte of the first record chunk set to 2.
fn with_version_2(jar: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (head, rest) = jar.split_once("t.0=").unwrap();
    let (value, tail) = rest.split_once(';').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(value).unwrap();
    bytes[0] = 2;
    format!("{head}t.0={};{tail}", URL_SAFE_NO_PAD.encode(bytes))
}

#[test]
fn a_logout_ticket_lives_two_minutes() {
    let cookies = cookies();
    let jar = jar_of(&[cookies.seal_logout_ticket(ours(), Some(&Secret::from("a.b.c")), NOW)]);
    let fresh = cookies.open_logout_ticket(&[&jar], NOW.plus(Duration::from_secs(119))).unwrap();
    assert_eq!(fresh.id_token.unwrap().expose(), "a.b.c");
    assert!(cookies.open_logout_ticket(&[&jar], NOW.plus(Duration::from_secs(120))).is_none());
}

proptest! {
    #[test]
    fn any_cookie_header_is_read_without_panic(header in ".{0,400}", value in "[A-Za-z0-9_-]{0,300}") {
        let cookies = cookies();
        let planted = format!("__Host-Http-app-t.0={value}; {header}");
        let opened = matches!(cookies.open(&[&planted, &header], NOW), Opened::Open(_));
        prop_assert!(!opened);
    }

    #[test]
    fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = (
            decode_record(&bytes, Registration::default()),
            decode_login(&bytes, Registration::default()),
            decode_timed(&bytes),
        );
    }

    #[test]
    fn any_token_survives_the_round_trip(token in "[ -~]{1,200}") {
        let cookies = cookies();
        let jar = sealed(&cookies, &token);
        let Opened::Open(session) = cookies.open(&[&jar], NOW) else { panic!("not open") };
        prop_assert_eq!(session.record.access_token.expose(), &token);
    }
}

pub(super) fn limits() -> LoginConfig {
    LoginConfig {
        max_age: Duration::from_secs(600),
        max_parallel: 10,
        allowed_params: Vec::new(),
        loop_limit: 5,
        loop_window: Duration::from_secs(60),
        revoke_replaced: false,
    }
}
