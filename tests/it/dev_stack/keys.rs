//! The signing key file, minted tokens, and where the stack may listen.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cloakroom::clock::Clock;
use cloakroom::dev::{mint_token, start};
use cloakroom::secret::Random;
use jsonwebtoken::decode_header;
use rstest::rstest;

use super::{DevStackOptions, Fixture, claims, options, text};

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(Random::system().token::<9>());
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn key(&self) -> PathBuf {
        self.0.join("dev-key.pk8")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn mint(key: Option<&Path>, ttl: u64, clock: &Clock) -> String {
    mint_token("alice", "sales", Duration::from_secs(ttl), key, clock, &Random::system()).unwrap()
}

async fn status_of(fixture: &Fixture, token: &str) -> u16 {
    let request = fixture.client.get(fixture.api("/api/echo")).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_minted_token_looks_like_an_issued_one_to_the_running_stack() {
    let folder = Folder::new();
    let fixture =
        Fixture::with(DevStackOptions { key_file: Some(folder.key()), ..options() }).await;
    let minted = mint(Some(&folder.key()), 60, &fixture.clock);
    assert_eq!(status_of(&fixture, &minted).await, 200);
    let issued = fixture.tokens("alice").await;
    let issued = text(&issued, "access_token");
    assert_eq!(decode_header(&minted).unwrap().kid, decode_header(issued).unwrap().kid);
    for same in ["iss", "sub", "aud", "region"] {
        assert_eq!(claims(&minted)[same], claims(issued)[same], "{same}");
    }
    fixture.clock.advance(Duration::from_secs(60));
    assert_eq!(status_of(&fixture, &minted).await, 401, "expired");
    assert_eq!(status_of(&fixture, &mint(None, 60, &fixture.clock)).await, 401, "another key");
}

#[tokio::test]
async fn stacks_that_share_a_key_still_tell_their_tokens_apart() {
    let folder = Folder::new();
    let with_key = || DevStackOptions { key_file: Some(folder.key()), ..options() };
    let (first, second) = (Fixture::with(with_key()).await, Fixture::with(with_key()).await);
    let issued = first.tokens("alice").await;
    let token = text(&issued, "access_token");
    assert_eq!((status_of(&first, token).await, status_of(&second, token).await), (200, 401));
    assert!(!second.is_active(token).await);
}

#[tokio::test]
async fn a_token_that_was_minted_before_any_stack_ran_counts_too() {
    let folder = Folder::new();
    let minted = mint(Some(&folder.key()), 4_000_000_000, &Clock::system());
    let fixture =
        Fixture::with(DevStackOptions { key_file: Some(folder.key()), ..options() }).await;
    assert_eq!(status_of(&fixture, &minted).await, 200);
}

#[tokio::test]
async fn the_key_file_is_private_and_survives_a_restart() {
    let folder = Folder::new();
    let with_key = || DevStackOptions { key_file: Some(folder.key()), ..options() };
    let first = Fixture::with(with_key()).await;
    let issued = first.tokens("alice").await;
    first.stack.stop().await;
    assert_eq!(fs::metadata(folder.key()).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "the key and the issuer's name, no drafts: {names:?}");
    let second = Fixture::with(with_key()).await;
    let again = second.tokens("alice").await;
    let kid = |tokens| decode_header(text(tokens, "id_token")).unwrap().kid;
    assert_eq!(kid(&issued), kid(&again));
}

#[tokio::test]
async fn processes_that_start_together_get_one_key() {
    let folder = Folder::new();
    let minting: Vec<_> = (0..8)
        .map(|_| {
            let key = folder.key();
            std::thread::spawn(move || {
                decode_header(mint(Some(&key), 60, &Clock::system())).unwrap().kid
            })
        })
        .collect();
    let kids: Vec<_> = minting.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(kids.iter().all(|kid| kid == &kids[0]), "{kids:?}");
}

#[tokio::test]
async fn a_key_file_that_others_can_read_or_that_is_no_key_stops_the_start() {
    let folder = Folder::new();
    let begin = async || {
        let options = DevStackOptions { key_file: Some(folder.key()), ..options() };
        start(options, Clock::system(), Random::system()).await
    };
    mint(Some(&folder.key()), 60, &Clock::system());
    fs::set_permissions(folder.key(), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(begin().await.unwrap_err().to_string().contains("open to other users"));
    fs::set_permissions(folder.key(), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(begin().await.is_ok());
    fs::write(folder.key(), "no key").unwrap();
    assert!(format!("{:#}", begin().await.unwrap_err()).contains("holds no P-256 key"));
}

#[rstest]
#[case::everywhere("0.0.0.0:0")]
#[case::everywhere_v6("[::]:0")]
#[case::another_machine("192.0.2.1:0")]
#[tokio::test]
async fn the_stack_listens_on_loopback_only(#[case] address: &str) {
    let address = address.parse().unwrap();
    for options in [
        DevStackOptions { issuer_listen: address, ..options() },
        DevStackOptions { api_listen: address, ..options() },
    ] {
        let error = start(options, Clock::system(), Random::system()).await.unwrap_err();
        assert!(error.to_string().contains("loopback only"), "{error}");
    }
}

#[tokio::test]
async fn the_servers_stop_with_the_stack() {
    let fixture = Fixture::start().await;
    let url = fixture.api("/public/hello");
    assert_eq!(fixture.client.get(&url).send().await.unwrap().status(), 200);
    fixture.stack.stop().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(client.get(&url).send().await.unwrap_err().is_connect());
}
