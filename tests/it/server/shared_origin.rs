//! Apps that share a host, each at a path of its own; and signing on once for several apps.

use std::path::Path;

use cloakroom::clock::Clock;

use super::deny_file::folder;
use super::served::{SESSION, Served};
use super::setup::hostile_op;
use super::{problem_code, set_cookies};
use crate::support::browser::{Browser, Page, login};
use crate::support::hostile_op::HostileOp;
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::stack::{CLIENT_ID, FETCH, LINK, Setup, Stack, free_port, write_config};

fn spa(root: &Path, name: &str) -> String {
    let folder = root.join(name);
    std::fs::create_dir_all(folder.join("assets")).unwrap();
    std::fs::write(folder.join("index.html"), format!("<title>{name}</title>")).unwrap();
    std::fs::write(folder.join("assets/app.js"), format!("// {name}")).unwrap();
    folder.display().to_string()
}

fn app(
    op: &HostileOp,
    port: u16,
    (id, path): (&str, &str),
    spa: &str,
    api: &HostileUpstream,
) -> String {
    let prefix = path.trim_end_matches('/');
    format!(
        "[[apps]]\npublic_url = \"http://localhost:{port}\"\napp = {{ id = \"{id}\", path = \"{path}\" }}\n\
         provider = {{ issuer = \"{}\", client_id = \"{CLIENT_ID}\", client_secret_env = \"CLIENT_SECRET\" }}\n\
         session = {{ {SESSION} }}\nspa = {{ root = \"{spa}\" }}\n\
         [[apps.routes]]\npath = \"{prefix}/api\"\nupstream = \"http://{}\"\nstrip_prefix = true\n",
        op.issuer, api.address
    )
}

struct Place {
    op: HostileOp,
    served: Served,
    root_api: HostileUpstream,
    shop_api: HostileUpstream,
}

async fn start(name: &str) -> Place {
    let op = hostile_op(Clock::system()).await;
    let (root_api, shop_api) = (
        HostileUpstream::answering(ok("root's")).await,
        HostileUpstream::answering(ok("shop's")).await,
    );
    let (port, admin, folder) = (free_port(), free_port(), folder(name));
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\nshared_origin = true\n\
         [admin]\nlisten = \"127.0.0.1:{admin}\"\n[log]\nformat = \"json\"\n{}{}",
        app(&op, port, ("main", "/"), &spa(&folder, "root"), &root_api),
        app(&op, port, ("shop", "/shop"), &spa(&folder, "shop"), &shop_api),
    );
    let served = Served::start_at((port, admin), write_config(&text)).await;
    Place { op, served, root_api, shop_api }
}

impl Place {
    async fn get(&self, browser: &Browser, path: &str, headers: &[(&str, &str)]) -> Page {
        browser.send("GET", &format!("{}{path}", self.served.app), headers, "").await
    }

    /// A whole login at the app below `prefix`.
    async fn log_in(&self, browser: &Browser, prefix: &str) -> Page {
        let page = self.get(browser, &format!("{prefix}/login"), &LINK).await;
        let callback = format!("{}{prefix}/callback", self.served.app);
        let back = super::setup::callback(&self.op, page.redirect().unwrap().as_str(), &callback);
        browser.get_from_elsewhere(&back).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_app_has_its_own_pages_endpoints_sessions_and_routes() {
    let place = start("shared-apps").await;
    for (path, wanted) in [
        ("/", "<title>root</title>"),
        ("/shopping", "<title>root</title>"),
        ("/shop/", "<title>shop</title>"),
        ("/shop/cart/7", "<title>shop</title>"),
        ("/assets/app.js", "// root"),
        ("/shop/assets/app.js", "// shop"),
    ] {
        let page = place.get(&Browser::new(), path, &LINK).await;
        assert_eq!((page.status.as_u16(), page.body.as_str()), (200, wanted), "{path}");
    }
    let page = place.get(&Browser::new(), "/shop?tab=2", &LINK).await;
    assert_eq!(
        (page.status.as_u16(), &page.headers["location"]),
        (307, &"/shop/?tab=2".parse().unwrap())
    );

    let browser = Browser::new();
    let landed = place.log_in(&browser, "/shop").await;
    assert!(landed.redirect().unwrap().as_str().ends_with("/shop/"), "its own first page");
    assert!(set_cookies(&landed).iter().all(|line| !line.contains("main")), "{landed:?}");
    let session = async |prefix: &str| {
        let page = place.get(&browser, &format!("{prefix}/session"), &FETCH).await;
        page.body.contains("\"authenticated\":true")
    };
    assert!(
        session("/shop").await && !session("").await,
        "a session of one app is none of the other"
    );
    assert_eq!(place.get(&browser, "/shop/api/x", &FETCH).await.body, "shop's");
    assert_eq!(problem_code(&place.get(&browser, "/api/x", &FETCH).await), "not_logged_in");
    assert!(!place.shop_api.request().to_lowercase().contains("cookie:"), "nobody's cookies go up");

    place.log_in(&browser, "").await;
    assert!(session("/shop").await && session("").await);
    assert_eq!(place.get(&browser, "/api/x", &FETCH).await.body, "root's");
    assert!(!place.root_api.request().to_lowercase().contains("cookie:"));
    let out = browser.send("POST", &format!("{}/shop/logout", place.served.app), &FETCH, "").await;
    assert_eq!(out.status, 200, "{}", out.body);
    assert!(!session("/shop").await && session("").await, "a logout ends one of them");
    place.served.logs();
}

// proves: AR-10
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_for_one_app_is_nothing_to_the_other_and_no_path_leads_astray() {
    let place = start("shared-astray").await;
    let browser = Browser::new();
    let page = place.get(&browser, "/shop/login", &LINK).await;
    let other = format!("{}/callback", place.served.app);
    let back = super::setup::callback(&place.op, page.redirect().unwrap().as_str(), &other);
    let error = super::setup::error_of(&browser.get_from_elsewhere(&back).await);
    assert_eq!(error.as_deref(), Some("login_cookie_missing"));
    for path in ["/shop/../session", "/shop%2fsession", "//shop/session", "/shop/%2e%2e/api/x"] {
        let mut socket =
            tokio::net::TcpStream::connect(place.served.app.strip_prefix("http://").unwrap())
                .await
                .unwrap();
        let host = place.served.app.strip_prefix("http://").unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nx-csrf: 1\r\nsec-fetch-site: same-origin\r\nconnection: close\r\n\r\n"
        );
        tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
    }
    place.served.logs();
}

/// What signs a user on for several apps is the authorization server's own session: the redirect comes back at once.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_signed_on_over_there_is_asked_nothing_again() {
    let first = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    first.log_in(&browser, "alice").await;
    // The same authorization server, with its own session in this browser: it sends the browser back at once.
    let authorize = first.begin_login(&browser, "?return_to=/").await;
    let page = browser.get(&authorize).await;
    let target = page.redirect().expect("no page is shown");
    assert!(target.path() == "/callback" && target.query().unwrap().contains("code="), "{target}");
    let fresh = first.begin_login(&Browser::new(), "?return_to=/").await;
    let asked = Browser::new();
    let page = asked.get(&fresh).await;
    assert_eq!(page.status, 200, "whoever has not is asked");
    assert!(login(&asked, &fresh, "bob").await.contains("code="));
    first.stop().await;
}
