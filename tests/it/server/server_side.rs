//! Sessions kept on the server: the browser holds a ticket, Redis holds the sealed record.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::instances::{eventually, in_contact, shared, status, stop};
use super::setup::{hostile_with, log_in};
use super::{problem_code, set_cookies};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::set;
use crate::support::redis::{LASTING, Redis};
use crate::support::stack::{Setup, Stack};

fn stored(redis: &Redis) -> Setup {
    Setup { session: "store = \"redis\"".to_owned(), ..shared(redis, "") }
}

async fn two(redis: &Redis) -> [Stack; 2] {
    let first = Stack::start(stored(redis)).await;
    let second = first.beside(stored(redis));
    in_contact(&first).await;
    in_contact(&second).await;
    [first, second]
}

fn names(browser: &Browser) -> Vec<String> {
    browser.jar().into_iter().map(|(name, _)| name).collect()
}

/// Every value in Redis, as text.
async fn everything(redis: &Redis) -> String {
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    let mut text = keys.join("\n");
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut connection).await.unwrap();
        let read = match kind.as_str() {
            "string" => redis::cmd("GET").arg(&key).to_owned(),
            "hash" => redis::cmd("HGETALL").arg(&key).to_owned(),
            "stream" => redis::cmd("XRANGE").arg(&key).arg("-").arg("+").to_owned(),
            kind => panic!("what is a {kind} here?"),
        };
        let value: redis::Value = read.query_async(&mut connection).await.unwrap();
        writeln!(text, "\n{value:?}").unwrap();
    }
    text
}

