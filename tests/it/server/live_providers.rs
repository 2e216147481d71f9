//! Providers of one app that come, change and go while the process serves, and several instances before the same ones.

use std::time::Duration;

use cloakroom::clock::Clock;

use super::control::{end, refused};
use super::deny_file::folder;
use super::live_apps::{change, count, session};
use super::providers::{Place, both, servers};
use super::served::Served;
use super::setup::callback;
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::{Endpoint, HostileOp, Reply};
use crate::support::hostile_upstream::until;
use crate::support::redis::Redis;
use crate::support::stack::{CLIENT_ID, FETCH, LINK, PARTNER_SECRET, free_port, write_config};

/// A process before `providers`, lines that end with `# end`.
async fn served(providers: &str) -> Served {
    let (port, admin) = (free_port(), free_port());
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
public_url = "http://localhost:{port}"
[admin]
listen = "127.0.0.1:{admin}"
[session]
keys = [{{ id = "one", env = "KEY_ONE" }}]
{providers}
# end
"#
    );
    Served::start_at((port, admin), write_config(&text)).await
}

async fn log_in(served: &mut Served, op: &HostileOp, id: &str) -> Browser {
    let browser = Browser::new();
    let page = served.send(&browser, "GET", &format!("/login?provider={id}"), &LINK).await;
    let path = callback(op, page.redirect().unwrap().as_str(), &format!("/callback/{id}"));
    served.send(&browser, "GET", &path, &[]).await;
    assert!(session(served, &browser).await);
    browser
}

