//! A caching nginx in front (Debian's `nginx-light`): it keeps files of the SPA, and nothing of a session, whatever a path
//! looks like and whatever the upstream says. And what it tells of the client is believed only as configured.

use std::net::SocketAddr;

use super::house::{CALL, House, OPEN, User, request};
use super::upstream::{Reply, Then};
use crate::support::nginx::Nginx;
use crate::support::peer::{Answer, Peer};
use crate::support::stack::free_port;

/// As nginx's documentation caches: by address, as long as the answer allows, ten minutes where it says nothing.
async fn caching(upstream: SocketAddr) -> Nginx {
    let port = free_port();
    Nginx::start(port, |folder| {
        let folder = folder.display();
        format!(
            r"
  proxy_cache_path {folder}/cache keys_zone=shared:1m;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://{upstream};
      proxy_bind 127.0.0.2;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection '';
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_cache shared;
      proxy_cache_key $request_method$host$request_uri;
      proxy_cache_methods GET HEAD;
      proxy_cache_valid any 10m;
      add_header X-Cache $upstream_cache_status always;
    }}
  }}"
        )
    })
    .await
}

async fn through(nginx: &Nginx, bytes: String) -> Answer {
    let to_head = bytes.starts_with("HEAD ");
    let mut peer = Peer::connect(nginx.address).await;
    peer.send(bytes).await;
    peer.answer(to_head).await.expect("an answer")
}

/// Upstream answers that ask every cache to keep them.
const GREEDY: [&str; 6] = [
    "Cache-Control: public, max-age=3600",
    "Cache-Control: max-age=3600, s-maxage=3600",
    "Expires: Thu, 01 Jan 2099 00:00:00 GMT",
    "X-Accel-Expires: 3600",
    "Surrogate-Control: max-age=3600\r\nCDN-Cache-Control: max-age=3600",
    "ETag: \"x\"\r\nLast-Modified: Thu, 01 Jan 2015 00:00:00 GMT",
];

// proves: PX-12
// Abuse class: nothing that a session has to do with is stored by whoever stands in front.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_in_front_keeps_files_of_the_spa_and_nothing_of_a_session() {
    let house = House::start().await;
    let nginx = caching(house.address).await;
    let ask = |method: &str, path: &str, user: &User| {
        through(&nginx, request(method, path, &house.host, &user.cookie, ""))
    };
    // It does cache: the second one is a hit.
    for (file, expected) in [("/assets/app-AbCd1234.js", ["MISS", "HIT"])] {
        for state in expected {
            let answer = ask("GET", file, &house.alice).await;
            assert_eq!((answer.status, answer.all("x-cache")), (200, vec![state]), "{file}");
        }
    }
    let mut paths =
        vec!["/session".to_owned(), "/session?x.css".to_owned(), "/session/a.js".to_owned()];
    paths.extend(["/session;a.js", "/refresh", "/logout/a.png", "/nothing.css"].map(str::to_owned));
    for (number, greedy) in GREEDY.iter().enumerate() {
        for name in ["x.css", "x.js?v=1", ";x.png", "x%2ecss"] {
            let path = format!("/api/me-{number}/{name}");
            let target = path.split('?').next().unwrap().replace("%2e", ".");
            let bytes = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nContent-Length: 2\r\n{greedy}\r\n\r\nhi"
            );
            let reply = Reply { bytes: bytes.into_bytes(), early: false, then: Then::Serve };
            house.upstream.set(&target, reply);
            paths.push(path);
        }
        paths.push(format!("/api/echo-{number}.css"));
    }
    for path in &paths {
        for method in ["GET", "HEAD", "GET"] {
            for user in [&house.alice, &house.bob] {
                let answer = ask(method, path, user).await;
                assert_ne!(answer.all("x-cache"), ["HIT"], "{method} {path}: {}", answer.head);
                let other =
                    if user.cookie == house.alice.cookie { &house.bob } else { &house.alice };
                assert!(!answer.text().contains(&other.authorization), "{method} {path}");
                let stored = answer.all("cache-control");
                assert_eq!(stored, ["no-store"], "{method} {path}: {}", answer.head);
            }
        }
    }
    for name in ["alice", "bob", "alice"] {
        let user = if name == "alice" { &house.alice } else { &house.bob };
        let answer = ask("GET", "/session", user).await;
        assert!(answer.text().contains(&format!("\"sub\":\"{name}\"")), "{}", answer.text());
    }
    // The page of the app may be kept only to be asked for again.
    let open = format!("GET /orders HTTP/1.1\r\nHost: {}\r\n{OPEN}\r\n", house.host);
    for _ in 0..2 {
        assert_ne!(through(&nginx, open.clone()).await.all("x-cache"), ["HIT"]);
    }
    drop(nginx);
    house.stop().await;
}

// proves: PX-23
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_in_front_tells_the_client_address_and_the_client_cannot() {
    let house = House::with("trusted_proxies = [\"127.0.0.2\"]").await;
    let nginx = caching(house.address).await;
    for (number, spoofed) in
        ["", "X-Forwarded-For: 203.0.113.9\r\n", "Forwarded: for=203.0.113.9\r\n"]
            .into_iter()
            .enumerate()
    {
        let target = format!("/public/through-{number}-end");
        let head = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{CALL}{spoofed}\r\n", house.host);
        assert_eq!(through(&nginx, head.clone()).await.status, 200);
        // The same, past the proxy.
        assert_eq!(Peer::connect(house.address).await.ask(head).await.status, 200);
        for request in house.upstream.seen(&target) {
            assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"], "{spoofed}");
            assert!(!request.head.contains("203.0.113.9"), "{}", request.head);
        }
    }
    drop(nginx);
    house.stop().await;
}