async fn list(stack: &Stack, browser: &Browser) -> Vec<Value> {
    let page = stack.fetch(browser, "GET", "/sessions").await;
    assert_eq!(
        (page.status.as_u16(), &page.headers["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    let body: Value = serde_json::from_str(&page.body).unwrap();
    body["sessions"].as_array().unwrap().clone()
}

fn ended(page: &Page) -> u64 {
    assert_eq!(page.status, 200, "{}", page.body);
    serde_json::from_str::<Value>(&page.body).unwrap()["ended"].as_u64().unwrap()
}

// proves: CK-13, KM-05
#[tokio::test(flavor = "multi_thread")]
async fn the_browser_holds_a_ticket_and_redis_nothing_that_can_be_read() {
    let redis = Redis::start();
    let stacks = two(&redis).await;
    let browser = Browser::new();
    let page = stacks[0].log_in(&browser, "alice").await;
    let lines = set_cookies(&page);
    let ticket = lines.iter().find(|line| line.contains("-s=")).unwrap();
    for word in ["__Host-Http-", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(ticket.contains(word), "{ticket}");
    }
    assert_eq!(names(&browser).len(), 1, "{:?}", names(&browser));
    for stack in &stacks {
        let page = stack.fetch(&browser, "GET", "/api/echo").await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(set_cookies(&page).is_empty(), "nothing to say to the browser");
        let echo: Value = serde_json::from_str(&page.body).unwrap();
        assert!(
            !everything(&redis).await.contains(echo["authorization"].as_str().unwrap_or("Bearer"))
        );
        assert_eq!(stack.session(&browser).await["claims"]["email"], "alice@example.com");
    }
    let all = everything(&redis).await;
    assert!(all.contains(":session:") && all.contains(":user:"), "{all}");
    for word in ["alice", "eyJ", "Bearer", "example.com"] {
        assert!(!all.contains(word), "{word} can be read in Redis");
    }
    // Somebody else's ticket, and one of another key, open nothing.
    browser.tamper(|_, value| Some(value.replace(&value[value.len() - 6..], "AAAAAA")));
    assert_eq!(status(&stacks[0], &browser).await, 401);
    stop(stacks).await;
}

// proves: RF-02, RF-03, RF-07
#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_at_expiry_share_a_refresh_and_the_ticket_stays() {
    let redis = Redis::start();
    let stacks = two(&redis).await;
    let browser = Browser::new();
    stacks[0].log_in(&browser, "alice").await;
    for round in 1..=3 {
        stacks[0].clock.advance(Duration::from_secs(301));
        let calls = (0..50).map(|at| {
            let (stack, tab) = (&stacks[at % 2], browser.copy());
            async move { stack.fetch(&tab, "GET", "/api/echo").await }
        });
        for page in futures_util::future::join_all(calls).await {
            assert_eq!(page.status, 200, "{}", page.body);
        }
        assert_eq!(stacks[0].provider().calls().refreshes, round);
    }
    stop(stacks).await;
}

// proves: LO-01, LO-16
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_is_over_at_every_instance_when_it_is_answered() {
    let redis = Redis::start();
    let stacks = two(&redis).await;
    let browser = Browser::new();
    stacks[0].log_in(&browser, "alice").await;
    let copy = browser.copy();
    assert_eq!(status(&stacks[1], &copy).await, 200);
    let page = stacks[0].fetch(&browser, "POST", "/logout").await;
    assert_eq!(page.status, 200);
    assert_eq!(status(&stacks[1], &copy).await, 401);
    assert_eq!(status(&stacks[0], &copy).await, 401);
    assert!(!everything(&redis).await.contains(":session:"));
    // The ID token was kept beside the record: it goes to the authorization server's logout.
    let next: Value = serde_json::from_str(&page.body).unwrap();
    let link = crate::support::stack::LINK;
    let page = browser.send("GET", next["logout_url"].as_str().unwrap(), &link, "").await;
    assert!(page.redirect().unwrap().as_str().contains("id_token_hint="), "{page:?}");
    eventually("the refresh token is revoked", async || {
        stacks[0].provider().calls().revocations == 1
    })
    .await;
    stop(stacks).await;
}

// proves: CK-08
#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_no_cookie_holds_are_no_trouble() {
    let redis = Redis::start();
    let (op, stack) = hostile_with(stored(&redis)).await;
    in_contact(&stack).await;
    op.turn(|knobs| {
        knobs.token_response = set("access_token", Some(json!("t".repeat(20_000))));
        knobs.claims = set("at_hash", None);
    });
    let browser = Browser::new();
    let page = log_in(&op, &stack, &browser).await;
    assert!(!page.redirect().unwrap().as_str().contains("auth_error"), "{page:?}");
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.stop().await;
}

// proves: KM-02
#[tokio::test(flavor = "multi_thread")]
async fn switching_from_cookies_to_the_store_logs_nobody_out() {
    let redis = Redis::start();
    let stack = Stack::start(shared(&redis, "")).await;
    let browser = Browser::new();
    in_contact(&stack).await;
    stack.log_in(&browser, "alice").await;
    let before = browser.copy();
    let clock = stack.clock.clone();
    let stack = stack.restart_at_same_port(Setup { clock, ..stored(&redis) }).await;
    in_contact(&stack).await;
    // Ten tabs at once move one session.
    let calls = (0..10).map(|_| {
        let (stack, tab) = (&stack, browser.copy());
        async move { stack.fetch(&tab, "GET", "/api/echo").await.status }
    });
    assert!(futures_util::future::join_all(calls).await.iter().all(|status| *status == 200));
    assert_eq!(stack.fetch(&browser, "GET", "/api/echo").await.status, 200);
    let (now, hint) = (names(&browser), |name: &String| name.ends_with("-hint"));
    assert!(now.iter().all(|name| name.ends_with("-s") || hint(name)), "{now:?}");
    assert_eq!(list(&stack, &browser).await.len(), 1);
    stack.clock.advance(Duration::from_secs(301));
    assert_eq!(status(&stack, &browser).await, 200);
    assert_eq!(stack.fetch(&browser, "POST", "/logout").await.status, 200);
    assert_eq!(status(&stack, &before).await, 401, "the cookies of before have ended, too");
    stack.stop().await;
}

// proves: LO-19
#[tokio::test(flavor = "multi_thread")]
async fn a_user_lists_and_ends_their_own_sessions_and_nobody_elses() {
    let redis = Redis::start();
    let stacks = two(&redis).await;
    let (here, there, third, bob) =
        (Browser::new(), Browser::new(), Browser::new(), Browser::new());
    for (browser, user) in [(&here, "alice"), (&there, "alice"), (&third, "alice"), (&bob, "bob")] {
        stacks[0].log_in(browser, user).await;
    }
    let mine = list(&stacks[1], &here).await;
    assert_eq!(mine.len(), 3);
    assert_eq!(mine.iter().filter(|one| one["current"] == true).count(), 1);
    let id = |sessions: &[Value]| {
        let current = sessions.iter().find(|one| one["current"] == true).unwrap();
        current["id"].as_str().unwrap().to_owned()
    };
    let (his, theirs) = (id(&list(&stacks[0], &bob).await), id(&list(&stacks[0], &there).await));
    let delete = async |path: String| stacks[1].fetch(&here, "DELETE", &path).await;
    let page = delete(format!("/sessions?id={his}")).await;
    assert_eq!((page.status.as_u16(), &*problem_code(&page)), (404, "not_found"));
    let page = delete("/sessions?all=1".to_owned()).await;
    assert_eq!((page.status.as_u16(), &*problem_code(&page)), (400, "bad_parameter"));
    assert_eq!(ended(&delete(format!("/sessions?id={theirs}")).await), 1);
    assert_eq!(status(&stacks[0], &there).await, 401);
    assert_eq!((status(&stacks[0], &third).await, status(&stacks[0], &bob).await), (200, 200));
    assert_eq!(ended(&delete("/sessions".to_owned()).await), 1);
    assert_eq!((status(&stacks[0], &third).await, status(&stacks[0], &here).await), (401, 200));
    assert_eq!(list(&stacks[0], &here).await.len(), 1);
    eventually("their refresh tokens are revoked", async || {
        stacks[0].provider().calls().revocations == 2
    })
    .await;
    // No header, no list: another site cannot ask.
    let page = here.send("GET", &stacks[0].url("/sessions"), &[], "").await;
    assert_eq!(page.status, 403);
    stop(stacks).await;
}

// proves: LO-19
#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_cookies_are_in_no_list() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    let page = stack.fetch(&browser, "GET", "/sessions").await;
    assert_eq!((page.status.as_u16(), &*problem_code(&page)), (404, "not_found"));
    stack.stop().await;
}

