//! Routes that change while the process serves: calls go where they should from then on, calls in flight finish where they began.

use std::sync::Arc;

use cloakroom::clock::Clock;
use tokio::sync::Notify;

use super::served::{SESSION, Served};
use super::setup::hostile_op;
use crate::support::browser::Browser;
use crate::support::hostile_upstream::{HostileUpstream, Step, ok, send, until};
use crate::support::stack::FETCH;

fn changes(served: &Served) -> usize {
    served.log_so_far().matches("\"event\":\"routes_changed\"").count()
}

/// Changes the configuration, and waits until that has been taken.
async fn change(served: &Served, from: &str, to: &str) {
    let before = changes(served);
    served.rewrite(from, to);
    served.signal("HUP");
    until(|| changes(served) == before + 1).await;
}

async fn call(served: &mut Served, path: &str) -> (u16, String) {
    let page = served.send(&Browser::new(), "GET", path, &FETCH).await;
    (page.status.as_u16(), page.body)
}

fn route(path: &str, upstream: &HostileUpstream) -> String {
    let address = upstream.address;
    format!(
        "[[routes]]\npath = \"{path}\"\nupstream = \"http://{address}\"\ntoken = \"none\"\n# end\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_come_move_and_go_without_a_restart() {
    let op = hostile_op(Clock::system()).await;
    let old = HostileUpstream::answering(ok("old")).await;
    let new = HostileUpstream::answering(ok("new")).await;
    let first = route("/open", &old);
    let mut served = Served::start_with(&op, "json", (SESSION, &first)).await;
    assert_eq!(call(&mut served, "/open/x").await, (200, "old".to_owned()));

    // It moves, and another one comes.
    let both = format!("{}{}", route("/open", &new), route("/more", &old));
    change(&served, &first, &both).await;
    assert_eq!(call(&mut served, "/open/x").await, (200, "new".to_owned()));
    assert_eq!(call(&mut served, "/more/x").await, (200, "old".to_owned()));
    let metrics = Browser::new().get(&format!("{}/metrics", served.admin)).await.body;
    let counted =
        "cloakroom_upstream_answers_total{app=\"app\",route=\"/open\",answered=\"Good\"} 2";
    assert!(metrics.contains(counted), "counts go on: {metrics}");

    // Half a configuration changes nothing.
    let half = "[[routes]]\npath = \"/half\"\n";
    served.rewrite(&both, half);
    served.signal("HUP");
    until(|| served.log_so_far().contains("reload_refused")).await;
    assert_eq!(call(&mut served, "/more/x").await.0, 200);
    served.rewrite(half, &both);

    // And one goes.
    change(&served, &route("/more", &old), "").await;
    assert_eq!(call(&mut served, "/more/x").await.0, 404);
    let (log, _) = served.logs();
    assert!(!log.contains("wait for the next start"), "nothing else had changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_finishes_where_it_began() {
    let op = hostile_op(Clock::system()).await;
    let go = Arc::new(Notify::new());
    let steps = vec![Step::Read, Step::Wait(Arc::clone(&go)), send(ok("slow"))];
    let slow = HostileUpstream::playing(steps).await;
    let new = HostileUpstream::answering(ok("new")).await;
    let first = route("/open", &slow);
    let mut served = Served::start_with(&op, "json", (SESSION, &first)).await;
    let url = format!("{}/open/x", served.app);
    let waiting = tokio::spawn(async move { Browser::new().send("GET", &url, &FETCH, "").await });
    until(|| slow.requests().len() == 1).await;
    change(&served, &first, &route("/open", &new)).await;
    assert_eq!(call(&mut served, "/open/x").await, (200, "new".to_owned()));
    go.notify_one();
    let page = waiting.await.unwrap();
    assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "slow"));
    served.logs();
}