async fn refresh(served: &mut Served, browser: &Browser) -> Page {
    served.send(browser, "POST", "/refresh", &FETCH).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_provider_changes_moves_and_goes_and_the_other_notices_nothing() {
    let (home, partner) = servers(&Clock::system()).await;
    let mut served = served(&both(&home, &partner)).await;
    let one = log_in(&mut served, &home, "home").await;
    let two = log_in(&mut served, &partner, "partner").await;
    let learned = |op: &HostileOp| (op.calls(Endpoint::Discovery), op.calls(Endpoint::Jwks));
    let before = learned(&home);

    // A change of one: the other's metadata and keys are not asked for again.
    let secret = format!("client_secret = \"{PARTNER_SECRET}\"\n");
    let slower = format!("{secret}timeout = \"9s\"\n");
    change(&served, (&secret, &slower), "apps_changed").await;
    let three = log_in(&mut served, &home, "home").await;
    log_in(&mut served, &partner, "partner").await;
    assert_eq!(learned(&home), before);
    assert!(learned(&partner).0 > 1, "what changed is learned anew");
    for browser in [&one, &two, &three] {
        assert!(session(&mut served, browser).await);
    }

    // Another order: sessions know whose they are by more than a place in a list.
    let swapped = both(&partner, &home)
        .replace("id = \"home\"", "id = \"x\"")
        .replace("id = \"partner\"", "id = \"home\"")
        .replace("id = \"x\"", "id = \"partner\"")
        .replace("client_secret_env = \"CLIENT_SECRET\"", "client_secret = \"x\"")
        .replace(&secret, "client_secret_env = \"CLIENT_SECRET\"\n")
        .replace("client_secret = \"x\"\n", &secret);
    let listed = both(&home, &partner).replace(&secret, &slower);
    change(&served, (&listed, &swapped), "apps_changed").await;
    for (browser, id) in [(&one, "home"), (&two, "partner")] {
        let page = served.send(browser, "GET", "/session", &FETCH).await;
        assert!(page.body.contains(&format!("\"provider\":\"{id}\"")), "{}", page.body);
    }

    // One goes: its sessions are over, with a code that says so; nobody else's are.
    let first = swapped.find("[[providers]]").unwrap();
    let second = swapped.rfind("[[providers]]").unwrap();
    let gone = swapped[first..second].to_owned();
    let calls = (home.calls(Endpoint::Token), partner.calls(Endpoint::Token));
    change(&served, (&gone, ""), "apps_changed").await;
    let page = refresh(&mut served, &two).await;
    assert_eq!(
        (page.status.as_u16(), &page.headers["cloakroom-error"]),
        (401, &"session_expired".parse().unwrap())
    );
    assert!(two.jar().is_empty(), "{:?}", two.jar());
    assert!(session(&mut served, &one).await && session(&mut served, &three).await);
    assert_eq!(refresh(&mut served, &one).await.status, 200);
    let page = served.send(&Browser::new(), "GET", "/login?provider=partner", &LINK).await;
    assert_eq!(page.headers["cloakroom-error"], "unknown_provider");
    assert_eq!((home.calls(Endpoint::Token), partner.calls(Endpoint::Token)), calls);
    // The only one left is at the plain callback.
    let page = served.send(&Browser::new(), "GET", "/login", &LINK).await;
    assert!(page.redirect().unwrap().as_str().contains("%2Fcallback&"), "{:?}", page.redirect());
    assert_eq!(count(&served, "apps_changed"), 3);
    served.logs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_provider_beside_the_only_one_logs_nobody_out() {
    let (home, partner) = servers(&Clock::system()).await;
    let alone = format!(
        "[provider]\nissuer = \"{}\"\nclient_id = \"{CLIENT_ID}\"\nclient_secret_env = \"CLIENT_SECRET\"",
        home.issuer
    );
    let mut served = served(&alone).await;
    let browser = Browser::new();
    super::audit::log_in(&mut served, &home, &browser).await;
    let page = served.send(&browser, "GET", "/session", &FETCH).await;
    assert!(page.body.contains("\"authenticated\":true") && !page.body.contains("provider"));
    change(&served, (&alone, &both(&partner, &home)), "apps_changed").await;
    let page = served.send(&browser, "GET", "/session", &FETCH).await;
    assert!(page.body.contains("\"provider\":\"partner\""), "its second by now: {}", page.body);
    served.logs();
}

// proves: ID-18
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_says_whose_user_is_meant() {
    let socket = folder("providers-control").join("control.sock");
    let more = format!("[control]\nsocket = \"{}\"", socket.display());
    let place = Place::start_with(&more).await;
    let (one, two) = (Browser::new(), Browser::new());
    place.log_in(&one, "home").await;
    place.log_in(&two, "partner").await;
    let said = refused(&socket, &["--user", "alice"]).await;
    assert!(said.contains(&place.home.issuer) && said.contains(&place.partner.issuer), "{said}");
    assert_eq!(place.session(&one).await["authenticated"], true);
    end(&socket, &["--user", "alice", "--issuer", &place.partner.issuer]).await;
    assert_eq!(place.session(&one).await["authenticated"], true);
    assert_eq!(place.session(&two).await["authenticated"], false);
    place.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_redis_go_on_at_every_instance_with_the_server_that_they_came_from() {
    let redis = Redis::start();
    let more = format!("[redis]\nurl = \"{}\"", redis.url());
    let place = Place::start_in_store(&more).await;
    let (other, port) = place.beside();
    let (one, two) = (Browser::new(), Browser::new());
    place.log_in(&one, "home").await;
    place.log_in(&two, "partner").await;
    let at_other = async |browser: &Browser, method: &str, path: &str| {
        let host = place.app.trim_start_matches("http://");
        let headers: Vec<_> = FETCH.into_iter().chain([("host", host)]).collect();
        browser.send(method, &format!("http://localhost:{port}{path}"), &headers, "").await
    };
    for (browser, id) in [(&one, "home"), (&two, "partner")] {
        let mut page = at_other(browser, "GET", "/session").await;
        for _ in 0..200 {
            if page.status == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
            page = at_other(browser, "GET", "/session").await;
        }
        assert!(page.body.contains(&format!("\"provider\":\"{id}\"")), "{}", page.body);
        let page = at_other(browser, "GET", "/sessions").await;
        assert_eq!(
            page.body.matches("\"id\"").count(),
            1,
            "the same sub is two users: {}",
            page.body
        );
    }
    place.clock.advance(Duration::from_secs(301));
    for (browser, calls) in [(&two, (1, 2)), (&one, (2, 2))] {
        assert_eq!(at_other(browser, "POST", "/refresh").await.status, 200);
        assert_eq!(place.token_calls(), calls);
        assert_eq!(place.fetch(browser, "GET", "/api/x").await.status, 200);
        assert_eq!(place.token_calls(), calls, "the first instance has the new tokens, too");
    }
    assert_eq!(at_other(&two, "POST", "/logout").await.status, 200);
    until(|| place.partner.calls(Endpoint::Revocation) == 1).await;
    assert_eq!(place.home.calls(Endpoint::Revocation), 0);
    assert_eq!(place.session(&two).await["authenticated"], false);
    assert_eq!(place.session(&one).await["provider"], "home");
    other.stop().await;
    place.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_away_shows_by_its_name_until_it_is_taken_out() {
    let (home, partner) = servers(&Clock::system()).await;
    partner.answer_with(Endpoint::Discovery, Reply::new(503, "text/plain", "away"));
    let mut served = served(&both(&home, &partner)).await;
    let says = async |served: &Served, path: &str, part: &str| {
        for _ in 0..400 {
            let body = Browser::new().get(&format!("{}{path}", served.admin)).await.body;
            if body.contains(part) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{path} never says {part}");
    };
    let metric =
        |id, value| format!("cloakroom_provider_degraded{{app=\"app\",provider=\"{id}\"}} {value}");
    says(&served, "/metrics", &metric("partner", 1)).await;
    says(&served, "/metrics", &metric("home", 0)).await;
    says(&served, "/readyz", "\"providers\":{\"partner\":\"discovery_unavailable\"}").await;
    log_in(&mut served, &home, "home").await;
    let page = served.send(&Browser::new(), "GET", "/login?provider=partner", &LINK).await;
    assert_eq!(page.headers["cloakroom-error"], "provider_unavailable");
    let all = both(&home, &partner);
    let gone = all[all.rfind("[[providers]]").unwrap()..].to_owned();
    change(&served, (&gone, ""), "apps_changed").await;
    says(&served, "/metrics", &metric("partner", 0)).await;
    says(&served, "/readyz", "\"status\":\"ok\"").await;
    served.logs();
}