// proves: RF-05, EL-06
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_503_at_once_and_the_ticket_works_afterwards() {
    let mut redis = Redis::start_with(&LASTING);
    let stacks = two(&redis).await;
    let browser = Browser::new();
    stacks[0].log_in(&browser, "alice").await;
    redis.kill();
    for stack in &stacks {
        let page = stack.fetch(&browser, "GET", "/api/echo").await;
        assert_eq!((page.status.as_u16(), &*problem_code(&page)), (503, "store_unavailable"));
        assert!(set_cookies(&page).is_empty());
    }
    // A login says what is wrong, and not on a page of ours that nobody expects.
    let page = stacks[0].log_in(&Browser::new(), "bob").await;
    assert!(page.redirect().unwrap().as_str().contains("auth_error=store_unavailable"), "{page:?}");
    redis.restart();
    for stack in &stacks {
        eventually("it works", async || status(stack, &browser).await == 200).await;
    }
    stop(stacks).await;
}

// proves: RF-08
#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_the_store_ends_when_it_is_idle_and_not_while_it_is_used() {
    let redis = Redis::start();
    let setup = stored(&redis);
    let session = format!("{}\nidle_timeout = \"4s\"", setup.session);
    let stack = Stack::start(Setup { session, ..setup }).await;
    in_contact(&stack).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(status(&stack, &browser).await, 200);
    }
    eventually("it is idle", async || {
        tokio::time::sleep(Duration::from_secs(5)).await;
        status(&stack, &browser).await == 401
    })
    .await;
    stack.stop().await;
}
